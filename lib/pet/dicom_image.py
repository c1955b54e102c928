"""A slice of an image as DICOM has it: its plane in the patient, and its values as 16-bit integers."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

_MOST = np.iinfo(np.int16).max


def set_plane(dataset: Dataset, affine: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    """Set what all slices along k share of the Image Plane and Image Pixel modules (PS3.3 C.7.6.2, C.7.6.3).

    Args:
        dataset: is changed.
        affine: 4x4, voxel index -> LPS mm; i runs along a row, j down a column.
        shape: voxels along i, j and k.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    along_row, down_column = (affine[:3, axis] / spacing[axis] for axis in (0, 1))
    dataset.ImageOrientationPatient = [decimal(value) for value in (*along_row, *down_column)]
    dataset.PixelSpacing = [decimal(spacing[1]), decimal(spacing[0])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = decimal(spacing[2])
    dataset.Columns, dataset.Rows, dataset.NumberOfSlices = shape[0], shape[1], shape[2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1


def set_position(dataset: Dataset, affine: NDArray[np.float64], k: int) -> None:
    """Set where slice k of an affine (voxel index -> LPS mm) lies."""
    dataset.ImagePositionPatient = [decimal(value) for value in affine[:3, 3] + k * affine[:3, 2]]


def set_pixels(dataset: Dataset, values: NDArray[np.float32]) -> bytes:
    """Set a slice's own rescale slope; returns its stored values, little-endian, row by row.

    Each value comes back to within half of the slope; exactly, where all are whole numbers of 16 bits.

    Args:
        dataset: is changed.
        values: [i, j]; NaN, which no stored value means, becomes 0.
    """
    exact = np.nan_to_num(values.astype(np.float64))
    highest = float(abs(exact).max())
    whole = highest <= _MOST and np.array_equal(exact, np.rint(exact))
    dataset.RescaleSlope = decimal(1.0 if whole else highest / _MOST)
    dataset.RescaleIntercept = "0"
    # Rounded with the slope as it is written, which has fewer digits.
    stored = np.rint(exact / float(dataset.RescaleSlope)).clip(-_MOST, _MOST)
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = int(stored.min()), int(stored.max())
    return np.ascontiguousarray(stored.T, dtype="<i2").tobytes()


def decimal(value: float) -> str:
    """Return the most exact text of at most 16 characters, as the value representation DS allows."""
    return next(text for digits in range(16, 0, -1) if len(text := f"{float(value):.{digits}g}") <= 16)
