"""The canvas: a voxel grid somewhere in the room, into which shapes are painted box by box."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lib.pet.phantom.shapes import Bounds, Coordinates, Shape

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels in the patient's room.

    Arrays on it are [k, j, i] in C order, so that their transpose is a volume's [i, j, k] in Fortran order.

    Args:
        shape: voxels along i, j, k.
        affine: 4x4, voxel index -> LPS mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Mm along i, j, k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    @cached_property
    def _to_index(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)

    def box(self, bounds: Bounds, margin: float = 0.0) -> Box | None:
        """Return the part (k, j, i) of the grid that holds what lies within bounds; None outside of it."""
        low, high = bounds
        middle = self._to_index[:3, :3] @ ((low + high) / 2) + self._to_index[:3, 3]
        half = abs(self._to_index[:3, :3]) @ ((high - low) / 2 + margin)
        box = []
        for first, last, size in zip(
            (middle - half).tolist(), (middle + half).tolist(), self.shape, strict=True
        ):
            start, stop = max(math.floor(first), 0), min(math.ceil(last) + 1, size)
            if start >= stop:
                return None
            box.append(slice(start, stop))
        return box[2], box[1], box[0]

    def coordinates(self, box: Box) -> Coordinates:
        """Return x, y, z (LPS mm) of a part's voxel centres, in arrays that broadcast to its shape."""
        result = []
        for row in self.affine[:3]:
            total = np.full((1, 1, 1), row[3], dtype=np.float32)
            for axis, part in enumerate(box):
                step = row[2 - axis]
                if step != 0:  # a straight grid keeps each coordinate on one axis, which is much faster
                    along = np.ones(3, dtype=int)
                    along[axis] = -1
                    index = np.arange(part.start, part.stop, dtype=np.float64).reshape(along)
                    total = total + (step * index).astype(np.float32)
            result.append(total)
        x, y, z = result
        return x, y, z


class Canvas:
    """Activity and classes of a body that is being painted; the body is the standard one times a scale."""

    def __init__(self, grid: Grid, scale: NDArray[np.float64]) -> None:
        self.grid = grid
        self.activity = np.zeros(grid.shape[::-1], dtype=np.float32)
        self.labels = np.zeros(grid.shape[::-1], dtype=np.uint8)
        self._scale = scale
        # An edge is as soft as a voxel is long: a voxel that is half inside gets half of each value.
        self._edge = float(np.cbrt(np.prod(grid.spacing)))

    def paint(self, shape: Shape, suv: float, label: int | None) -> None:
        """Paint over what is there.

        Args:
            shape: in the standard body's frame.
            suv: what it takes up.
            label: its class; None leaves the classes as they are.
        """
        low, high = shape.bounds
        box = self.grid.box((low * self._scale, high * self._scale), self._edge)
        if box is None:
            return
        x, y, z = self.grid.coordinates(box)
        sx, sy, sz = self._scale.astype(np.float32)
        distance = shape.distance((x / sx, y / sy, z / sz))
        covered = np.clip(0.5 - distance / self._edge, 0, 1)
        activity = self.activity[box]
        activity += covered * (np.float32(suv) - activity)
        if label is not None:
            self.labels[box][np.broadcast_to(distance < 0, activity.shape)] = label
