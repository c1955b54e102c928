"""The volume: one 3-D image, where it lies in the patient, and what its values mean."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lib.pet.preflight import Preflight

UNITS = ("SUVbw", "Bq/ml", "unknown")
Array = TypeVar("Array", bound=np.ndarray)
#: From DICOM's patient coordinates to ours, and back: it is its own inverse.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class VolumeError(ValueError):
    """An image that cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A PET image that nobody changes.

    Args:
        array: values [i, j, k]; kept as float32 in whatever memory order it has, without a copy where it is
            float32 already. NaN means that there is no value. Infinities, which no scanner measures, become
            NaN.
        affine: 4x4, voxel index (i, j, k, 1) of a voxel's centre -> RAS+ millimetres.
        unit: "SUVbw" (g/ml, body weight), "Bq/ml" or "unknown".
        preflight: what can be measured in it, where whoever read it knows; no part of the digest.

    Raises:
        VolumeError: not 3-D, an empty axis, values that are not real numbers, an affine that is not 4x4,
            finite and invertible, or another unit.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    unit: str
    preflight: Preflight | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3:
            raise VolumeError(f"A volume needs 3 axes, this image has {array.ndim}.")
        if 0 in array.shape:
            raise VolumeError(f"The image is empty: its shape is {array.shape}.")
        if array.dtype.kind not in "biuf":
            raise VolumeError(f"The image's values are of type {array.dtype}; real numbers are needed.")
        object.__setattr__(
            self, "array", read_only(_without_infinities(array.astype(np.float32, copy=False)))
        )
        object.__setattr__(self, "affine", read_only(checked_affine(self.affine)))
        if self.unit not in UNITS:
            raise VolumeError(f"The unit must be one of {', '.join(UNITS)}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j and k."""
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres from one voxel centre to the next along i, j and k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return i, j, k

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of shape, values, affine and unit; the same for every memory order."""
        digest = hashlib.sha256(f"{self.shape} {self.unit} ".encode())
        digest.update(self.affine.astype("<f8").tobytes())
        for k in range(self.shape[2]):
            digest.update(np.ascontiguousarray(self.array[:, :, k].T, dtype="<f4").data)
        return digest.hexdigest()


def checked_affine(affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return a copy of an affine in float64.

    Raises:
        VolumeError: not 4x4, not finite, or not invertible.
    """
    checked = (
        np.array(affine, dtype=np.float64) + 0.0
    )  # no negative zeros, so that equal ones have one digest
    if checked.shape != (4, 4) or not np.isfinite(checked).all():
        raise VolumeError("The image's affine must be a 4x4 matrix of finite numbers.")
    if not np.array_equal(checked[3], (0, 0, 0, 1)):
        raise VolumeError("The image's affine must have 0 0 0 1 as its last row.")
    lengths = np.linalg.norm(checked[:3, :3], axis=0)
    # Relative to the axes' lengths: tiny voxels are not singular, two parallel axes are.
    if (lengths == 0).any() or abs(np.linalg.det(checked[:3, :3] / lengths)) < 1e-6:
        raise VolumeError("The image's affine is singular: an axis has no length or two axes are parallel.")
    return checked


def read_only(array: Array) -> Array:
    """Return a view through which the array cannot be changed."""
    view = array.view()
    view.flags.writeable = False
    return view


def _without_infinities(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the array itself, or a copy with NaN for infinities where it has some."""
    # Slice by slice: a mask of a whole-body study would take a quarter of its memory again.
    slices = [k for k in range(array.shape[2]) if np.isinf(array[:, :, k]).any()]
    if slices:
        array = array.copy(order="K")
        for k in slices:
            array[:, :, k][np.isinf(array[:, :, k])] = np.nan
    return array
