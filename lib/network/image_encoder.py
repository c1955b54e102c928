"""The image encoder: a vision transformer over cubic patches."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.network.attention import PaddedWindowAttention
from lib.network.config import SegAnyPETConfig
from lib.network.layers import FeedForward, LayerNorm3d


class PatchEmbedding(nn.Module):
    """Each cubic patch of the volume becomes one token."""

    def __init__(self, patch_size: int, width: int):
        super().__init__()
        self.proj = nn.Conv3d(1, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, 1, S, S, S) -> (B, g, g, g, width)."""
        return self.proj(volume).movedim(1, -1)


class EncoderBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: SegAnyPETConfig, window: int):
        super().__init__()
        width = config.encoder_width
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = PaddedWindowAttention(width, config.encoder_heads, config.grid_size, window)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width, config.encoder_mlp_width, F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ImageEncoder(nn.Module):
    """Normalised cubes -> image embeddings; window blocks see a padded grid, global ones the bare one."""

    def __init__(self, config: SegAnyPETConfig):
        super().__init__()
        grid, width, out = config.grid_size, config.encoder_width, config.embedding_width
        self.patch_embed = PatchEmbedding(config.patch_size, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(
            EncoderBlock(config, window=grid if index in config.global_blocks else config.window_size)
            for index in range(config.encoder_depth)
        )
        self.neck = nn.Sequential(
            nn.Conv3d(width, out, kernel_size=1, bias=False),
            LayerNorm3d(out),
            nn.Conv3d(out, out, kernel_size=3, padding=1, bias=False),
            LayerNorm3d(out),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """(B, 1, S, S, S) -> (B, embedding_width, g, g, g)."""
        x = self.patch_embed(volume) + self.pos_embed
        grid = x.shape[1:4]
        x = x.flatten(1, 3)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.unflatten(1, grid).movedim(-1, 1)).contiguous()
