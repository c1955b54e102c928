"""A folder with one DICOM PET series -> a volume."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pydicom.config
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MediaStorageDirectoryStorage,
    PositronEmissionTomographyImageStorage,
)

from lib.pet.volume import Volume, VolumeError

_ENHANCED = (EnhancedPETImageStorage, LegacyConvertedEnhancedPETImageStorage)
_DAMAGED = "A DICOM file of the folder is truncated or damaged; transfer it again."

# pydicom would put a value that breaks the standard, a UID for one, into a warning and so into the log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


@dataclass(frozen=True)
class _Slice:
    """What the header of one file says; millimetres, DICOM's LPS axes."""

    path: Path
    series: str
    unit: str
    frames: str  # "STATIC", "DYNAMIC", "GATED", "WHOLE BODY"
    rows: int
    columns: int
    pixel_spacing: NDArray[np.float64]  # between rows, between columns
    orientation: NDArray[np.float64]  # (2, 3): along a row, down a column
    position: NDArray[np.float64]
    thickness: float | None
    slope: float
    intercept: float


def read_dicom_series(folder: Path) -> Volume:
    """Read the one PET series in a folder, whatever its files are called; other files are ignored.

    i runs along a row, j down a column, k along row x column. Values are after each slice's own rescale.

    Raises:
        VolumeError: no PET series or several, an enhanced (multi-frame) or dynamic one, a missing or damaged
            slice, slices that do not form one grid, a missing tag. No message holds a name, a number or a UID
            of the patient.
    """
    headers = [_pet_slice(path) for path in sorted(folder.iterdir()) if path.is_file()]
    slices = [header for header in headers if header is not None]
    if not slices:
        raise VolumeError("The folder holds no DICOM PET images.")
    _check_one_series(slices)
    slices = _in_order(slices)
    affine = _affine(slices)
    first = slices[0]
    array = np.empty((first.columns, first.rows, len(slices)), dtype=np.float32, order="F")
    for k, one in enumerate(slices):
        array[:, :, k] = _values(one).T
    return Volume(array, affine, first.unit)


def _pet_slice(path: Path) -> _Slice | None:
    """Return what the header of a PET image file says; None for any other file."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        stored_as = str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
        kind = str(dataset.get("SOPClassUID", ""))
        if not kind and stored_as != MediaStorageDirectoryStorage:
            raise VolumeError(_DAMAGED)  # cut at its beginning: it may be the last slice of the series
        if kind in _ENHANCED:
            raise VolumeError(
                "The folder holds an enhanced (multi-frame) PET image; export it as single-frame images."
            )
        is_pet = PositronEmissionTomographyImageStorage in (kind, stored_as)
        return _checked(dataset, path) if is_pet else None
    except InvalidDicomError:
        return None
    except VolumeError:
        raise
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise VolumeError(_DAMAGED) from error


def _checked(dataset: pydicom.Dataset, path: Path) -> _Slice:
    rows, columns = (int(_numbers(dataset, name, 1)[0]) for name in ("Rows", "Columns"))
    pixel_spacing = _numbers(dataset, "PixelSpacing", 2)
    orientation = _numbers(dataset, "ImageOrientationPatient", 6).reshape(2, 3)
    slope = float(_numbers(dataset, "RescaleSlope", 1)[0])
    # The PET IOD has an intercept of zero always, so its absence says nothing new.
    intercept = float(_numbers(dataset, "RescaleIntercept", 1)[0]) if "RescaleIntercept" in dataset else 0.0
    if rows < 1 or columns < 1 or (pixel_spacing <= 0).any() or slope == 0:
        raise VolumeError("A PET slice has no pixels, a pixel spacing that is not positive, or a slope of 0.")
    if not np.allclose(orientation @ orientation.T, np.eye(2), atol=1e-3):
        raise VolumeError(
            "A PET slice's ImageOrientationPatient (0020,0037) is not two perpendicular directions."
        )
    if int(dataset.get("NumberOfFrames") or 1) != 1 or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise VolumeError("A PET slice has several frames or is in colour; one grey frame a file is needed.")
    thickness = dataset.get("SliceThickness")
    series_type = dataset.get("SeriesType") or ""
    return _Slice(
        path=path,
        series=str(dataset.get("SeriesInstanceUID", "")),
        unit=_unit(dataset),
        frames=str(series_type if isinstance(series_type, str) else series_type[0]),
        rows=rows,
        columns=columns,
        pixel_spacing=pixel_spacing,
        orientation=orientation / np.linalg.norm(orientation, axis=1, keepdims=True),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        thickness=None if thickness is None else float(thickness),
        slope=slope,
        intercept=intercept,
    )


def _numbers(dataset: pydicom.Dataset, keyword: str, count: int) -> NDArray[np.float64]:
    """Return a tag's finite numbers; the message names the tag where they are not there."""
    tag = pydicom.tag.Tag(keyword)
    name = f"{keyword} ({tag.group:04X},{tag.element:04X})"
    try:
        value = dataset.get(keyword)
        numbers = np.atleast_1d(np.array(value, dtype=np.float64))
    except Exception as error:  # pydicom converts lazily, and raises many things
        raise VolumeError(f"A PET slice's {name} is not a number.") from error
    if value is None or numbers.size == 0:
        raise VolumeError(f"A PET slice lacks {name}.")
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise VolumeError(f"A PET slice's {name} should hold {count} finite numbers.")
    return numbers


