"""The PET and CT images of a DICOM folder, listed without reading their pixels."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    PositronEmissionTomographyImageStorage,
)

from lib.pet.dicom_files import number, read_header, sop_classes, tags, text
from lib.pet.volume import VolumeError

#: SOP classes of PET images; the latter two hold all slices in one file.
PET = (
    PositronEmissionTomographyImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
)
#: Tags of the listed images' headers: what tells patient, study and series.
LISTED = tags(
    "SpecificCharacterSet SOPClassUID SOPInstanceUID InstanceNumber NumberOfFrames Rows Columns "
    "BitsAllocated StudyInstanceUID StudyDate StudyTime StudyDescription StudyID AccessionNumber "
    "ReferringPhysicianName TimezoneOffsetFromUTC PatientName PatientID PatientBirthDate PatientSex "
    "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined "
    "ProtocolName"
)


class ListedImage(NamedTuple):
    """An image of a folder.

    Args:
        path: its file.
        uid: SOPInstanceUID.
        number: InstanceNumber, 0 where it has none.
        frames: how many it holds.
        header: its elements of `LISTED`.
    """

    path: Path
    uid: str
    number: int
    frames: int
    header: Dataset


class Stamp(NamedTuple):
    """How a folder was when it was looked at; another file, or a changed one, makes another stamp."""

    files: int
    bytes: int
    newest_ns: int


def stamp_of(folder: Path) -> Stamp:
    """Return a folder's stamp, that of its subfolders included."""
    stats = [path.stat() for path in _files(folder) if path.exists()]
    return Stamp(
        len(stats),
        sum(stat.st_size for stat in stats),
        max((max(stat.st_mtime_ns, stat.st_ctime_ns) for stat in stats), default=0),
    )


def change_of(path: Path, files: Callable[[Path], Iterable[Path]]) -> tuple[int, int]:
    """Return when a folder, or a file and what belongs to it, changed last (ns), and their bytes.

    Args:
        path: of the folder or file.
        files: gives a file and what belongs to it.

    Raises:
        OSError: it is gone.
    """
    if path.is_dir():
        stamp = stamp_of(path)
        return stamp.newest_ns, stamp.bytes
    found = [file.stat() for file in files(path)]
    return max(status.st_mtime_ns for status in found), sum(status.st_size for status in found)


def holds_pet(folder: Path) -> bool:
    """Whether there is a PET image in a folder or the folders in it; the search ends with the first."""
    for path in _files(folder):
        try:
            if path.is_file() and any(one in PET for one in sop_classes(path) or ()):
                return True
        except VolumeError:  # a damaged file: the reader of the study will say so
            continue
    return False


def list_images(folder: Path) -> Iterator[ListedImage]:
    """Yield the PET and CT images in a folder and the folders in it; damaged files are left out."""
    for path in _files(folder):
        try:
            found = read_header(path, LISTED) if path.is_file() and _is_shown(path) else None
            if found is None or not found.has_pixels:
                continue
            header = found.dataset
            uids = [text(header, f"{level}InstanceUID") for level in ("SOP", "Series", "Study")]
            frames = int(number(header, "NumberOfFrames") or 1)
            if all(uids) and frames > 0:
                yield ListedImage(path, uids[0], int(number(header, "InstanceNumber") or 0), frames, header)
        except VolumeError:
            continue


def _is_shown(path: Path) -> bool:
    return any(one in (*PET, CTImageStorage) for one in sop_classes(path) or ())


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names))
