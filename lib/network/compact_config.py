"""The sizes of a compact network."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of a compact network; the defaults are those of the bundled weights.

    Raises ValueError where sizes do not fit together.
    """

    image_size: int = 48
    """Voxels along each side of the cube that is encoded."""
    spacing: float = 4.0
    """Voxel spacing in mm that the cube must have; isotropic."""
    fine_spacing: float = 0.0
    """Voxel spacing in mm of a second look at small objects, on which it was trained too; 0: none."""
    wide_spacing: float = 0.0
    """Voxel spacing in mm of a look around, for large objects, as if they were smaller; 0: none."""
    far_spacing: float = 0.0
    """Voxel spacing in mm of a look from afar, for objects of which nearer looks leave it unsure; 0: none."""
    encoder_widths: tuple[int, int, int, int] = (32, 64, 112, 128)
    """Channels of the encoder's maps at 1/2, 1/4, 1/8 and 1/16 of the cube's resolution."""
    embedding_widths: tuple[int, int, int] = (32, 64, 96)
    """Channels of the embedding's maps at 1/2, 1/4 and 1/8."""
    decoder_widths: tuple[int, int, int] = (32, 64, 128)
    """Channels of the decoder's maps at 1/2, 1/4 and 1/8."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name))
        if self.image_size % 16:
            raise ValueError(f"image_size={self.image_size} must be a multiple of 16.")
        for name in ("encoder_widths", "embedding_widths", "decoder_widths"):
            if any(width % 8 for width in getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)} must be multiples of 8.")

    def to_json(self) -> str:
        """The configuration as JSON, as it travels in a safetensors file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; ValueError where it is not a configuration."""
        values: Any = json.loads(text)
        if not isinstance(values, dict) or not {field.name for field in fields(cls)}.issuperset(values):
            raise ValueError(f"{text[:200]} is not a configuration of a compact network.")
        for name in _WIDTHS.keys() & values.keys():
            if isinstance(values[name], list):
                values[name] = tuple(values[name])
        return cls(**values)


_WIDTHS = {"encoder_widths": 4, "embedding_widths": 3, "decoder_widths": 3}


def _check_type(name: str, value: object) -> None:
    if name == "spacing":
        valid = isinstance(value, int | float) and 0 < value < float("inf")
    elif name in ("fine_spacing", "wide_spacing", "far_spacing"):
        valid = isinstance(value, int | float) and 0 <= value < float("inf")
    elif name in _WIDTHS:
        widths = value if isinstance(value, tuple) else ()
        valid = len(widths) == _WIDTHS[name] and all(type(width) is int and width > 0 for width in widths)
    else:
        valid = type(value) is int and value > 0
    if not valid:
        raise ValueError(f"{name}={value!r} is not a valid size of a compact network.")
