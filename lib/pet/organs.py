"""Reading an organ map: TotalSegmentator's output, or that of any program with names for its labels."""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
from numpy.typing import NDArray

from lib.pet.belonging import doubts_about_header
from lib.pet.dicom_folder import change_of
from lib.pet.image_files import FORMATS, suffix_of
from lib.pet.organ_map import OrganMap, organ_table
from lib.pet.resample import nearest_labels
from lib.pet.segmentations import only_segmentation
from lib.pet.volume import LPS_TO_RAS, Volume, VolumeError
from lib.pet.writers import read_mask

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_CARET_LABEL = re.compile(r'<Label\s[^>]*?Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]+)')

Names = dict[int, str]

#: In a studies folder, where the organ maps of its studies are.
FOLDER = "organs"


def find_organ_map(studies: Path, study: str) -> Path | None:
    """Return where a studies folder has a study's organ map, `organs/NAME`; None where it has none."""
    names = [study, *(f"{study}{end}" for end in FORMATS)]
    return next((path for name in names if (path := studies / FOLDER / name).exists()), None)


def organ_map_stamp(path: Path) -> tuple[int, int]:
    """Return when an organ map, a folder or a file and the CSV beside it, changed last (ns), and its bytes.

    Raises:
        OSError: it is gone.
    """
    return change_of(path, lambda file: (file, *_tables_beside(file)))


def read_organ_map(
    path: str | Path, volume: Volume, labels: str | Path | None = None, study: Path | None = None
) -> OrganMap:
    """Read an organ map, on the PET's grid or another one such as the CT's; it is brought onto the PET's.

    Each PET voxel gets the organ at its centre. Organs that overlap in a folder or in a DICOM SEG: the later
    one counts.

    Args:
        path: one of
            - a NIfTI or NRRD file with a number for each organ (TotalSegmentator's `--ml`). The names come
              from `labels`, else from the file itself (TotalSegmentator writes them into its NIfTI), else
              from a CSV beside it (NAME.csv, or labels.csv), else from TotalSegmentator v2's table;
            - a folder with one NIfTI or NRRD file for each organ, named by it (TotalSegmentator's default);
            - a DICOM SEG file, or a folder with one.
        volume: the PET image, in the same frame of reference.
        labels: a CSV of number, name.
        study: the image's folder, where it is DICOM: a SEG tells whose it is. Doubts become warnings.

    Raises:
        VolumeError: the map is missing, damaged, holds no organ or does not overlap the image, a SEG of
            another patient (`lib.pet.belonging`), a folder with nothing of that kind or with several SEG
            files, or a CSV that is not number, name.
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"There is no organ map {path.name}.")
    if path.is_dir() and any(suffix_of(file) for file in path.iterdir()):
        grid, names, warnings = _read_folder(path, volume)
    elif path.is_file() and suffix_of(path):
        grid, names, warnings = _read_file(path, volume, labels)
    else:
        grid, names, warnings = _read_segmentation(path, volume, study)
    seen = np.zeros(np.iinfo(np.uint16).max + 1, dtype=np.bool_)
    seen[grid.ravel(order="K")] = True
    found = [label for label in np.flatnonzero(seen).tolist() if label]
    if not found:
        raise VolumeError(f"The organ map {path.name} holds no organ.")
    unnamed = [str(label) for label in found if label not in names]
    if unnamed:
        warnings.append(f"The organ map has no names for its labels {', '.join(unnamed[:10])}.")
    named = {label: names[label] for label in found if label in names}
    return OrganMap(grid, named, volume.affine, tuple(warnings))


Read = tuple[NDArray[np.unsignedinteger], Names, list[str]]


def _read_file(path: Path, volume: Volume, labels: str | Path | None) -> Read:
    grid, affine = read_mask(path)
    warnings: list[str] = []
    table = Path(labels) if labels else next(iter(_tables_beside(path)), None)
    names = {} if labels else _names_in_nifti(path)
    if not names and table:
        names = read_names(table)
    if not names:
        names = {label: name for label, (name, _) in organ_table().items()}
        warnings.append("The organ map does not name its labels; they are taken as TotalSegmentator v2's.")
    return nearest_labels(grid, affine, volume), names, warnings


def _tables_beside(path: Path) -> list[Path]:
    """Return the CSVs that may name a file's labels, the first of which does."""
    named = path.with_name(path.name[: len(path.name) - len(suffix_of(path))] + ".csv")
    return [file for file in (named, path.with_name("labels.csv")) if file.is_file()]


