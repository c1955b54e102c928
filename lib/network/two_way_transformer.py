"""The mask decoder's transformer: tokens attend to the image, and the image to the tokens."""

import torch.nn.functional as F
from torch import Tensor, nn

from lib.network.config import SegAnyPETConfig
from lib.network.layers import FeedForward, TokenLinear


class DownsampledAttention(nn.Module):
    """Multi-head attention whose inner width may be smaller than that of the tokens."""

    def __init__(self, width: int, heads: int, inner_width: int):
        super().__init__()
        self.heads = heads
        self.q_proj = TokenLinear(width, inner_width)
        self.k_proj = TokenLinear(width, inner_width)
        self.v_proj = TokenLinear(width, inner_width)
        self.out_proj = TokenLinear(inner_width, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) -> (B, N, width)."""
        q, k, v = self._split(self.q_proj(q)), self._split(self.k_proj(k)), self._split(self.v_proj(v))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class TwoWayBlock(nn.Module):
    """Self-attention of the tokens, tokens to image, feed-forward, image to tokens; each with its norm."""

    def __init__(self, config: SegAnyPETConfig, first: bool):
        super().__init__()
        width, heads = config.embedding_width, config.decoder_heads
        self.first = first
        self.self_attn = DownsampledAttention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = DownsampledAttention(width, heads, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, config.decoder_mlp_width, F.relu)
        self.norm3 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = DownsampledAttention(width, heads, width // 2)
        self.norm4 = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, image: Tensor, token_code: Tensor, image_code: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, width) and image (B, M, width), with their position codes, -> both, updated."""
        if self.first:
            # The tokens are their own position code here, so neither code nor residual is added.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            query = tokens + token_code
            tokens = tokens + self.self_attn(query, query, tokens)
        tokens = self.norm1(tokens)
        image_key = image + image_code
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_code, image_key, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image_key, tokens + token_code, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Two-way blocks and a last look of the tokens at the image."""

    def __init__(self, config: SegAnyPETConfig):
        super().__init__()
        width, heads = config.embedding_width, config.decoder_heads
        self.layers = nn.ModuleList(
            TwoWayBlock(config, first=index == 0) for index in range(config.decoder_depth)
        )
        self.final_attn_token_to_image = DownsampledAttention(width, heads, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, image: Tensor, image_code: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, width), image (B, M, width), image_code (1, M, width) -> tokens, image."""
        token_code = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_code, image_code)
        look = self.final_attn_token_to_image(tokens + token_code, image + image_code, image)
        return self.norm_final_attn(tokens + look), image
