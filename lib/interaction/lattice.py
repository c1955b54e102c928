"""The lattice: the isotropic grid on which a network sees a volume, and the way there and back.

It is the grid that TorchIO's `Resample(spacing)` and `ToCanonical` give: axes are the source's own, reordered
and flipped to be closest to RAS+, with as many whole voxels as fit, centred on the source image. Because the
axes stay parallel to the source's, linear interpolation in either direction is three small matrix products,
and a region is cut without resampling the rest of the body.
"""

import numpy as np
import torch
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from lib.interaction.prompts import Index
from lib.pet import Volume

Logits = NDArray[np.float32]

#: Lattice voxels. NIfTI's header rounds a spacing to float32, and 139.99999 of 140 voxels are 140, as in the
#: DICOM series that it was made from; TorchIO would take 139.
_ROUNDING = 1e-4


class Lattice:
    """The lattice of a volume for a network.

    Args:
        volume: the source image.
        spacing: the network's voxel size in mm.
        size: edge of the network's cube in lattice voxels.
    """

    def __init__(self, volume: Volume, spacing: float, size: int) -> None:
        self.volume = volume
        self.spacing = spacing
        self.size = size
        orientation = io_orientation(volume.affine).astype(int)
        #: source axis of each lattice axis (R, A, S), and whether it runs the same way (+1) or against it
        #: (-1)
        self._source_axis = np.argsort(orientation[:, 0])
        self._direction = orientation[self._source_axis, 1]
        source_shape = np.array(volume.shape)[self._source_axis]
        source_spacing = np.sqrt(np.sum(volume.affine[:3, :3] ** 2, axis=0))[self._source_axis]
        fitting = np.floor(source_shape * source_spacing / spacing + _ROUNDING)
        fitting = np.maximum(fitting, 1).astype(int)
        #: lattice voxels along R, A, S
        self.shape = np.where(source_shape == 1, 1, fitting)
        self._source_middle = (source_shape - 1) / 2
        self._middle = (self.shape - 1) / 2
        #: source voxels for one lattice voxel, signed
        self._step = self._direction * spacing / source_spacing

    def from_source(self, index: Index) -> NDArray[np.float64]:
        """Return the lattice coordinates (R, A, S; 3 floats) of a source voxel (i, j, k)."""
        offset = np.array(index, dtype=float)[self._source_axis] - self._source_middle
        return self._middle + offset / self._step

    def cube_at(self, index: Index) -> Index:
        """Return the first lattice voxel of the cube with its middle (size // 2) at a source voxel."""
        r, a, s = (np.floor(self.from_source(index) + 0.5).astype(int) - self.size // 2).tolist()
        return r, a, s

    def cut(self, start: Index) -> torch.Tensor:
        """Return the cube that begins at a lattice voxel: (size, size, size) float32, axes R, A, S.

        Intensities are interpolated linearly, in the volume's unit; outside the lattice they are 0, as after
        TorchIO's `CropOrPad`. NaN counts as 0.
        """
        matrices, box = [], [slice(0)] * 3
        for axis, first in enumerate(start):
            lattice = np.arange(first, first + self.size)
            inside = (lattice >= 0) & (lattice < self.shape[axis])
            if not inside.any():
                return torch.zeros((self.size,) * 3)
            source = self._source_middle[axis] + (lattice - self._middle[axis]) * self._step[axis]
            matrix, used = _interpolation(source, len_source=self.volume.shape[self._source_axis[axis]])
            matrices.append(matrix * inside[:, None])
            box[self._source_axis[axis]] = used
        values = torch.from_numpy(np.nan_to_num(self.volume.array[tuple(box)], nan=0.0))
        return _along_axes(values.permute(*self._source_axis.tolist()), matrices)

    def to_source(self, logits: torch.Tensor, start: Index) -> tuple[Index, Logits]:
        """Interpolate a cube's logits linearly at the centres of the source voxels that lie in the cube.

        Args:
            logits: (L, L, L), axes R, A, S; L cells divide the cube's edge.
            start: the cube's first lattice voxel.

        Returns:
            The first source voxel (i, j, k) of the box, and its logits float32 [i, j, k] (empty where none
            lies in the cube).
        """
        cells = logits.shape[0]
        matrices, used_cells, box_start = [], [], [0] * 3
        for axis, first in enumerate(start):
            source = np.arange(self.volume.shape[self._source_axis[axis]])
            lattice = self._middle[axis] + (source - self._source_middle[axis]) / self._step[axis]
            in_cube = np.flatnonzero((lattice >= first - 0.5) & (lattice < first + self.size - 0.5))
            cell = (lattice[in_cube] - first + 0.5) * (cells / self.size) - 0.5
            matrix, used = _interpolation(cell, len_source=cells)
            matrices.append(matrix)
            used_cells.append(used)
            box_start[self._source_axis[axis]] = int(in_cube[0]) if in_cube.size else 0
        values = _along_axes(logits[tuple(used_cells)].float(), matrices)
        source_order = np.argsort(self._source_axis).tolist()
        return (box_start[0], box_start[1], box_start[2]), values.permute(*source_order).numpy()

    def handed(self, logits: torch.Tensor, start: Index, to: "Lattice", at: Index) -> torch.Tensor:
        """Interpolate a cube's logits linearly in a cube of another lattice of the same volume.

        Args:
            logits: (L, L, L), axes R, A, S; L cells divide the cube's edge.
            start: the cube's first lattice voxel.
            to: the other lattice.
            at: first voxel of its cube.

        Returns:
            (L, L, L), 0 where nothing is known: outside of the cube.
        """
        cells = logits.shape[0]
        per_cell = self.size / cells
        matrices, used_cells = [], []
        for axis in range(3):
            middles = at[axis] + (np.arange(cells) + 0.5) * per_cell - 0.5
            lattice = self._middle[axis] + (middles - to._middle[axis]) * (to.spacing / self.spacing)
            cell = (lattice - start[axis] + 0.5) / per_cell - 0.5
            matrix, used = _interpolation(cell, len_source=cells)
            matrices.append(matrix * ((cell >= -0.5) & (cell <= cells - 0.5))[:, None])
            used_cells.append(used)
        return _along_axes(logits[tuple(used_cells)].float(), matrices)


def _interpolation(points: NDArray[np.float64], len_source: int) -> tuple[NDArray[np.float64], slice]:
    """Return the matrix that interpolates a line at points, its ends held, and the part that it uses."""
    if not points.size:
        return np.zeros((0, 0)), slice(0, 0)
    held = np.clip(points, 0, len_source - 1)
    low = np.floor(held).astype(int)
    high = np.minimum(low + 1, len_source - 1)
    used = slice(int(low.min()), int(high.max()) + 1)
    matrix = np.zeros((points.size, used.stop - used.start))
    rows = np.arange(points.size)
    np.add.at(matrix, (rows, low - used.start), 1 - (held - low))
    np.add.at(matrix, (rows, high - used.start), held - low)
    return matrix, used


def _along_axes(values: torch.Tensor, matrices: list[NDArray[np.float64]]) -> torch.Tensor:
    """Multiply each of the three axes of a tensor by its matrix (new length, old length)."""
    for matrix in matrices:
        # The first axis is contracted and its successor appended: after three turns the order is the first
        # one again.
        values = torch.tensordot(values, torch.from_numpy(matrix).float(), dims=([0], [1]))
    return values