def _names_in_nifti(path: Path) -> Names:
    """Return the names in a NIfTI's Caret extension, where TotalSegmentator puts them."""
    if FORMATS[suffix_of(path)] != "NIfTI":
        return {}
    header = nibabel.load(path).header  # read_mask has read the file before
    texts = [extension.get_content() for extension in getattr(header, "extensions", [])]
    return {
        int(label): name.strip()
        for text in texts
        if isinstance(text, bytes)
        for label, name in _CARET_LABEL.findall(text.decode("utf-8", errors="replace"))
        if int(label) > 0
    }


def read_names(path: Path) -> Names:
    """Return the names in a CSV of number, name; a first line that is none may head the columns.

    Raises VolumeError: there is no such file, or it is no such table.
    """
    wrong = f"{path.name} is no table of labels: every line must hold a number and a name, as in 5,liver."
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise VolumeError(f"There is no table of labels {path.name}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VolumeError(wrong) from error
    if rows and not rows[0][0].strip().isdecimal():
        rows = rows[1:]
    if not rows or any(len(row) < 2 or not row[0].strip().isdecimal() or not row[1].strip() for row in rows):
        raise VolumeError(wrong)
    return {int(row[0]): row[1].strip() for row in rows}


def _read_folder(folder: Path, volume: Volume) -> Read:
    files = sorted(file for file in folder.iterdir() if suffix_of(file))
    if len(files) > np.iinfo(np.uint16).max:
        raise VolumeError(f"The folder {folder.name} holds too many files for an organ map.")
    grid = np.zeros(volume.shape, np.uint16, order="F")
    names, missed = {}, []
    for label, file in enumerate(files, start=1):
        organ, affine = read_mask(file)
        try:
            grid[nearest_labels(organ, affine, volume) > 0] = label
        except VolumeError:
            missed.append(file.name)
            continue
        names[label] = file.name[: -len(suffix_of(file))]
    if len(missed) == len(files):
        raise VolumeError(
            f"No organ in the folder {folder.name} overlaps the image; they belong to another study, or to "
            "another frame of reference."
        )
    return grid, names, []


def _read_segmentation(path: Path, volume: Volume, study: Path | None) -> Read:
    segmentation = only_segmentation(path)
    doubts = doubts_about_header(segmentation, path.name, study) if study else ()
    try:
        placed = segmentation.get_volume(combine_segments=True, skip_overlap_checks=True)
        array, affine = np.asarray(placed.array), LPS_TO_RAS @ placed.affine
        names = {
            number: _segment_name(segmentation.get_segment_description(number))
            for number in segmentation.segment_numbers
        }
    except Exception as error:  # highdicom raises many things for what it cannot place
        raise VolumeError(
            f"{path.name} cannot be used as an organ map: its segments are damaged, fractional or not on one "
            "regular grid."
        ) from error
    return nearest_labels(array.astype(np.uint16, copy=False), affine, volume), names, [*doubts]


def _segment_name(segment: "SegmentDescription") -> str:
    """Return an organ's name as TotalSegmentator writes it, where the segment's label or codes allow.

    "Left kidney" and "Kidney" with the modifier "Left" are both kidney_left.
    """
    known = {name.lower(): name for name, _ in organ_table().values()}
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence", [])
    label = str(segment.segment_label)
    for written in (label, str(kind.CodeMeaning)):
        words = re.findall(
            r"[^\W_]+", " ".join([written, *(str(one.CodeMeaning) for one in modifiers)]).lower()
        )
        sides = [word for word in words if word in ("left", "right")][:1]
        others = [word for word in words if word not in ("left", "right")]
        for name in (label.lower(), "_".join(others), "_".join(others + sides)):
            if name in known:
                return known[name]
    return "_".join(re.findall(r"[^\W_]+", label))
