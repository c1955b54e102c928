"""Smooth random fields: the raw material of irregular shapes, uneven uptake and scanner noise."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Field = NDArray[np.float32]

_NOISE_MM = (2.4, 3.6)  # deviations of the Gaussian that correlates a scanner's noise
_BANK = 24  # fields of each smoothness; a draw also shifts, flips and turns one


@lru_cache(maxsize=16)
def _bank(side: int, sigma: float) -> Field:
    random = np.random.default_rng((side, round(1000 * sigma)))
    fields = random.standard_normal((_BANK, side, side, side), dtype=np.float32)
    smooth = np.stack([gaussian_filter(field, sigma, mode="wrap") for field in fields])
    smooth -= smooth.mean(axis=(1, 2, 3), keepdims=True)
    return smooth / smooth.std(axis=(1, 2, 3), keepdims=True)


def noise_field(side: int, spacing: float, random: np.random.Generator) -> Field:
    """Return noise as a scanner's, which its blur correlates over some millimetres: as `smooth_field`."""
    return smooth_field(side, float(random.choice(_NOISE_MM)) / spacing, random)


def smooth_field(side: int, sigma: float, random: np.random.Generator) -> Field:
    """Return white noise blurred by a Gaussian (sigma in voxels): (side, side, side), mean 0, deviation 1.

    It goes on periodically through its faces. Fields are drawn from a bank, shifted, flipped and turned,
    because blurring anew for every scene would take longer than learning from it.
    """
    field = _bank(side, sigma)[random.integers(_BANK)]
    field = np.roll(field, random.integers(0, side, 3), axis=(0, 1, 2))
    field = field.transpose(random.permutation(3))
    steps = random.choice((-1, 1), 3)
    return np.ascontiguousarray(field[:: steps[0], :: steps[1], :: steps[2]])
