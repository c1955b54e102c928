"""Outlines that other programs drew: RT Structure Set, DICOM SEG or a mask file, on a volume's grid."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

from lib.pet.belonging import doubts_about
from lib.pet.components import objects_of
from lib.pet.contours import RT_STRUCTURE_SET, read_structure_set
from lib.pet.crop import Crop
from lib.pet.image_files import suffix_of
from lib.pet.organs import read_names
from lib.pet.resample import nearest_labels, same_grid, share_outside
from lib.pet.segmentations import only_segmentation, segment_masks
from lib.pet.volume import Volume, VolumeError
from lib.pet.writers import read_mask

#: Outlines of which a larger share lies outside of the image are another image's.
MOST_OUTSIDE = 0.5


@dataclass(frozen=True, eq=False)
class Outline:
    """One region that another program drew.

    Args:
        name: as that program has it: ROIName, SegmentLabel, or the name of a value of a mask file.
        mask: its voxels.
    """

    name: str
    mask: Crop


def read_outlines(path: Path, volume: Volume, value_names: Path | None = None) -> list[Outline]:
    """Read what another program outlined in a study; regions without a voxel in the image are left out.

    A mask file's values are a region each, named by `value_names`, else by their number; where it holds one
    value alone, each connected part (26 neighbours) is a region. Masks on another grid are resampled (nearest
    neighbour).

    Args:
        path: a DICOM file with an RT Structure Set or a SEG, a folder with one such file, or a NIfTI or NRRD
            file.
        volume: the PET image.
        value_names: CSV of number, name.

    Raises:
        VolumeError: nothing of that kind, a damaged one, or one that does not lie in the image.
    """
    if not path.exists():
        raise VolumeError(f"There is no file or folder {path.name}.")
    if path.is_file() and suffix_of(path):
        return _of_mask_file(path, volume, value_names)
    file = _only_file(path)
    if _sop_class(file) == RT_STRUCTURE_SET:
        masks = read_structure_set(file, volume)
    else:
        masks = segment_masks(only_segmentation(file), volume)
    return [Outline(name, mask) for name, mask in masks.items() if mask.any()]


def doubts_about_outlines(path: Path, study: Path) -> tuple[str, ...]:
    """Return the doubts that outlines, as of `read_outlines`, are of a study; a mask file gives no cause.

    Raises VolumeError: as `doubts_about`.
    """
    return () if path.is_file() and suffix_of(path) else doubts_about(_only_file(path), study)


def _of_mask_file(path: Path, volume: Volume, value_names: Path | None) -> list[Outline]:
    mask, affine = read_mask(path)
    names = read_names(value_names) if value_names else {}
    if not same_grid(mask.shape, affine, volume):
        if share_outside(mask, affine, volume) > MOST_OUTSIDE:
            raise VolumeError(
                f"Most of {path.name} lies outside of the image: it belongs to another study, or to another "
                "frame of reference."
            )
        mask = nearest_labels(mask, affine, volume)
    return [Outline(names.get(value, str(value)), crop) for value, crop in objects_of(mask, "auto")]


def _only_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    if len(files) != 1:
        raise VolumeError(
            f"The folder {path.name} holds {len(files)} files: one RT Structure Set or SEG is needed."
        )
    return files[0]


def _sop_class(path: Path) -> str:
    try:
        return str(pydicom.dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID", ""))
    except Exception as error:  # pydicom raises many things for what it cannot read
        raise VolumeError(
            f"{path.name} cannot be read: an RT Structure Set, a SEG, NIfTI or NRRD is needed."
        ) from error
