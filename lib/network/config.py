"""The sizes of a SegAnyPET network."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class SegAnyPETConfig:
    """Sizes of a SegAnyPET network; the defaults are the published one (SAM-Med3D's `vit_b_ori`).

    Raises ValueError where sizes do not fit together.
    """

    image_size: int = 128
    """Voxels along each side of the cube that is encoded."""
    spacing: float = 1.5
    """Voxel spacing in mm that the cube must have; isotropic."""
    patch_size: int = 16
    """Voxels along each side of the patch that becomes one token."""
    encoder_width: int = 768
    """Channels of an image token inside the encoder."""
    encoder_depth: int = 12
    """Transformer blocks of the encoder."""
    encoder_heads: int = 12
    """Attention heads of each encoder block."""
    encoder_mlp_width: int = 3072
    """Hidden channels of each encoder block's feed-forward part."""
    window_size: int = 14
    """Tokens along each side of an attention window, at least `grid_size`: the grid is padded up to it."""
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Indices of the encoder blocks that attend over the bare grid, without padding."""
    embedding_width: int = 384
    """Channels of the image embedding, of the prompts and of the decoder."""
    mask_prompt_width: int = 16
    """Channels of the mask prompt before it is widened to `embedding_width`."""
    decoder_depth: int = 2
    """Two-way blocks of the mask decoder."""
    decoder_heads: int = 8
    """Attention heads of the mask decoder."""
    decoder_mlp_width: int = 2048
    """Hidden channels of each two-way block's feed-forward part."""
    mask_tokens: int = 4
    """Mask tokens of the decoder; only the first one gives the mask."""
    iou_head_width: int = 256
    """Hidden channels of the (untrained) IoU head."""

    @property
    def fine_spacing(self) -> float:
        """SegAnyPET has learnt one spacing only: 0."""
        return 0.0

    @property
    def wide_spacing(self) -> float:
        """Nobody has measured SegAnyPET at another spacing: 0."""
        return 0.0

    @property
    def far_spacing(self) -> float:
        """As `wide_spacing`: 0."""
        return 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name))
        for whole, part in (
            ("image_size", self.patch_size),
            ("encoder_width", self.encoder_heads),
            ("embedding_width", 3),  # the point code repeats three blocks of channels
            ("embedding_width", 2 * self.decoder_heads),  # cross attention works at half the width
            ("embedding_width", 8),  # upscaling divides the width by four, then by two
            ("mask_prompt_width", 4),
        ):
            if getattr(self, whole) % part:
                raise ValueError(f"{whole}={getattr(self, whole)} must be a multiple of {part}.")
        if self.window_size < self.grid_size:
            raise ValueError(
                f"window_size={self.window_size} must be at least the {self.grid_size} tokens of the grid."
            )
        if not all(0 <= index < self.encoder_depth for index in self.global_blocks):
            raise ValueError(f"global_blocks={self.global_blocks} must lie in 0..{self.encoder_depth - 1}.")

    @property
    def grid_size(self) -> int:
        """Tokens along each side of the cube."""
        return self.image_size // self.patch_size

    @property
    def logits_size(self) -> int:
        """Voxels along each side of the decoder's logits."""
        return 4 * self.grid_size

    def to_json(self) -> str:
        """The configuration as JSON, as it travels in a safetensors file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; ValueError where it is not a configuration."""
        values: Any = json.loads(text)
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not known.issuperset(values):
            raise ValueError(f"{text[:200]} is not a SegAnyPET configuration.")
        if isinstance(blocks := values.get("global_blocks"), list):
            values["global_blocks"] = tuple(blocks)
        return cls(**values)


def _check_type(name: str, value: object) -> None:
    if name == "spacing":
        valid = isinstance(value, int | float) and 0 < value < float("inf")
    elif name == "global_blocks":
        valid = isinstance(value, tuple) and all(type(index) is int for index in value)
    else:
        valid = type(value) is int and value > 0
    if not valid:
        raise ValueError(f"{name}={value!r} is not a valid size of a SegAnyPET network.")
