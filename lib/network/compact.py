"""CompactPET: a small convolutional promptable network for PET that answers quickly on a CPU.

A pyramid encodes a cube once; at every click a small U-Net reads the pyramid, the clicks drawn as maps, the
logits of the step before, and the intensities relative to those at the positive clicks.
"""

from typing import cast

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lib.network.checked_prompts import check_cubes, checked_prompts
from lib.network.click_maps import CLICK_MAPS, click_maps, intensity_at
from lib.network.compact_config import CompactConfig
from lib.network.convolution import (
    Conv3d,
    ResidualBlock,
    depth_to_space,
    space_to_depth,
    upsample_nearest,
)
from lib.network.named_weights import NamedWeights
from lib.network.protocol import Embedding
from lib.network.upsampling import upsample_trilinear

_BLOCK = 8  # channels of a 2 x 2 x 2 block of voxels
#: Logits are read as tanh(logits / this): where the network is in doubt is told from where it is sure.
_LOGITS_SCALE = 4.0
#: Logit of a voxel before anything is learnt: few voxels belong to a target.
_PRIOR = -3.0


class CompactPET(NamedWeights):
    """The compact network; a `PromptableNetwork`. S is `config.image_size`.

    Weights are trained on SUVbw; in another unit the network sees whatever values there are.
    """

    def __init__(self, config: CompactConfig | None = None, name: str = "CompactPET"):
        super().__init__(name)
        self.config = config or CompactConfig()
        self.encoder = Pyramid(self.config)
        self.decoder = ClickDecoder(self.config)

    def normalise(self, cube: Tensor | NDArray) -> Tensor:
        """SUVs (..., S, S, S) -> asinh(2 SUV) / 2 - 0.5, float32; values that are not finite count as 0."""
        values = torch.as_tensor(cube, dtype=torch.float32)
        return torch.asinh(2 * values.nan_to_num(0.0, 0.0, 0.0)) / 2 - 0.5

    def encode(self, volume: Tensor) -> Embedding:
        """Normalised cubes (B, 1, S, S, S) -> the cubes and three maps; ValueError for another shape."""
        check_cubes(volume, self.config.image_size)
        volume = volume.to(self.device)
        return (volume, *self.encoder(volume))

    def decode(
        self,
        embedding: Embedding,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, 1, S, S, S) of B prompt sets on the embedding of one cube, or of B, one set each.

        points: (B, N, 3) voxel indices of the cube in its axis order; labels: (B, N), 1 positive, 0 negative;
        None, or N = 0, means no clicks. mask_logits: (B, 1, S, S, S), the logits of the step before; None
        means zeros. Raises ValueError for wrong shapes, other labels, and points that are not in the cube.
        """
        side = self.config.image_size
        if not isinstance(embedding, tuple) or len(embedding) != 4:
            raise ValueError("The embedding was not made by this network's encode().")
        image, *maps = (part for part in embedding if isinstance(part, Tensor))
        if image.shape[1:] != (1, side, side, side):
            raise ValueError("The embedding was not made by this network's encode().")
        prompts = checked_prompts(image, points, labels, mask_logits, side, side)
        prompt_maps = self._prompt_maps(image, prompts.points.to(image), prompts.labels, prompts.mask_logits)
        batch = prompts.batch
        half, quarter, eighth = (part.expand(batch, -1, -1, -1, -1) for part in maps)
        return depth_to_space(self.decoder(half, quarter, eighth, prompt_maps.expand(batch, -1, -1, -1, -1)))

    def _prompt_maps(self, image: Tensor, points: Tensor, labels: Tensor, mask_logits: Tensor) -> Tensor:
        """Everything that changes from click to click, at half resolution: (B, 24, S/2, S/2, S/2)."""
        positive = (labels == 1).to(image)
        level = (intensity_at(image, points) * positive).sum(1) / positive.sum(1).clamp(min=1)
        relative = space_to_depth(image - level[:, None, None, None, None])
        shape = (max(len(relative), len(mask_logits)), -1, -1, -1, -1)
        parts = (
            click_maps(image, points, labels, self.config.spacing),
            relative,
            space_to_depth(torch.tanh(mask_logits / _LOGITS_SCALE)),
        )
        return torch.cat([part.expand(shape) for part in parts], dim=1)

    def upsample(self, logits: Tensor) -> Tensor:
        """Logits (B, 1, s, s, s) -> (B, 1, S, S, S), trilinear; the mask is where the result is > 0."""
        side = self.config.image_size
        return logits if logits.shape[-1] == side else upsample_trilinear(logits, side)


class Pyramid(nn.Module):
    """The image encoder: convolutions down to 1/16, and back up to 1/2 so that each map knows the whole."""

    def __init__(self, config: CompactConfig):
        super().__init__()
        half, quarter, eighth, sixteenth = config.encoder_widths
        out_half, out_quarter, out_eighth = config.embedding_widths
        self.stem = Conv3d(_BLOCK, half)
        self.at_half = ResidualBlock(half, convolutions=1)
        self.to_quarter = Conv3d(half, quarter, stride=2)
        self.at_quarter = ResidualBlock(quarter)
        self.to_eighth = Conv3d(quarter, eighth, stride=2)
        self.at_eighth = nn.Sequential(ResidualBlock(eighth), ResidualBlock(eighth))
        self.to_sixteenth = Conv3d(eighth, sixteenth, stride=2)
        self.at_sixteenth = ResidualBlock(sixteenth)
        self.out_eighth = Conv3d(eighth + sixteenth, out_eighth, kernel=1)
        self.out_quarter = Conv3d(quarter + out_eighth, out_quarter, kernel=1)
        self.smooth_quarter = ResidualBlock(out_quarter)
        self.out_half = Conv3d(half + out_quarter, out_half, kernel=1)

    def forward(self, cubes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, S, S, S) -> maps at 1/2, 1/4 and 1/8."""
        half = self.at_half(self.stem(space_to_depth(cubes)))
        quarter = self.at_quarter(self.to_quarter(half))
        eighth = self.at_eighth(self.to_eighth(quarter))
        deep = upsample_nearest(self.at_sixteenth(self.to_sixteenth(eighth)))
        eighth = self.out_eighth(torch.cat((eighth, deep), 1))
        quarter = self.smooth_quarter(self.out_quarter(torch.cat((quarter, upsample_nearest(eighth)), 1)))
        half = self.out_half(torch.cat((half, upsample_nearest(quarter)), 1))
        return half, quarter, eighth


