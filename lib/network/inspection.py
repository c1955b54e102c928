"""What is in a file of weights."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lib.network.checkpoints import check_weights, load_network
from lib.network.errors import CheckpointError
from lib.network.torch_files import read_torch_weights


@dataclass(frozen=True)
class WeightsReport:
    """A file of weights that can be used: all its values are finite, and it fits its network.

    Args:
        name: the file's stem.
        architecture: the network's class.
        keys: tensors in the file.
        parameters: values in them.
        bytes: the file's size.
        sha256: of the file, in hex.
        dtypes: tensors of each type, as stored.
        image_size: voxels along each side of the network's cube.
        spacing: their size in mm.
    """

    name: str
    architecture: str
    keys: int
    parameters: int
    bytes: int
    sha256: str
    dtypes: dict[str, int]
    image_size: int
    spacing: float
    finite: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


def inspect_weights(path: Path) -> WeightsReport:
    """Load a file of weights with every check, and say what it is.

    Raises:
        CheckpointError: as `load_network`.
    """
    network = load_network(path)
    dtypes = _dtypes(path)
    return WeightsReport(
        name=path.stem,
        architecture=type(network).__name__,
        keys=sum(dtypes.values()),
        parameters=sum(value.numel() for value in network.state_dict().values()),
        bytes=path.stat().st_size,
        sha256=network.digest,
        dtypes=dtypes,
        image_size=network.config.image_size,
        spacing=network.config.spacing,
    )


def fits(path: Path) -> bool:
    """Return whether a file can be read and fits its network, by names and shapes alone: fast."""
    try:
        check_weights(path)
    except (CheckpointError, OSError):
        return False
    return True


def _dtypes(path: Path) -> dict[str, int]:
    """Return how many tensors of each type a file holds, as stored."""
    if path.suffix != ".safetensors":
        state = read_torch_weights(path, mmap=True)
        return dict(Counter(str(value.dtype).removeprefix("torch.") for value in state.values()))
    try:
        with safe_open(path, framework="pt") as file:
            keys = file.keys()
            return dict(Counter(str(file.get_tensor(key).dtype).removeprefix("torch.") for key in keys))
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}.") from error
