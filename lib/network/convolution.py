"""Convolutional building blocks that are fast on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GROUP_WIDTH = 8  # channels that are normalised together


#: Whether this CPU multiplies bfloat16 natively; others only emulate it.
BFLOAT16 = any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))


class Conv3d(nn.Conv3d):
    """A 3-D convolution, zero-padded to keep the grid; its result is `nn.Conv3d`'s.

    torch leaves oneDNN for a slower kernel where a single cube is convolved on a CPU, which is what every
    click is; without gradients oneDNN is called by name. In inference mode it multiplies in bfloat16, as in
    training, where the CPU can: a click takes half the time.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self._packed: tuple[tuple[int, int], Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, s, s, s) -> (B, outputs, s / stride, ...)."""
        on_cpu = x.device.type == "cpu" and torch.backends.mkldnn.is_available()
        if on_cpu and BFLOAT16 and torch.is_inference_mode_enabled():
            half = x.to(torch.bfloat16, memory_format=torch.channels_last_3d)
            return self._convolved(half, *self._in_bfloat16()).to(x.dtype)
        if on_cpu and len(x) == 1 and not torch.is_grad_enabled():
            return self._convolved(x, self.weight, self.bias)
        return super().forward(x)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = [size // 2 for size in self.kernel_size]
        return torch.mkldnn_convolution(x, weight, bias, padding, self.stride, self.dilation, self.groups)

    def _in_bfloat16(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias as the fast kernel reads them, made anew when they have changed."""
        assert self.bias is not None
        version = self.weight._version, self.weight.data_ptr()
        if self._packed is None or self._packed[0] != version:
            weight = self.weight.to(torch.bfloat16, memory_format=torch.channels_last_3d)
            self._packed = version, weight, self.bias.to(torch.bfloat16)
        return self._packed[1:]


class ResidualBlock(nn.Module):
    """Convolutions, each after group norm and SiLU, added to what came in."""

    def __init__(self, width: int, convolutions: int = 2):
        super().__init__()
        self.layers = nn.Sequential(*(_layer(width) for _ in range(convolutions)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, s, s, s) -> same shape."""
        return x + self.layers(x)


def _layer(width: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(width // _GROUP_WIDTH, width), nn.SiLU(), Conv3d(width, width))


def space_to_depth(x: Tensor) -> Tensor:
    """(B, C, 2s, 2s, 2s) -> (B, 8C, s, s, s): each 2 x 2 x 2 block becomes channels."""
    b, c, d, h, w = x.shape
    blocks = x.view(b, c, d // 2, 2, h // 2, 2, w // 2, 2)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, d // 2, h // 2, w // 2)


def depth_to_space(x: Tensor) -> Tensor:
    """(B, 8C, s, s, s) -> (B, C, 2s, 2s, 2s): the inverse of `space_to_depth`."""
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c // 8, 2, 2, 2, d, h, w)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * d, 2 * h, 2 * w)


def upsample_nearest(x: Tensor) -> Tensor:
    """(B, C, s, s, s) -> (B, C, 2s, 2s, 2s), each value repeated."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
