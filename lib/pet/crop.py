"""The crop: a mask as a box of a bigger grid, so that a small lesion costs little in a large study."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.pet.volume import VolumeError, read_only


@dataclass(frozen=True, eq=False)
class Crop:
    """A boolean mask that is False outside its box.

    Args:
        start: index (i, j, k) in the grid of the box's first voxel.
        array: bool [i, j, k], the box; kept without a copy, read only.

    Raises:
        VolumeError: a negative start, or an array that is not boolean and 3-D.
    """

    start: tuple[int, int, int]
    array: NDArray[np.bool_]

    def __post_init__(self) -> None:
        i, j, k = (int(index) for index in self.start)
        if min(i, j, k) < 0:
            raise VolumeError(f"A crop cannot start before the grid: its start is {(i, j, k)}.")
        if self.array.ndim != 3 or self.array.dtype != np.bool_:
            raise VolumeError("A crop needs a boolean array of 3 axes.")
        object.__setattr__(self, "start", (i, j, k))
        object.__setattr__(self, "array", read_only(self.array))

    @classmethod
    def empty(cls) -> "Crop":
        """Return the mask without a voxel."""
        return cls((0, 0, 0), np.zeros((0, 0, 0), dtype=np.bool_))

    @classmethod
    def from_grid(cls, mask: NDArray) -> "Crop":
        """Return the smallest crop that holds every non-zero voxel of a whole grid [i, j, k]."""
        return cls((0, 0, 0), np.asarray(mask).astype(np.bool_, copy=False)).tight()

    @property
    def stop(self) -> tuple[int, int, int]:
        """Index in the grid just after the box's last voxel."""
        i, j, k = (start + size for start, size in zip(self.start, self.array.shape, strict=True))
        return i, j, k

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index of the grid."""
        i, j, k = (slice(start, stop) for start, stop in zip(self.start, self.stop, strict=True))
        return i, j, k

    @property
    def count(self) -> int:
        """Voxels in the mask."""
        return int(np.count_nonzero(self.array))

    def any(self) -> bool:
        """Whether the mask has a voxel."""
        return bool(self.array.any())

    def tight(self) -> "Crop":
        """Return the same mask in its smallest box (a copy, so that a large array can be freed)."""
        array, start = self.array, list(self.start)
        for axis in (2, 1, 0):
            others = tuple(other for other in range(3) if other != axis)
            filled = np.flatnonzero(array.any(axis=others))
            if not filled.size:
                return Crop.empty()
            start[axis] += int(filled[0])
            array = _between(array, axis, filled)
        return Crop((start[0], start[1], start[2]), array.copy(order="K"))

    def contains(self, index: Sequence[int]) -> bool:
        """Whether the voxel (i, j, k) of the grid is in the mask."""
        inside = tuple(int(at) - start for at, start in zip(index, self.start, strict=True))
        within = all(0 <= at < size for at, size in zip(inside, self.array.shape, strict=True))
        return within and bool(self.array[inside])

    def touches(self, other: "Crop") -> bool:
        """Whether the two masks overlap or have voxels that are neighbours by face, edge or corner (26)."""
        start = np.maximum(np.subtract(self.start, 1), other.start)
        stop = np.minimum(np.add(self.stop, 1), other.stop)
        if (start >= stop).any():
            return False
        near = self.window(start - 1, stop + 1)
        # A 3x3x3 dilation is one of three voxels along each axis in turn.
        near = near[:-2] | near[1:-1] | near[2:]
        near = near[:, :-2] | near[:, 1:-1] | near[:, 2:]
        near = near[:, :, :-2] | near[:, :, 1:-1] | near[:, :, 2:]
        return bool((near & other.window(start, stop)).any())

    def union(self, other: "Crop") -> "Crop":
        """Return the mask of the voxels in either, in the smallest box that holds both boxes."""
        if not self.array.size or not other.array.size:
            return self if self.array.size else other
        start = np.minimum(self.start, other.start)
        stop = np.maximum(self.stop, other.stop)
        i, j, k = start.tolist()
        return Crop((i, j, k), self.window(start, stop) | other.window(start, stop))

    def minus(self, other: "Crop") -> "Crop":
        """Return the mask of the voxels that are not in the other one; itself where the two share none."""
        first, last = np.maximum(self.start, other.start), np.minimum(self.stop, other.stop)
        if not (first < last).all():
            return self
        here = tuple(map(slice, first - self.start, last - self.start))
        there = tuple(map(slice, first - other.start, last - other.start))
        shared = self.array[here] & other.array[there]
        if not shared.any():
            return self
        rest = self.array.copy(order="K")
        rest[here] &= ~shared
        return Crop(self.start, rest)

    def equals(self, other: "Crop") -> bool:
        """Whether both masks hold the same voxels, whatever their boxes."""
        mine, theirs = self.tight(), other.tight()
        return mine.start == theirs.start and np.array_equal(mine.array, theirs.array)

    def to_grid(self, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Return the mask on a whole grid of this shape, bool [i, j, k] in Fortran order.

        Raises:
            VolumeError: the box does not fit in the grid.
        """
        grid = np.zeros(tuple(shape), dtype=np.bool_, order="F")
        if self.array.size:
            self.check_fits(shape)
            grid[self.slices] = self.array
        return grid

    def check_fits(self, shape: Sequence[int]) -> None:
        """Raise VolumeError where the box reaches beyond a grid of this shape."""
        if any(stop > size for stop, size in zip(self.stop, shape, strict=True)):
            raise VolumeError(f"The crop ends at {self.stop}, beyond a grid of shape {tuple(shape)}.")

    def window(self, start: NDArray[np.integer], stop: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return the mask between two grid indices, False outside the box; start may be negative."""
        window = np.zeros(tuple(stop - start), dtype=np.bool_, order="F")
        first = np.maximum(start, self.start)
        last = np.minimum(stop, self.stop)
        if (first < last).all():
            target = tuple(map(slice, first - start, last - start))
            source = tuple(map(slice, first - self.start, last - self.start))
            window[target] = self.array[source]
        return window


def _between(array: NDArray[np.bool_], axis: int, filled: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the part of an array from the first to the last filled index of an axis."""
    index = [slice(None)] * 3
    index[axis] = slice(filled[0], filled[-1] + 1)
    return array[tuple(index)]
