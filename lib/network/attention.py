"""Self-attention of the image encoder over a padded window, without computing the padding."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.network.layers import TokenLinear


class PaddedWindowAttention(nn.Module):
    """Multi-head self-attention over a cubic grid, as if zero-padded at its high ends to `window`^3 tokens.

    Two accidents of the reference are kept, because the weights were trained with them:

    * E1: padding happens after the layer norm and is not masked, so each padding token is a live key: its q,
      k and v are what `qkv` gives for a zero vector.
    * E2: one axis too few in a broadcast. With S = window, query (d, h, w), key (i, j, l), unscaled q and
      R_x[a, b] = rel_pos_x[a - b + S - 1], the relative-position term is
      q[d,h,w].R_d[d,l] + q[d,h,i].R_h[h,l] + q[d,h,j].R_w[j,l]: it reads queries of other tokens, and varies
      along the last key axis only.

    The result is exact, yet only real tokens are computed: all padding keys share one k and v, so they act as
    one virtual key whose logit is the log of the sum of their exponentials. It is computed in log space:
    plain sums of exponentials overflow float32 where relative-position terms are large.
    """

    def __init__(self, width: int, heads: int, grid: int, window: int):
        super().__init__()
        self.heads, self.grid, self.window = heads, grid, window
        self.qkv = TokenLinear(width, 3 * width)
        self.proj = TokenLinear(width, width)
        span = 2 * window - 1
        self.rel_pos_d = nn.Parameter(torch.zeros(span, width // heads))
        self.rel_pos_h = nn.Parameter(torch.zeros(span, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(span, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, grid^3, width), last grid axis fastest -> same shape."""
        q, k, v = self._split_heads(self.qkv(x))
        pad_q = None
        if self.window > self.grid:
            # The module, not its bias: adapters around `qkv` act on padding too.
            pad_q, pad_k, pad_v = self._split_heads(self.qkv(x.new_zeros(1, 1, x.shape[-1])))
            k = torch.cat((k, pad_k.expand(len(x), -1, -1, -1)), dim=2)
            v = torch.cat((v, pad_v.expand(len(x), -1, -1, -1)), dim=2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._position_bias(q, pad_q).to(q.dtype))
        return self.proj(out.transpose(1, 2).flatten(2))

    def _split_heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, 3 * width) -> q, k, v of (B, heads, N, width / heads)."""
        batch, count, _ = qkv.shape
        q, k, v = qkv.view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _table(self, rel_pos: Tensor, rows: int) -> Tensor:
        """R[a, b] = rel_pos[a - b + S - 1] for a < rows, b < S: (rows, S, channels)."""
        position = torch.arange(self.window, device=rel_pos.device)
        return rel_pos[position[:rows, None] - position + self.window - 1]

    def _position_bias(self, q: Tensor, pad_q: Tensor | None) -> Tensor:
        """What is added to the scaled q.k of each query and key: (B, heads, N, N), or N + 1 with virtual key.

        q: (B, heads, N, channels) of real tokens; pad_q: (1, heads, 1, channels) of a padding token, if any.
        """
        g = self.grid
        grid_q = q.unflatten(2, (g, g, g))  # (B, n, d, h, w, channels)
        table_h = self._table(self.rel_pos_h, g)
        table_w = self._table(self.rel_pos_w, self.window)
        # Axes: l is the last key axis, 0..S-1, padding included; i and j are the first two, real keys only.
        term_d = torch.einsum("bndhwc,dlc->bndhwl", grid_q, self._table(self.rel_pos_d, g)).contiguous()
        term_h = torch.einsum("bndhic,hlc->bndhil", grid_q, table_h).contiguous()
        term_w = torch.einsum("bndhjc,jlc->bndhjl", grid_q, table_w[:g]).contiguous()

        by_row = term_h[..., :g].unsqueeze(5) + term_w[..., :g].unsqueeze(4)  # (B, n, d, h, i, j, l)
        real = term_d[..., None, None, :g] + by_row.unsqueeze(4)  # (B, n, d, h, w, i, j, l)
        real = real.view(*q.shape[:3], g**3)
        if pad_q is None:
            return real

        # Sums over padding tokens: all g <= i < S share pad_q and R_h[h]; for g <= j < S, R_w[j] differs.
        pad_h = torch.einsum("nc,hlc->nhl", pad_q[0, :, 0], table_h) + math.log(self.window - g)
        pad_w = torch.einsum("nc,jlc->njl", pad_q[0, :, 0], table_w[g:]).logsumexp(1)
        real_h, real_w = term_h.logsumexp(4), term_w.logsumexp(4)  # (B, n, d, h, l)
        pad_h, pad_w = pad_h[:, None], pad_w[:, None, None]
        all_h, all_w = torch.logaddexp(real_h, pad_h), torch.logaddexp(real_w, pad_w)
        # A key (i, j, l) with l < g is padding where i or j is; with l >= g it always is.
        inner = torch.logaddexp(pad_h + all_w, real_h + pad_w)[..., :g]
        outer = (all_h + all_w)[..., g:]
        per_l = torch.cat((inner, outer), dim=-1).unsqueeze(4)  # (B, n, d, h, 1, l)
        virtual = (term_d + per_l).logsumexp(-1).view(*q.shape[:3], 1)
        return torch.cat((real, virtual), dim=-1)
