"""The PET series of a DICOM folder, told apart and described; the CT that belongs to each."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MediaStorageDirectoryStorage,
    PositronEmissionTomographyImageStorage,
)

from lib.pet import dicom_slices, scan_header
from lib.pet.dicom_files import DAMAGED, number, read_header, sop_classes, tags, text, texts
from lib.pet.dicom_grid import affine_of, check_alike, in_order, split_frames
from lib.pet.dicom_slices import Slice, slices_of, unassigned
from lib.pet.nuclides import nuclide_with
from lib.pet.scan_header import ScanHeader
from lib.pet.suv import SUVFactors, suv_factors
from lib.pet.volume import VolumeError

_ENHANCED = (EnhancedPETImageStorage, LegacyConvertedEnhancedPETImageStorage)
_PET = (PositronEmissionTomographyImageStorage, *_ENHANCED)
_TAGS = (
    *tags(
        "SeriesInstanceUID StudyInstanceUID PatientID PatientName FrameOfReferenceUID "
        "SeriesNumber SeriesType ImageType ReconstructionMethod"
    ),
    *tags("NumberOfTimeSlices NumberOfTimeSlots NumberOfRRIntervals"),
    *dicom_slices.TAGS,
    *scan_header.TAGS,
)
_COUNTS_OF_FRAMES = {
    "NumberOfTimeSlices": "dynamic",
    "NumberOfTimeSlots": "gated",
    "NumberOfRRIntervals": "gated",
}
_KINDS = ("static", "whole body", "dynamic", "gated")


@dataclass(frozen=True, eq=False)
class CTSeries:
    """A CT series, its slices in order."""

    uid: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    slices: Sequence[Slice] = field(repr=False)


@dataclass(frozen=True, eq=False)
class PETSeries:
    """One PET series. `str` describes it without a word that could name the patient.

    Args:
        uid: SeriesInstanceUID.
        study: StudyInstanceUID.
        patient: PatientID.
        frame_of_reference: FrameOfReferenceUID.
        number: SeriesNumber, None where it has none.
        kind: "static", "whole body", "dynamic" or "gated"; "" where the header does not say.
        projection: the images are projections, not slices.
        reconstruction: method as the scanner names it.
        tracer: as the header calls it.
        header: what SUV depends on.
        contradiction: in what the headers of its images differ, "" where they do not.
        frames: slices in order along row x column, per frame; none where there is a fault.
        fault: the sentence why the series cannot be read, "" where it can.
        ct: a CT of the same frame of reference in the same folder.
    """

    uid: str = field(repr=False)
    study: str = field(repr=False)
    patient: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    number: int | None
    kind: str
    projection: bool
    reconstruction: str
    tracer: str
    header: ScanHeader = field(repr=False)
    contradiction: str
    frames: Sequence[Sequence[Slice]] = field(repr=False)
    fault: str = ""
    ct: CTSeries | None = None

    @cached_property
    def suv(self) -> SUVFactors:
        """What its values can be turned into."""
        return suv_factors(self.header, self.contradiction)

    @property
    def attenuation_corrected(self) -> bool | None:
        """Whether; None where the header does not say."""
        return self.header.attenuation_corrected

    @property
    def static(self) -> bool:
        """Whether there is one frame only, neither of a time series nor of a gate."""
        return self.kind not in ("dynamic", "gated")

    @property
    def nuclide(self) -> str:
        """Its name, from the half-life where the header does not say it; "" where that does not tell."""
        return self.header.nuclide or nuclide_with(self.header.half_life_s or 0.0)

    @property
    def slice_count(self) -> int:
        """Slices of one frame."""
        return len(self.frames[0]) if self.frames else 0

    @property
    def coverage_mm(self) -> float:
        """How much of the patient the slices cover along their axis."""
        if self.slice_count < 2:
            return 0.0
        first, last = self.frames[0][0], self.frames[0][-1]
        return float(np.linalg.norm(last.position - first.position))

    def uptake_minutes(self, frame: int) -> float | None:
        """From injection to the start of a frame, 0-based; None where times are missing, or it was before."""
        minutes = self.suv.uptake_minutes
        if minutes is not None and self.kind == "dynamic" and frame > 0:
            starts = np.array([[one.start for one in slices] for slices in self.frames]).min(axis=1)
            if len(set(starts)) < len(starts):  # those of the scan
                return None
            minutes += float(starts[frame] - starts[0]) / 60
        return minutes if minutes is not None and minutes >= 0 else None

    def __str__(self) -> str:
        corrected = {True: "attenuation corrected", False: "not attenuation corrected"}
        uptake = self.uptake_minutes(0)
        parts = (
            self.kind or "kind not stated",
            corrected.get(self.attenuation_corrected, "attenuation correction not stated"),  # type: ignore[arg-type]
            self.reconstruction and f"reconstruction {self.reconstruction}",
            " ".join(filter(None, (self.nuclide, self.tracer))),
            "" if uptake is None else f"{uptake:.0f} min after injection",
            f"{len(self.frames)} frames" if len(self.frames) > 1 else "",
            f"{self.slice_count} slices" if self.frames else "cannot be read",
        )
        return ", ".join(filter(None, parts))


def find_series(folder: str | Path) -> list[PETSeries]:
    """Return the PET series in a folder and the folders in it, by SeriesNumber; other files are ignored.

    A series that cannot be read is among them, with its `fault`.

    Raises:
        VolumeError: a file is so damaged that it is not known to which series it belongs.
    """
    pet, ct = _by_series(Path(folder))
    if "" in pet and len(pet) > 1:  # cut at its beginning: a slice of any of the others
        raise VolumeError(DAMAGED)
    scans = [_ct_series(uid, files) for uid, files in ct.items()]
    series = [_pet_series(uid, files) for uid, files in pet.items()]
    series = [replace(one, ct=_matching(one, scans)) for one in series]
    return sorted(series, key=lambda one: (one.number is None, one.number or 0, one.uid))


def find_ct(series: PETSeries, folder: str | Path | None = None) -> CTSeries | None:
    """Return the CT with the PET's frame of reference, the one with most slices; None where there is none.

    Args:
        series: of PET.
        folder: where to look; without it the PET's own folder, as `find_series` saw it.
    """
    if folder is None:
        return series.ct
    _, ct = _by_series(Path(folder))
    return _matching(series, [_ct_series(uid, files) for uid, files in ct.items()])


class _File(NamedTuple):
    path: Path
    kind: str
    header: Dataset


def _by_series(folder: Path) -> tuple[dict[str, list[_File]], dict[str, list[_File]]]:
    """Return the PET and the CT images in a folder and the folders in it, each by SeriesInstanceUID."""
    pet: defaultdict[str, list[_File]] = defaultdict(list)
    ct: defaultdict[str, list[_File]] = defaultdict(list)
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    for path in sorted(paths):
        # Pipes and sockets would wait forever.
        if path.is_file() and (file := _recognised(path)) is not None:
            (ct if file.kind == CTImageStorage else pet)[text(file.header, "SeriesInstanceUID")].append(file)
    return pet, ct


def _recognised(path: Path) -> _File | None:
    """Return the header of a PET or CT image; None for any other file, whose kind alone is read."""
    classes = sop_classes(path)
    if classes is None:
        return None
    if not classes[0] and classes[1] != MediaStorageDirectoryStorage:
        raise VolumeError(DAMAGED)  # cut at its beginning: it may be the last slice of a series
    kind = next((one for one in (*_PET, CTImageStorage) if one in classes), None)
    found = None if kind is None else read_header(path, _TAGS)
    if kind is None or found is None:
        return None
    if not found.has_pixels:  # cut, maybe within the UID of its series
        if kind in _PET:
            raise VolumeError(DAMAGED)
        return None
    return _File(path, kind, found.dataset)


def _pet_series(uid: str, files: Sequence[_File]) -> PETSeries:
    header = files[0].header
    fault, frames, scan, contradiction = "", [], ScanHeader(), ""
    kind = _kind(header)
    try:
        headers = [ScanHeader.read(file.header, *unassigned(file.header)) for file in files]
        scan, contradiction = ScanHeader.of_series(headers)
        slices = [
            one
            for file in files
            for one in slices_of(file.header, file.path, file.kind in _ENHANCED, kind == "gated")
        ]
        if len({one.units for one in headers}) > 1:
            raise VolumeError("The PET slices differ in their unit.")
        if len({text(file.header, "PatientID") for file in files}) > 1:
            raise VolumeError("The PET series mixes images of several patients.")
        check_alike(slices)
        if any(slices[0].units):
            scan = replace(scan, units=slices[0].units[0], suv_type=slices[0].units[1])
        if not kind and files[0].kind in _ENHANCED and _several_frames(slices):
            kind = "dynamic"
        split = split_frames(slices, kind) if kind in ("dynamic", "gated") else [slices]
        frames = [in_order(frame) for frame in split]
        affine_of(frames[0])
    except VolumeError as error:
        fault, frames = str(error), []
    number_ = number(header, "SeriesNumber")
    known = (text(header, "PatientID"), *re.split(r"[\^ =]+", text(header, "PatientName")))
    return PETSeries(
        uid=uid,
        study=text(header, "StudyInstanceUID"),
        patient=text(header, "PatientID"),
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        number=None if number_ is None else int(number_),
        kind=kind,
        projection="REPROJECTION" in texts(header, "SeriesType"),
        reconstruction=_anonymous(text(header, "ReconstructionMethod"), known),
        tracer=_anonymous(scan.tracer, known),
        header=replace(scan, dynamic=kind == "dynamic"),
        contradiction=contradiction,
        frames=frames,
        fault=fault,
    )


def _several_frames(slices: Sequence[Slice]) -> bool:
    return len({tuple(one.position) for one in slices}) < len(slices)


def _kind(header: Dataset) -> str:
    for keyword, kind in _COUNTS_OF_FRAMES.items():
        if (number(header, keyword) or 1) > 1:
            return kind
    stated = [
        one.lower().replace("_", " ") for one in (*texts(header, "SeriesType"), *texts(header, "ImageType"))
    ]
    return next((one for one in stated if one in _KINDS), "")


def _anonymous(words: str, identifiers: Sequence[str]) -> str:
    """Return a header's free text, shortened and plain; "" where it holds what names the patient."""
    plain = re.sub(r"[^\w +.,:;/()^-]", "", words)[:60].strip()
    named = any(len(one) > 2 and one.casefold() in plain.casefold() for one in identifiers)
    return "" if named else plain


def _ct_series(uid: str, files: Sequence[_File]) -> CTSeries | None:
    """Return a CT, None where it is a localizer or forms no grid."""
    try:
        own = [file for file in files if "LOCALIZER" not in texts(file.header, "ImageType")]
        slices = [one for file in own for one in slices_of(file.header, file.path)]
        if len(slices) < 2:
            return None
        check_alike(slices)
        return CTSeries(uid, text(own[0].header, "FrameOfReferenceUID"), in_order(slices))
    except VolumeError:
        return None


def _matching(series: PETSeries, scans: Sequence[CTSeries | None]) -> CTSeries | None:
    wanted = series.frame_of_reference
    same = [one for one in scans if one is not None and wanted and one.frame_of_reference == wanted]
    return max(same, key=lambda one: (len(one.slices), one.uid), default=None)