class ClickDecoder(nn.Module):
    """The decoder: a small U-Net over the embedding's maps and the prompts."""

    def __init__(self, config: CompactConfig):
        super().__init__()
        in_half, in_quarter, in_eighth = config.embedding_widths
        half, quarter, eighth = config.decoder_widths
        self.stem = Conv3d(in_half + CLICK_MAPS + 2 * _BLOCK, half, kernel=1)
        self.down_half = ResidualBlock(half, convolutions=1)
        self.to_quarter = Conv3d(half, quarter, stride=2)
        self.join_quarter = Conv3d(quarter + in_quarter, quarter, kernel=1)
        self.down_quarter = ResidualBlock(quarter)
        self.to_eighth = Conv3d(quarter, eighth, stride=2)
        self.join_eighth = Conv3d(eighth + in_eighth, eighth, kernel=1)
        self.at_eighth = nn.Sequential(ResidualBlock(eighth), ResidualBlock(eighth))
        self.up_quarter = Conv3d(eighth, quarter, kernel=1)
        self.out_quarter = ResidualBlock(quarter)
        self.up_half = Conv3d(quarter, half, kernel=1)
        self.out_half = ResidualBlock(half, convolutions=1)
        self.norm = nn.GroupNorm(1, half)
        self.logits = Conv3d(half, _BLOCK)
        nn.init.constant_(cast(Tensor, self.logits.bias), _PRIOR)

    def forward(self, half: Tensor, quarter: Tensor, eighth: Tensor, prompts: Tensor) -> Tensor:
        """Maps of the embedding, and the prompts at 1/2 -> logits of each block (B, 8, S/2, S/2, S/2)."""
        fine = self.down_half(self.stem(torch.cat((half, prompts), 1)))
        middle = self.join_quarter(torch.cat((self.to_quarter(fine), quarter), 1))
        middle = self.down_quarter(middle)
        deep = self.at_eighth(self.join_eighth(torch.cat((self.to_eighth(middle), eighth), 1)))
        middle = self.out_quarter(middle + upsample_nearest(self.up_quarter(deep)))
        fine = fine + upsample_nearest(self.up_half(middle))
        return self.logits(F.silu(self.norm(self.out_half(fine))))
