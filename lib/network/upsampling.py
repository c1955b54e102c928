"""Trilinear interpolation of cubes by matrix products."""

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample_trilinear(volume: Tensor, size: int) -> Tensor:
    """Resample (..., s, s, s) to (..., size, size, size), trilinear with align_corners=False.

    Equals `torch.nn.functional.interpolate` and is several times faster on a CPU: trilinear interpolation is
    separable, so one (size, s) matrix, applied along each axis in turn, does it.
    """
    side = volume.shape[-1]
    identity = torch.eye(side, device=volume.device, dtype=volume.dtype)
    weights = F.interpolate(identity[None], size=size, mode="linear", align_corners=False)[
        0
    ].T  # (size, side)
    leading = volume.shape[:-3]
    along_z = volume.reshape(-1, side) @ weights.T
    along_yz = weights @ along_z.reshape(-1, side, size)
    return (weights @ along_yz.reshape(-1, side, size * size)).reshape(*leading, size, size, size)
