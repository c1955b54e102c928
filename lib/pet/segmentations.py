"""Reading DICOM SEG: its segments on a volume's grid."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from lib.pet.crop import Crop
from lib.pet.resample import nearest_labels
from lib.pet.volume import LPS_TO_RAS, Volume, VolumeError

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

#: By how much the distance of planes may differ from a multiple of their thickness.
_TOLERANCE = 0.01


def segment_masks(segmentation: "Segmentation", volume: Volume) -> dict[str, Crop]:
    """Return the segments of a DICOM SEG on a volume's grid, by their SegmentLabel; they may overlap.

    Of several with one label, the later ones have their number added.

    Raises:
        VolumeError: they are fractional, damaged, not on one regular grid, or all lie outside of the volume.
    """
    masks: dict[str, Crop] = {}
    outside = 0
    for number in segmentation.segment_numbers:
        label = str(segmentation.get_segment_description(number).segment_label)
        name = label if label not in masks else f"{label} {number}"
        try:
            placed = segmentation.get_volume(segment_numbers=[number], combine_segments=True)
            array, affine = np.asarray(placed.array), LPS_TO_RAS @ placed.affine
        except Exception as error:  # highdicom raises many things for what it cannot place
            raise VolumeError(
                "The SEG cannot be used: its segments are damaged, fractional or not on one regular grid."
            ) from error
        try:
            masks[name] = Crop.from_grid(nearest_labels((array > 0).astype(np.uint8), affine, volume))
        except VolumeError:
            masks[name] = Crop.empty()
            outside += 1
    if outside and not any(mask.any() for mask in masks.values()):
        raise VolumeError(
            "No segment of the SEG lies in the image: it belongs to another study, or to another frame of "
            "reference."
        )
    return masks


def only_segmentation(path: Path) -> "Segmentation":
    """Return the one DICOM SEG that a file or folder holds; VolumeError where it holds none, or several."""
    from highdicom.seg import Segmentation  # takes a second to import

    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            dataset = pydicom.dcmread(file)
            _tell_spacing(dataset)
            found.append(Segmentation.from_dataset(dataset, copy=False))
        except Exception:  # another kind of file, or a damaged one
            continue
    if len(found) != 1:
        raise VolumeError(
            f"{path.name} is no organ map: a NIfTI or NRRD file, a folder with one for each organ, or one "
            f"DICOM SEG is needed{f', not {len(found)} of them' if found else ''}."
        )
    return found[0]


def _tell_spacing(dataset: pydicom.Dataset) -> None:
    """Let the thickness be the spacing where a SEG tells none and its planes lie multiples of it apart.

    Planes without a voxel are often left out, and SpacingBetweenSlices is optional (PS3.3 C.7.6.16.2.1):
    the few that are left would else be read as thicker ones. Three and more evenly spaced ones tell it.
    A SEG whose frames have thickness or orientation each for itself is left as it is.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    if "PixelMeasuresSequence" not in shared or "PlaneOrientationSequence" not in shared:
        return
    measures = shared.PixelMeasuresSequence[0]
    thickness = float(measures.get("SliceThickness") or 0)
    if measures.get("SpacingBetweenSlices") or not thickness:
        return
    normal = np.cross(*np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)))
    frames = dataset.PerFrameFunctionalGroupsSequence
    places = {float(normal @ frame.PlanePositionSequence[0].ImagePositionPatient) for frame in frames}
    gaps = np.diff(np.sort(list(places))) / thickness
    gaps = gaps[gaps > _TOLERANCE]
    even = len(gaps) > 1 and np.ptp(gaps) < _TOLERANCE
    if not even and np.all(abs(gaps - gaps.round()) < _TOLERANCE):
        measures.SpacingBetweenSlices = measures.SliceThickness
