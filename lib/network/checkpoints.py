"""Networks from files of weights, and back."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib.network.compact import CompactPET
from lib.network.compact_config import CompactConfig
from lib.network.config import SegAnyPETConfig
from lib.network.errors import CheckpointError
from lib.network.registry import resolve_weights
from lib.network.seganypet import SegAnyPET
from lib.network.torch_files import read_torch_weights

Network: TypeAlias = SegAnyPET | CompactPET
Config: TypeAlias = SegAnyPETConfig | CompactConfig

# The metadata of a safetensors file holds the configuration under the key of its architecture.
_SEGANYPET, _COMPACT = "seganypet_config", "compact_config"


@torch.inference_mode(False)  # weights born in inference mode could not be trained, nor named
def load_network(
    path_or_name: str | Path, device: str | torch.device = "cpu", cache: Path | None = None
) -> Network:
    """A network in evaluation mode from a file of weights, given by its path or its name (`resolve_weights`).

    A `.safetensors` file says which network it holds, as `save_network` wrote it; one that does not is
    SegAnyPET of the published size. It is mapped, not read: replace it, do not rewrite it, while a network
    uses it. Any other file is read as one of torch's: the official checkpoints, bare state dicts, the
    published trainers' checkpoints; it must be SegAnyPET of the published size. Where `cache` names a folder,
    such a file is converted to safetensors there, under the sha256 of the source, and mapped from there, now
    and from then on.
    Half precision becomes float32.

    Raises CheckpointError where there is no such file, or it does not hold finite weights of this network.
    """
    path = resolve_weights(path_or_name)
    if not path.is_file():
        raise CheckpointError(
            f"There are no weights at {path}: give the path of a .safetensors file or of a .pth checkpoint."
        )
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error

    if path.suffix == ".safetensors":
        network = _network_from_safetensors(path)
    elif cache is None:
        # Not mapped: trainers rewrite their checkpoints in place, under the feet of whoever maps them.
        network = _network_from_weights(SegAnyPETConfig(), read_torch_weights(path, mmap=False), path)
    else:
        network = _network_through_cache(path, cache / f"{digest}.safetensors")
    network.name_weights(path.stem, digest)
    return network.to(device).eval()


def save_network(network: Network, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write weights and configuration as safetensors, atomically, readable by the owner only.

    dtype: how values are stored; half precision (torch.float16) halves the file.
    Raises CheckpointError where parameters are not the network's own, as with adapters not yet merged.
    """
    state = network.state_dict()
    _check_keys_and_shapes(state, network.config, path)
    state = {key: value.detach().cpu().to(dtype).contiguous() for key, value in state.items()}
    metadata = {"format": "pt", _key_of(network.config): network.config.to_json()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        save_file(state, temporary, metadata=metadata)
        with open(temporary, "rb") as file:  # noqa: PTH123 -- mkstemp's own name
            os.fsync(file.fileno())
        os.chmod(temporary, 0o600)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _network_through_cache(source: Path, converted: Path) -> Network:
    if converted.is_file():
        try:
            return _network_from_safetensors(converted)
        except CheckpointError:
            pass  # damaged on disk, or of an older layout: convert again
    if not converted.parent.is_dir():
        converted.parent.mkdir(mode=0o700, parents=True)
    save_network(
        _network_from_weights(SegAnyPETConfig(), read_torch_weights(source, mmap=True), source), converted
    )
    return _network_from_safetensors(converted)


def check_weights(path: Path) -> None:
    """Check that a file of weights fits its network, by names and shapes alone: fast, values are not read.

    Raises CheckpointError where it does not, or is no file of weights.
    """
    if path.suffix == ".safetensors":
        config, state = _opened(path)
    else:
        config, state = SegAnyPETConfig(), read_torch_weights(path, mmap=True)
    _check_keys_and_shapes(state, config, path)


def _network_from_safetensors(path: Path) -> Network:
    return _network_from_weights(*_opened(path), path)


def _opened(path: Path) -> tuple[Config, dict[str, Tensor]]:
    """Return a safetensors file's configuration, and its tensors as they lie in the file."""
    try:
        with safe_open(path, framework="pt") as file:
            config = _config_of(file.metadata() or {})
            return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- not a dict
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a safetensors file, or is truncated or damaged: {error}."
        ) from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path.name} names a configuration that this network cannot have: {error}"
        ) from error


def _network_from_weights(config: Config, state: dict[str, Tensor], path: Path) -> Network:
    _check_keys_and_shapes(state, config, path)
    for key, value in state.items():
        if not value.is_floating_point():
            raise CheckpointError(
                f"{path.name} cannot be used: {key} holds {value.dtype}, not floating point."
            )
        state[key] = value.float()
        if not state[key].isfinite().all():
            raise CheckpointError(f"{path.name} cannot be used: {key} has values that are not finite.")
    with torch.device("meta"):
        network = _network_of(config)
    network.load_state_dict(state, assign=True)
    return network


def _key_of(config: Config) -> str:
    return _COMPACT if isinstance(config, CompactConfig) else _SEGANYPET


def _config_of(metadata: dict[str, str]) -> Config:
    if (text := metadata.get(_COMPACT)) is not None:
        return CompactConfig.from_json(text)
    text = metadata.get(_SEGANYPET)
    return SegAnyPETConfig() if text is None else SegAnyPETConfig.from_json(text)


def _network_of(config: Config) -> Network:
    return CompactPET(config) if isinstance(config, CompactConfig) else SegAnyPET(config)


def _check_keys_and_shapes(state: dict[str, Tensor], config: Config, path: Path) -> None:
    with torch.device("meta"):
        network = _network_of(config)
    expected = {key: value.shape for key, value in network.state_dict().items()}
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in expected]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {tuple(expected[key])}"
        for key, value in state.items()
        if key in expected and value.shape != expected[key]
    ]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
        if keys
    ]
    if faults:
        raise CheckpointError(f"{path.name} does not fit {network.name}; parameters: {'; '.join(faults)}.")
