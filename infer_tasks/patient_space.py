"""Between voxels and the patient: LPS millimetres, as DICOM and its viewers have them."""

from collections.abc import Sequence

import numpy as np

from infer_tasks.requests import RequestError
from lib.interaction.prompts import Index
from lib.pet import Volume

#: From RAS+ to LPS and back: left and posterior are positive there.
_FLIP = np.array([-1.0, -1.0, 1.0])


def to_lps(volume: Volume, index: Sequence[float]) -> list[float]:
    """Return the place of a voxel (i, j, k), or one between voxels, in LPS mm."""
    place = volume.affine[:3, :3] @ np.asarray(index, np.float64) + volume.affine[:3, 3]
    return [round(at, 3) for at in (place * _FLIP).tolist()]


def voxel_at(volume: Volume, point: Sequence[float]) -> Index:
    """Return the voxel in which a point in LPS mm lies.

    Raises:
        RequestError: it lies outside of the image.
    """
    inverse = np.linalg.inv(volume.affine)
    place = inverse[:3, :3] @ (np.asarray(point, np.float64) * _FLIP) + inverse[:3, 3]
    # A viewer's point on the outer face of the first or last voxel may lie a hair's breadth beyond it.
    index = np.floor(place + 0.5 + 1e-6 * (place < 0) - 1e-6 * (place > 0)).astype(np.int64)
    if not all(0 <= at < size for at, size in zip(index.tolist(), volume.shape, strict=True)):
        raise RequestError("The point lies outside of the image.")
    i, j, k = index.tolist()
    return i, j, k
