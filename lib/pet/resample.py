"""Label maps brought onto another grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.volume import Volume, VolumeError

#: Grids are one where no corner lies further apart than this, mm.
_SAME_MM = 0.01


def same_grid(shape: Sequence[int], affine: NDArray[np.float64], volume: Volume) -> bool:
    """Whether a grid has the volume's shape, and its corners the same places within 0.01 mm."""
    if tuple(shape) != volume.shape:
        return False
    corners = np.array([[*index, 1] for index in np.ndindex(2, 2, 2)]) * [*np.subtract(shape, 1), 1]
    return bool(np.abs(corners @ (affine - volume.affine).T).max() <= _SAME_MM)


def nearest_labels(
    labels: NDArray[np.unsignedinteger], affine: NDArray[np.float64], volume: Volume
) -> NDArray[np.unsignedinteger]:
    """Return the label of the voxel nearest to each of the volume's voxel centres; 0 outside their grid.

    Args:
        labels: whole numbers [i, j, k].
        affine: 4x4, of the labels' grid: voxel centre -> RAS+ mm.
        volume: whose grid is wanted.

    Raises:
        VolumeError: no labelled voxel lies in the volume, though the map has some.
    """
    if same_grid(labels.shape, affine, volume):
        return labels
    there = np.linalg.inv(affine) @ volume.affine
    # Rounding errors of 1e-16 would let voxels that lie half between two change sides along a row.
    there = np.round(there, 9)
    moved = np.zeros(volume.shape, labels.dtype, order="F")
    ndimage.affine_transform(
        labels, there[:3, :3], there[:3, 3], order=0, mode="grid-constant", output=moved, prefilter=False
    )
    if labels.any() and not moved.any():
        raise VolumeError(
            "The labels do not overlap the image: they belong to another study, or to another frame of "
            "reference."
        )
    return moved
