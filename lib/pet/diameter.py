"""Largest distances: the 3D Feret diameter of a lesion, and how far lesions lie apart."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from lib.pet.crop import Crop

_BLOCK = 512


def feret_diameter(crop: Crop, affine: NDArray[np.float64]) -> float | None:
    """Return the largest distance, mm, between two points of the mask; None where it has no voxel.

    The mask is taken as the solid that its voxels fill, so the two points are corners of voxels: a cuboid has
    its diagonal exactly, a ball its diameter or up to one diagonal of a voxel more. IBSI's maximum 3D
    diameter (L0JK) is the same of a surface mesh, which cuts the corners off.

    Args:
        crop: the mask; it may be flat, a single voxel, or in several parts.
        affine: 4x4, voxel centre -> mm.
    """
    crop = crop.tight()
    if not crop.any():
        return None
    corners = np.zeros(np.add(crop.array.shape, 1), dtype=np.bool_)
    for i, j, k in np.ndindex(2, 2, 2):
        ni, nj, nk = crop.array.shape
        corners[i : i + ni, j : j + nj, k : k + nk] |= crop.array
    outer = np.argwhere(_ends_of_lines(corners))
    hull = outer[ConvexHull(outer).vertices]
    return largest_distance(hull @ affine[:3, :3].T)


def largest_distance(points: NDArray[np.float64]) -> float:
    """Return the largest distance between two of the points (N, D); 0 for a single one."""
    return max(
        float(cdist(points[start : start + _BLOCK], points[start:]).max())
        for start in range(0, len(points), _BLOCK)
    )


def _ends_of_lines(points: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the points that are first or last on all three grid lines through them: a hull's corners are."""
    ends = points
    for axis in range(3):
        before = np.logical_or.accumulate(points, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(points, axis), axis), axis)
        inside = [slice(None)] * 3
        inside[axis] = slice(1, -1)
        lower, upper = [slice(None)] * 3, [slice(None)] * 3
        lower[axis], upper[axis] = slice(None, -2), slice(2, None)
        between = np.zeros_like(points)
        between[tuple(inside)] = before[tuple(lower)] & after[tuple(upper)]
        ends = ends & ~between
    return ends
