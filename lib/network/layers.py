"""Layers that several parts of the network share."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm3d(nn.LayerNorm):
    """Layer normalisation over the channels of each voxel of (B, C, D, H, W)."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class TokenLinear(nn.Linear):
    """Linear layer that goes through oneDNN on a CPU at inference.

    `nn.Linear` goes through MKL, which is half as fast on AMD processors. oneDNN's operator has no gradient,
    so training keeps to `nn.Linear`; both compute in float32 and differ by rounding only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        plain = x.is_cpu and x.dtype == self.weight.dtype == torch.float32
        if torch.is_grad_enabled() or not plain or not torch.backends.mkldnn.is_available():
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class VoxelDoubling(nn.Module):
    """Transposed convolution with kernel size and stride 2, on voxels as rows.

    Kernels do not overlap, so it is one matrix product per voxel. Putting the eight results of each voxel in
    place is left to the caller: at the end of the decoder that moves one channel instead of all.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, out_channels, 2, 2, 2))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.normal_(self.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> (..., 8, out_channels), the eight in the order of the axes, last one fastest."""
        matrix = self.weight.permute(0, 2, 3, 4, 1).flatten(1)
        return (x @ matrix).unflatten(-1, (8, -1)) + self.bias


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, hidden: int, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.lin1 = TokenLinear(width, hidden)
        self.lin2 = TokenLinear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.lin2(self.activation(self.lin1(x)))


class ReluMLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., widths[0]) -> (..., widths[-1])."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
