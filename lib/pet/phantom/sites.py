"""Where lesions can be: in an organ, beside one, along the vessels where lymph nodes are, in bone."""

from fnmatch import fnmatchcase
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.phantom.canvas import Canvas
from lib.pet.phantom.classes import CLASSES

#: Where bone lesions are, with weights by repetition: spine and pelvis most.
BONES = (
    "vertebrae_*", "vertebrae_*", "vertebrae_*", "hip_*", "hip_*", "sacrum", "femur_*", "rib_*", "rib_*",
    "sternum", "humerus_*", "scapula_*",
)  # fmt: skip
_NODES = (
    "aorta",
    "iliac_artery_*",
    "inferior_vena_cava",
    "superior_vena_cava",
    "trachea",
    "iliac_artery_*",
    "aorta",
)
_SOFT = (
    "autochthon_*", "iliopsoas_*", "gluteus_maximus_*", "breast_*", "small_bowel", "colon", "rib_*",
    "iliac_artery_*", "ureter_*", "inferior_vena_cava", "superior_vena_cava", "esophagus", "pancreas",
    "lung_*",
)  # fmt: skip
_NEVER = (
    "brain",
    "eye_*",
    "urinary_bladder",
    "trachea",
    "heart",
    "kidney_*",
    "skull",
    "spinal_cord",
    "testis_*",
)


class Sites:
    """The places of a painted body. Arrays are [k, j, i], points LPS mm in the room."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._labels = canvas.labels.copy()  # as the body was before the lesions
        self._boxes = ndimage.find_objects(self._labels, max_label=max(CLASSES))
        self.soft = np.concatenate([[0], *(numbers_of(name) for name in _SOFT)])
        self.never = np.concatenate([numbers_of(name) for name in _NEVER])

    def numbers(self, host: str) -> NDArray[np.int64]:
        """Return the classes whose names a host's pattern matches; 0, no class, for "soft"."""
        return np.array([0]) if host == "soft" else numbers_of(host)

    def inside(self, host: str, random: np.random.Generator) -> NDArray[np.float64] | None:
        """Draw a point in an organ; None where there is none in the field."""
        if host == "soft":
            for _ in range(200):  # half of the field is air
                at = tuple(int(random.integers(size)) for size in self._labels.shape)
                if self._labels[at] == 0 and self._canvas.activity[at] > 0:
                    return self._point(np.array(at), random)
            return None
        present = [number for number in numbers_of(host) if self._boxes[number - 1] is not None]
        if not present:
            return None
        number = int(random.choice(present))
        box = self._boxes[number - 1]
        found = np.argwhere(self._labels[box] == number)
        return self._point(found[random.integers(len(found))] + [part.start for part in box], random)

    def beside(self, host: str, radius: float, random: np.random.Generator) -> NDArray[np.float64] | None:
        """Draw a middle for a sphere of a radius (mm) that lies 1 to 6 mm from an organ, outside of it."""
        if host == "node":
            host = str(random.choice(_NODES))
        start = self.inside(host, random)
        if start is None:
            return None
        reach = radius + 12
        box = self._canvas.grid.box((start - reach, start + reach))
        if box is None:
            return None
        outside = ~np.isin(self._labels[box], numbers_of(host))
        distance = ndimage.distance_transform_edt(outside, sampling=self._canvas.grid.spacing[::-1])
        slack = max(6.0, float(self._canvas.grid.spacing.max()))
        found = np.argwhere((distance > radius + 1) & (distance <= radius + 1 + slack))
        if not len(found):
            return None
        return self._point(found[random.integers(len(found))] + [part.start for part in box], random)

    def _point(self, index: NDArray, random: np.random.Generator) -> NDArray[np.float64]:
        """Return a point of the room within a voxel [k, j, i]."""
        at = np.asarray(index, dtype=np.float64)[::-1] + random.uniform(-0.5, 0.5, 3)
        affine = self._canvas.grid.affine
        return affine[:3, :3] @ at + affine[:3, 3]


@cache
def numbers_of(pattern: str) -> NDArray[np.int64]:
    """Return the classes whose names match."""
    return np.array(
        [number for number, name in CLASSES.items() if fnmatchcase(name, pattern)], dtype=np.int64
    )
