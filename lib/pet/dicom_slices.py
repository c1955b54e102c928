"""The slices in a DICOM file, single-frame or enhanced: where each lies, and what its stored values mean."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lib.pet.dicom_files import DAMAGED, items, number, numbers, tags, text
from lib.pet.scan_header import moment
from lib.pet.volume import VolumeError

#: The tags that `slices_of` looks at.
TAGS = tags(
    "Rows Columns PixelSpacing ImageOrientationPatient ImagePositionPatient SliceThickness RescaleSlope "
    "RescaleIntercept NumberOfFrames SamplesPerPixel BitsAllocated TriggerTime FrameReferenceTime "
    "AcquisitionTime AcquisitionDate AcquisitionDateTime TemporalPositionIdentifier ImageIndex "
    "AcquisitionNumber InstanceNumber SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
)
_MOST_FRAMES = 100_000
_MOST_GROUPS = 500_000  # of all frames: a frame has some ten
# Units of enhanced PET, as its real-world values and rescale types name them.
_REAL_WORLD_UNITS = {
    "Bq/ml": ("BQML", "BW"),
    "BQML": ("BQML", "BW"),
    "g/ml": ("GML", "BW"),
    "g/ml{SUVbw}": ("GML", "BW"),
    "{SUVbw}g/ml": ("GML", "BW"),
    "g/ml{SUVlbm(Janma)}": ("GML", "LBMJANMA"),
    "g/ml{SUVlbm(James128)}": ("GML", "LBMJAMES128"),
    "g/ml{SUVibw}": ("GML", "IBW"),
    "cm2/ml{SUVbsa}": ("CM2ML", "BW"),
    "{propcounts}/s": ("PROPCPS", "BW"),
    "{counts}": ("CNTS", "BW"),
}


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice; millimetres, DICOM's LPS axes.

    Args:
        path: its file.
        index: its frame in the file, 0-based.
        order: by which slices at one position are told apart and put in order; the earlier one is smaller.
        start: of its acquisition, in seconds from any time that the slices of a series share; NaN if unknown.
        units: (Units, SUVType) of an enhanced image's real-world values; ("", "") where the header says it.
    """

    path: Path
    index: int
    rows: int
    columns: int
    bytes_per_pixel: int
    pixel_spacing: NDArray[np.float64]  # between rows, between columns
    orientation: NDArray[np.float64]  # (2, 3): along a row, down a column
    position: NDArray[np.float64]
    thickness: float | None
    slope: float
    intercept: float
    order: tuple[float, ...]
    start: float
    units: tuple[str, str] = ("", "")