def _unit(dataset: pydicom.Dataset) -> str:
    units = str(dataset.get("Units") or "").strip().upper()
    if units == "GML" and str(dataset.get("SUVType") or "BW").strip().upper() == "BW":
        return "SUVbw"
    return "Bq/ml" if units == "BQML" else "unknown"


def _check_one_series(slices: list[_Slice]) -> None:
    series = len({one.series for one in slices})
    if series > 1:
        raise VolumeError(f"The folder holds {series} PET series; put the one to use in a folder of its own.")
    first = slices[0]
    for one in slices:
        if (one.rows, one.columns) != (first.rows, first.columns):
            raise VolumeError("The PET slices differ in their numbers of rows or columns.")
        if not np.allclose(one.pixel_spacing, first.pixel_spacing, rtol=1e-4):
            raise VolumeError("The PET slices differ in their pixel spacing.")
        if not np.allclose(one.orientation, first.orientation, atol=1e-3):
            raise VolumeError("The PET slices differ in their orientation.")
        if one.unit != first.unit:
            raise VolumeError("The PET slices differ in their unit.")


def _in_order(slices: list[_Slice]) -> list[_Slice]:
    """Return slices sorted along row x column, once it is clear that they are evenly spaced."""
    normal = np.cross(*slices[0].orientation)
    slices = sorted(slices, key=lambda one: float(one.position @ normal))
    if len(slices) == 1:
        return slices
    places = np.array([one.position @ normal for one in slices])
    gaps = np.diff(places)
    twice = np.flatnonzero(gaps < 0.01)
    if twice.size:
        frames = slices[0].frames.upper()
        why = (
            f"the series is {frames.lower()}, so choose one frame"
            if frames in ("DYNAMIC", "GATED")
            else "it was stored twice, or several frames are mixed"
        )
        raise VolumeError(
            f"{twice.size} of {len(slices)} PET slices lie at the position of another, "
            f"first at {places[twice[0]]:.2f} mm along the slice axis: {why}."
        )
    spacing = float(np.median(gaps))
    uneven = np.flatnonzero(abs(gaps - spacing) > 0.01 * spacing)
    if uneven.size:
        at = int(uneven[0])
        raise VolumeError(
            f"The PET slices are not evenly spaced: slices {at + 1} and {at + 2} of {len(slices)} "
            f"(at {places[at]:.2f} mm along the slice axis) lie {gaps[at]:.2f} mm apart, others "
            f"{spacing:.2f} mm; a slice may be missing."
        )
    offsets = np.array([one.position - slices[0].position for one in slices])
    aside = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1)
    if aside.max() > 0.1 * slices[0].pixel_spacing.min():
        raise VolumeError(
            f"The PET slices are shifted sideways against each other by up to {aside.max():.2f} mm, as with "
            "a tilted gantry; resample the series to a straight grid first."
        )
    return slices


def _affine(slices: list[_Slice]) -> NDArray[np.float64]:
    """Return voxel index -> RAS+ mm (DICOM PS3.3 C.7.6.2.1.1, with the slices' own step as third axis)."""
    first, last = slices[0], slices[-1]
    if len(slices) > 1:
        step = (last.position - first.position) / (len(slices) - 1)
    elif first.thickness and first.thickness > 0:
        step = np.cross(*first.orientation) * first.thickness
    else:
        raise VolumeError("A single PET slice needs SliceThickness (0018,0050) to be a volume.")
    between_rows, between_columns = first.pixel_spacing
    along_row, down_column = first.orientation
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [along_row * between_columns, down_column * between_rows, step, first.position]
    )
    affine[:2] *= -1  # LPS -> RAS
    return affine


def _values(one: _Slice) -> NDArray[np.float64]:
    """Return a slice's values [row, column] after its rescale."""
    try:
        pixels = pydicom.dcmread(one.path).pixel_array
    except Exception as error:  # decoders raise many things
        raise VolumeError(
            "A PET slice's pixels cannot be decoded: they are missing, truncated or compressed in a way that "
            "is not supported."
        ) from error
    if pixels.shape != (one.rows, one.columns):
        raise VolumeError("A PET slice holds fewer or more pixels than its header says.")
    return pixels * one.slope + one.intercept
