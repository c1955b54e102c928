"""The prompt encoder: clicks and the mask of the step before."""

import math

import torch
from torch import Tensor, nn

from lib.network.config import SegAnyPETConfig
from lib.network.layers import LayerNorm3d


class PositionCode(nn.Module):
    """Random Fourier features of positions in the unit cube (Tancik et al., 2020).

    The sine is there twice in the reference: three blocks of channels, from a code that was made for two.
    """

    def __init__(self, width: int):
        super().__init__()
        # Random and persistent: other values than the trained ones would make every click meaningless.
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 3))
        self.positional_encoding_gaussian_matrix: Tensor

    def forward(self, position: Tensor) -> Tensor:
        """(..., 3) in 0..1 -> (..., width)."""
        angle = 2 * math.pi * ((2 * position - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat((angle.sin(), angle.cos(), angle.sin()), dim=-1)


class PromptEncoder(nn.Module):
    """Clicks -> sparse tokens; mask logits -> a dense map; and the position code of the image grid."""

    def __init__(self, config: SegAnyPETConfig):
        super().__init__()
        width, mask_width = config.embedding_width, config.mask_prompt_width
        self.image_size, self.grid = config.image_size, config.grid_size
        self.pe_layer = PositionCode(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in ("negative", "positive"))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, mask_width // 4, kernel_size=2, stride=2),
            LayerNorm3d(mask_width // 4),
            nn.GELU(),
            nn.Conv3d(mask_width // 4, mask_width, kernel_size=2, stride=2),
            LayerNorm3d(mask_width),
            nn.GELU(),
            nn.Conv3d(mask_width, width, kernel_size=1),
        )
        # In every checkpoint, in no computation: the published training and inference always pass a mask.
        self.no_mask_embed = nn.Embedding(1, width)

    def sparse(self, points: Tensor, labels: Tensor) -> Tensor:
        """Clicks (B, N, 3) in voxel indices with labels (B, N) of 1 or 0 -> tokens (B, N + 1, width).

        The last token is the reference's "not a point", which follows the clicks always, not only as padding.
        """
        first = torch.zeros(1, dtype=torch.long, device=points.device)
        negative, positive = (embedding(first) for embedding in self.point_embeddings)
        # Axis k of a click is axis k of the cube here, unlike in `dense_position`.
        tokens = self.pe_layer(
            (points.to(self.pe_layer.positional_encoding_gaussian_matrix) + 0.5) / self.image_size
        )
        tokens = tokens + torch.where(labels[..., None] == 1, positive, negative)
        return torch.cat((tokens, self.not_a_point_embed.weight.expand(len(tokens), 1, -1)), dim=1)

    def dense(self, mask_logits: Tensor) -> Tensor:
        """Logits (B, 1, 4g, 4g, 4g) -> (B, width, g, g, g)."""
        return self.mask_downscaling(mask_logits)

    def dense_position(self) -> Tensor:
        """Position code of the image grid: (1, width, g, g, g).

        P1: the reference swaps the first two axes: cell (i, j, k) has the code of the point (j, i, k). The
        weights were trained with it. Computed at each call, which costs little and cannot go stale.
        """
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        centre = (torch.arange(self.grid, device=matrix.device, dtype=matrix.dtype) + 0.5) / self.grid
        i, j, k = torch.meshgrid(centre, centre, centre, indexing="ij")
        return self.pe_layer(torch.stack((j, i, k), dim=-1)).movedim(-1, 0)[None]