def slices_of(dataset: Dataset, path: Path, enhanced: bool = False, gated: bool = False) -> list[Slice]:
    """Return a file's slices, as its header describes them.

    Args:
        dataset: the file's header.
        path: the file.
        enhanced: it is a multi-frame image with functional groups.
        gated: frames are told apart by their time in the cardiac or respiratory cycle first.

    Raises:
        VolumeError: a missing or senseless tag.
    """
    if not enhanced:
        if int(number(dataset, "NumberOfFrames") or 1) != 1:
            raise VolumeError(
                "A PET slice has several frames or is in colour; one grey frame a file is needed."
            )
        return [_slice(path, 0, _Groups(dataset), dataset, gated)]
    frames = _frames(dataset)
    if not frames:
        raise VolumeError("An enhanced (multi-frame) PET image does not say where its frames lie.")
    if len(frames) != number(dataset, "NumberOfFrames") or len(frames) > _MOST_FRAMES:
        raise VolumeError(DAMAGED)
    shared = (items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return [
        _slice(path, index, _Groups(dataset, shared, frame), frame, gated)
        for index, frame in enumerate(frames)
    ]


def unassigned(dataset: Dataset) -> list[Dataset]:
    """Return what a conversion to enhanced form kept of the single images: a frame's, then all frames'."""
    first = (_frames(dataset) or [Dataset()])[0]
    shared = (items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return [
        *items(first, "UnassignedPerFrameConvertedAttributesSequence"),
        *items(shared, "UnassignedSharedConvertedAttributesSequence"),
    ]


def _frames(dataset: Dataset) -> list[Dataset]:
    return items(dataset, "PerFrameFunctionalGroupsSequence", most=_MOST_GROUPS)


class _Groups:
    """Where an attribute of a frame is: among its own functional groups, the shared ones, or the header."""

    def __init__(self, dataset: Dataset, *groups: Dataset) -> None:
        self.dataset, self._groups = dataset, groups[::-1]

    def __call__(self, sequence: str) -> Dataset:
        for group in self._groups:
            if found := items(group, sequence):
                return found[0]
        return Dataset() if self._groups else self.dataset


def _slice(path: Path, index: int, group: _Groups, frame: Dataset, gated: bool) -> Slice:
    dataset = group.dataset
    rows, columns = (int(numbers(dataset, name, 1)[0]) for name in ("Rows", "Columns"))
    measures = group("PixelMeasuresSequence")
    pixel_spacing = numbers(measures, "PixelSpacing", 2)
    orientation = numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6).reshape(2, 3)
    slope, intercept, units = _rescale(group)
    if rows < 1 or columns < 1 or (pixel_spacing <= 0).any() or slope == 0:
        raise VolumeError("A PET slice has no pixels, a pixel spacing that is not positive, or a slope of 0.")
    if not np.allclose(orientation @ orientation.T, np.eye(2), atol=1e-3):
        raise VolumeError(
            "A PET slice's ImageOrientationPatient (0020,0037) is not two perpendicular directions."
        )
    if int(number(dataset, "SamplesPerPixel") or 1) != 1:
        raise VolumeError("A PET slice has several frames or is in colour; one grey frame a file is needed.")
    return Slice(
        path=path,
        index=index,
        rows=rows,
        columns=columns,
        bytes_per_pixel=max(1, int(number(dataset, "BitsAllocated") or 16) // 8),
        pixel_spacing=pixel_spacing,
        orientation=orientation / np.linalg.norm(orientation, axis=1, keepdims=True),
        position=numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        thickness=number(measures, "SliceThickness"),
        slope=slope,
        intercept=intercept,
        order=_order(frame, index, gated),
        start=next((one for one in _starts(frame) if one is not None), np.nan),
        units=units,
    )


def _rescale(group: _Groups) -> tuple[float, float, tuple[str, str]]:
    """Return slope, intercept, and the units that they lead to where these are stated beside them."""
    mapping = group("RealWorldValueMappingSequence")
    if mapping is not group.dataset and mapping:
        code = (items(mapping, "MeasurementUnitsCodeSequence") or [Dataset()])[0]
        slope, intercept = (number(mapping, f"RealWorldValue{name}") for name in ("Slope", "Intercept"))
        units = _REAL_WORLD_UNITS.get(text(code, "CodeValue"))
        if units is not None and slope is not None:
            return slope, intercept or 0.0, units
    rescale = group("PixelValueTransformationSequence")
    slope = float(numbers(rescale, "RescaleSlope", 1)[0])
    # The PET IOD has an intercept of zero always, so its absence says nothing new.
    intercept = float(numbers(rescale, "RescaleIntercept", 1)[0]) if "RescaleIntercept" in rescale else 0.0
    units = ("", "")
    if rescale is not group.dataset:
        units = _REAL_WORLD_UNITS.get(text(rescale, "RescaleType"), units)
    return slope, intercept, units


def _order(frame: Dataset, index: int, gated: bool) -> tuple[float, ...]:
    content = (items(frame, "FrameContentSequence") or [frame])[0]
    cycle = [
        number(holder, keyword)
        for sequence, keyword in (
            ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
            ("RespiratorySynchronizationSequence", "NominalRespiratoryTriggerDelayTime"),
        )
        for holder in items(frame, sequence)
    ]
    trigger = [*cycle, number(frame, "TriggerTime")]
    moments = [*_starts(frame), number(frame, "FrameReferenceTime")]
    counters = [
        number(content, "TemporalPositionIndex"),
        number(frame, "TemporalPositionIdentifier"),
        number(frame, "ImageIndex"),
        number(frame, "AcquisitionNumber"),
        number(frame, "InstanceNumber"),
        index,
    ]
    keys = [*trigger, *moments, *counters] if gated else [*moments, *trigger, *counters]
    return tuple(-np.inf if key is None else float(key) for key in keys)


def _starts(frame: Dataset) -> list[float | None]:
    content = (items(frame, "FrameContentSequence") or [frame])[0]
    return [
        _seconds(text(content, "FrameAcquisitionDateTime")),
        _seconds(text(frame, "AcquisitionDateTime"))
        or _seconds(text(frame, "AcquisitionDate") + text(frame, "AcquisitionTime")),
    ]


def _seconds(written: str) -> float | None:
    when = moment(written, timedelta(0))  # frames are compared with each other alone
    return None if when is None else (when - datetime(1900, 1, 1)).total_seconds()
