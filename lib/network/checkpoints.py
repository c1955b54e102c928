"""Networks from files of weights, and back."""

import hashlib
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib.network.config import SegAnyPETConfig
from lib.network.errors import CheckpointError
from lib.network.seganypet import SegAnyPET
from lib.network.torch_files import read_torch_weights

_CONFIG = "seganypet_config"  # key in the metadata of a safetensors file


@torch.inference_mode(False)  # weights born in inference mode could not be trained, nor named
def load_network(
    path_or_name: str | Path, device: str | torch.device = "cpu", cache: Path | None = None
) -> SegAnyPET:
    """A network in evaluation mode from a file of weights.

    A `.safetensors` file is mapped, not read: replace it, do not rewrite it, while a network uses it. Any
    other file is read as one of torch's: the official checkpoints, bare state dicts, the published trainers'
    checkpoints; it must be of the published size. Where `cache` names a folder, such a file is converted to
    safetensors there, under the sha256 of the source, and mapped from there, now and from then on.
    Half precision becomes float32.

    Raises CheckpointError where there is no such file, or it does not hold finite weights of this network.
    """
    path = Path(path_or_name)
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


def save_network(network: SegAnyPET, path: Path) -> None:
    """Write weights and configuration as safetensors, atomically, readable by the owner only.

    Raises CheckpointError where parameters are not SegAnyPET's own, as with adapters not yet merged.
    """
    state = network.state_dict()
    _check_keys_and_shapes(state, _expected_shapes(network.config), path)
    state = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        save_file(state, temporary, metadata={"format": "pt", _CONFIG: network.config.to_json()})
        with open(temporary, "rb") as file:  # noqa: PTH123 -- mkstemp's own name
            os.fsync(file.fileno())
        os.chmod(temporary, 0o600)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _network_through_cache(source: Path, converted: Path) -> SegAnyPET:
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


def _network_from_safetensors(path: Path) -> SegAnyPET:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_CONFIG)
            config = SegAnyPETConfig() if text is None else SegAnyPETConfig.from_json(text)
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- not a dict
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} is not a safetensors file, or is truncated or damaged: {error}."
        ) from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path.name} names a configuration that this network cannot have: {error}"
        ) from error
    return _network_from_weights(config, state, path)


def _network_from_weights(config: SegAnyPETConfig, state: dict[str, Tensor], path: Path) -> SegAnyPET:
    _check_keys_and_shapes(state, _expected_shapes(config), path)
    for key, value in state.items():
        if not value.is_floating_point():
            raise CheckpointError(
                f"{path.name} cannot be used: {key} holds {value.dtype}, not floating point."
            )
        state[key] = value.float()
        if not state[key].isfinite().all():
            raise CheckpointError(f"{path.name} cannot be used: {key} has values that are not finite.")
    with torch.device("meta"):
        network = SegAnyPET(config)
    network.load_state_dict(state, assign=True)
    return network


def _expected_shapes(config: SegAnyPETConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: value.shape for key, value in SegAnyPET(config).state_dict().items()}


def _check_keys_and_shapes(state: dict[str, Tensor], expected: dict[str, torch.Size], path: Path) -> None:
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
        raise CheckpointError(f"{path.name} does not fit SegAnyPET; parameters: {'; '.join(faults)}.")
