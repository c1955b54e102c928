"""Where an annotator clicks first, and where the region then lies about the click."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.regions import INNER

#: Share of first clicks that open a region, centred on them; others fall in one's inner part.
CENTRED = 0.65


def choose_click(mask: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.int64]:
    """Return a voxel (3,) of a mask: the deepest one, any one, or one between them, with equal chance."""
    voxels = np.argwhere(mask)
    anywhere = voxels[random.integers(len(voxels))]
    way = random.random()
    if way < 1 / 3:
        return anywhere
    deepest = deepest_voxel(mask)
    if way < 2 / 3:
        return deepest
    aim = deepest + random.uniform(0, 1) * (anywhere - deepest)
    return voxels[int(np.argmin(((voxels - aim) ** 2).sum(axis=1)))]


def deepest_voxel(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the voxel (3,) of a mask that is farthest from everything else, the array's edge included."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    local = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return np.array([at + part.start for at, part in zip(local, box, strict=True)])


def region_offset(side: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return how far (3,) in voxels a click lies from the middle of its region."""
    if random.random() < CENTRED:
        return np.zeros(3, dtype=np.int64)
    inner = int(INNER * side)
    return random.integers(-inner, inner + 1, 3)
