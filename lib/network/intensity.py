"""Intensity normalisation as SegAnyPET's published inference does it."""

import torch
from torch import Tensor


def zscore_over_positive(cubes: Tensor) -> Tensor:
    """Z-score each cube of (..., S, S, S) with mean and unbiased standard deviation of its voxels > 0.

    The statistics leave out air and padding (0) but apply to all voxels. Voxels that are not finite count as
    air. A cube without positive voxels, or whose positive voxels are all equal, has no scale: zeros.
    """
    finite = torch.where(torch.isfinite(cubes), cubes, 0)
    each = finite.reshape(-1, *cubes.shape[-3:])
    return torch.stack([_zscore_one(cube) for cube in each]).reshape(cubes.shape)


def _zscore_one(cube: Tensor) -> Tensor:
    positive = cube.masked_select(cube > 0).double()
    if len(positive) < 2:
        return torch.zeros_like(cube)
    deviation, mean = torch.std_mean(positive)
    return (cube - mean) / deviation if deviation > 0 else torch.zeros_like(cube)
