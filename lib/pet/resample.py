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
    return tuple(shape) == volume.shape and corners_apart(shape, affine, volume.affine) <= _SAME_MM


def corners_apart(shape: Sequence[int], one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how far the corners of two grids of one shape lie apart at most, mm.

    Args:
        shape: voxels along i, j and k.
        one: 4x4, voxel centre -> RAS+ mm.
        other: likewise.
    """
    corners = np.array([[*index, 1] for index in np.ndindex(2, 2, 2)]) * [*np.subtract(shape, 1), 1]
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def misplaced_mm(shape: Sequence[int], affine: NDArray[np.float64], image: NDArray[np.float64]) -> float:
    """Return how far a label lies from an image of its shape, mm; 0 where that is half a voxel or less.

    Args:
        shape: voxels along i, j and k.
        affine: the label's, 4x4, voxel centre -> RAS+ mm.
        image: the image's, likewise.
    """
    apart = corners_apart(shape, affine, image)
    return apart if apart > np.linalg.norm(image[:3, :3], axis=0).min() / 2 else 0.0


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
    if (np.count_nonzero(there[:3, :3], axis=0) == 1).all():
        moved = _taken(labels, there, volume.shape)
    else:
        moved = np.zeros(volume.shape, labels.dtype, order="F")
        options = {"order": 0, "mode": "grid-constant", "prefilter": False}
        ndimage.affine_transform(labels, there[:3, :3], there[:3, 3], output=moved, **options)
    if labels.any() and not moved.any():
        raise VolumeError(
            "The labels do not overlap the image: they belong to another study, or to another frame of "
            "reference."
        )
    return moved


def share_outside(labels: NDArray[np.unsignedinteger], affine: NDArray[np.float64], volume: Volume) -> float:
    """Return which share of the labelled voxels have their centre outside the volume, 0 to 1.

    Args:
        labels: whole numbers [i, j, k]; 0 is no label.
        affine: 4x4, of the labels' grid: voxel centre -> RAS+ mm.
        volume: the image.
    """
    there = np.linalg.inv(volume.affine) @ affine
    places = np.argwhere(labels) @ there[:3, :3].T + there[:3, 3]
    inside = ((places >= -0.5 - 1e-6) & (places <= np.array(volume.shape) - 0.5 + 1e-6)).all(axis=1)
    return float(1 - inside.mean()) if inside.size else 0.0


def _taken(
    labels: NDArray[np.unsignedinteger], there: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.unsignedinteger]:
    """Return the nearest labels where the two grids' axes are parallel: rows are picked, which is faster."""
    source_axes = [int(axis) for axis in np.abs(there[:3, :3]).argmax(axis=0)]  # by axis of the target
    inside, taken = [], []
    for axis, source in enumerate(source_axes):
        at = np.floor(there[source, axis] * np.arange(shape[axis]) + there[source, 3] + 0.5).astype(np.intp)
        inside.append((at >= 0) & (at < labels.shape[source]))
        taken.append(at[inside[-1]])
    moved = np.zeros(shape, labels.dtype, order="F")
    moved[np.ix_(*inside)] = labels.transpose(source_axes)[np.ix_(*taken)]
    return moved
