"""The peak: the highest mean in a sphere of 1 cm3 around a voxel of a lesion."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from lib.pet.crop import Crop
from lib.pet.volume import Volume

#: Radius of a sphere of 1 cm3, 6.204 mm.
RADIUS_MM = (3000 / (4 * np.pi)) ** (1 / 3)

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
#: Axes whose directions' cosine is above this are no edges of a box.
_PERPENDICULAR = 0.01

Spacing = tuple[float, float, float]


def peak(volume: Volume, crop: Crop) -> float | None:
    """Return the highest mean in a sphere of 1 cm3 centred on a voxel of the mask, in the volume's unit.

    The global intensity peak of the IBSI reference manual (0F91), with the sphere's edge taken exactly: each
    voxel weighs the fraction of it that lies in the sphere, whether the mask has it or not. At the volume's
    edge, and where voxels have no value (NaN), the weights of those that have one are scaled up to 1.

    Returns:
        None where no voxel of the mask has a value, or where the voxels are no boxes (axes that are not
        perpendicular within 0.6 degrees).

    Raises:
        VolumeError: the crop reaches beyond the volume.
    """
    crop.check_fits(volume.shape)
    if not crop.any() or not _perpendicular(volume.affine):
        return None
    weights = sphere_fractions(volume.spacing)
    reach = np.array(weights.shape) // 2
    start, stop = np.subtract(crop.start, reach), np.add(crop.stop, reach)
    first, last = np.maximum(start, 0), np.minimum(stop, volume.shape)
    values = volume.array[tuple(map(slice, first, last))]
    known = ~np.isnan(values)
    centres = crop.array & known[tuple(map(slice, crop.start - first, crop.stop - first))]
    if not centres.any():
        return None
    beyond = list(zip(first - start, stop - last, strict=True))
    sums = _sums(np.pad(np.where(known, values, 0), beyond), weights)[centres]
    if known.all() and not np.any(beyond):
        return float(sums.max() / weights.sum())
    return float((sums / _sums(np.pad(known, beyond), weights)[centres]).max())


@lru_cache(maxsize=32)
def sphere_fractions(spacing: Spacing) -> NDArray[np.float64]:
    """Return how much of each voxel lies in a sphere of 1 cm3 around the centre of the middle one.

    Args:
        spacing: edges of the voxels, mm.

    Returns:
        Fractions 0 to 1 [i, j, k], of odd sizes and the same in both directions of an axis; read only.
    """
    # The same numbers for every order of the axes: computed for one, then turned.
    order = np.argsort(spacing, kind="stable")
    edges = [np.append(0.0, np.arange(0.5, RADIUS_MM / spacing[axis] + 1)) * spacing[axis] for axis in order]
    parts = _volume_from_centre(*edges)
    for axis in range(3):
        parts = np.diff(parts, axis=axis)
    # From the octant of the positive indices to all: each axis mirrored, the middle voxel's halves joined.
    for axis in range(3):
        middle, rest = np.split(parts, [1], axis=axis)
        parts = np.concatenate([np.flip(rest, axis), 2 * middle, rest], axis=axis)
    fractions = np.clip(parts / np.prod(spacing), 0, 1).transpose(np.argsort(order))
    fractions.flags.writeable = False
    return fractions


def _volume_from_centre(*edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the volume, mm3, of the sphere within [0, a] x [0, b] x [0, c], for every a, b and c.

    The area of a disc within a rectangle is integrated along the first axis: in x = R sin(t), and in pieces
    between the x where the area's formula changes, so that Gauss-Legendre is exact to 1e-9.
    """
    a, b, c = np.ix_(*(np.minimum(edge, RADIUS_MM) for edge in edges))
    along = np.zeros(np.broadcast_shapes(b.shape, c.shape))
    kinks = [
        np.sqrt(np.maximum(RADIUS_MM**2 - square, 0)) for square in (b**2 + c**2, along + b**2, along + c**2)
    ]
    bounds = np.sort(np.stack([along + a * 0, *(np.minimum(kink, a) for kink in kinks), along + a]), axis=0)
    angles = np.arcsin(np.minimum(bounds / RADIUS_MM, 1))
    volume = np.zeros(angles.shape[1:])
    for low, high in pairwise(angles):
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            # The cubed map crowds the nodes at both ends, where the area has a root's steepness.
            place = (3 * node - node**3) / 4 + 0.5
            angle = low + place * (high - low)
            step = weight * 0.75 * (1 - node**2) * (high - low)
            volume += step * RADIUS_MM * np.cos(angle) * _area(b, c, RADIUS_MM * np.cos(angle))
    return volume


def _area(b: NDArray, c: NDArray, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of a disc around the origin within [0, b] x [0, c]."""
    full = np.minimum(np.sqrt(np.maximum(radius**2 - c**2, 0)), b)  # up to here c is the lower bound
    return c * full + _under_arc(np.minimum(b, radius), radius) - _under_arc(np.minimum(full, radius), radius)


def _under_arc(x: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under a quarter of a circle, from 0 to x."""
    angle = np.arcsin(np.clip(x / np.maximum(radius, 1e-12), 0, 1))
    area: NDArray[np.float64] = (x * np.sqrt(np.maximum(radius**2 - x**2, 0)) + radius**2 * angle) / 2
    return area


def _sums(values: NDArray, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sums around the voxels that have all their neighbours (scipy's "valid")."""
    shape = [fft.next_fast_len(size, real=True) for size in values.shape]
    product = fft.rfftn(values.astype(np.float64), shape) * fft.rfftn(weights, shape)
    # A cyclic convolution of the values' length: only the margin, which is cut off, holds what wrapped round.
    whole = fft.irfftn(product, shape)
    sums: NDArray[np.float64] = whole[
        tuple(slice(size - 1, length) for size, length in zip(weights.shape, values.shape, strict=True))
    ]
    return sums


def _perpendicular(affine: NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool((abs(axes.T @ axes - np.eye(3)) < _PERPENDICULAR).all())
