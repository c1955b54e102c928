"""The masks of a label as a DICOM Segmentation (PS3.3 A.51): binary, a segment an object, the whole grid."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lib.export.codes import algorithm_family, meaning_of
from lib.export.documents import MANUFACTURER, REFUSED, Annotation, ExportedObject, ExportError
from lib.export.multi_frame import is_multi_frame, refer_to_frames
from lib.pet import Crop

#: What a negative study's one empty segment is called: a SEG must have a segment.
NO_LESION = "no lesion"
SERIES_NUMBER = 9001
_COLOURS = ((220, 50, 47), (38, 139, 210), (133, 153, 0), (181, 137, 0), (211, 54, 130), (42, 161, 152))
#: What SEG and SR take of every image, and of one that has no functional groups.
_NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "Modality", "Rows", "Columns",
)  # fmt: skip
_NEEDED_OF_PLANES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


def make_segmentation(annotation: Annotation) -> Segmentation:
    """Return the SEG of a label.

    Frames without a voxel are kept: every reader gets the PET's whole grid, also of an empty mask. Objects
    may overlap.

    Raises:
        ExportError: the sources are no images that a SEG can refer to.
    """
    lacking = {keyword for source in annotation.sources for keyword in _lacking(source)}
    if lacking:
        raise ExportError(f"{REFUSED} lack {', '.join(sorted(lacking))}.")
    objects = annotation.objects or (_nothing(annotation),)
    segmentation = Segmentation(
        source_images=annotation.sources,
        pixel_array=_frames(annotation, objects),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _described(number, one, annotation.software) for number, one in enumerate(objects, start=1)
        ],
        series_instance_uid=annotation.uid("SEG series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=annotation.instance_uid("SEG"),
        instance_number=annotation.version,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=annotation.software,
        device_serial_number="0",
        content_label="LESIONS" if annotation.objects else "NO_LESION",
        content_description=f"PET label, version {annotation.version}",
        content_creator_name=annotation.person_name or None,
        omit_empty_frames=False,
    )
    if annotation.multi_frame:
        refer_to_frames(segmentation, annotation.frames)
    segmentation.SeriesDescription = "SegPET labels"
    return segmentation


def _lacking(source: Dataset) -> list[str]:
    """Return the attributes that an image must have for a SEG and has not, or has empty."""
    needed = _NEEDED if is_multi_frame(source) else (*_NEEDED, *_NEEDED_OF_PLANES)
    return [keyword for keyword in needed if source.get(keyword) in (None, "")]


def _frames(annotation: Annotation, objects: Sequence[ExportedObject]) -> NDArray[np.unsignedinteger]:
    """Return (slices, rows, columns) with the segments' numbers; where objects overlap, (..., segments).

    DICOM's rows run along j, its columns along i.
    """
    columns, rows, slices = annotation.volume.shape
    numbers = np.zeros((slices, rows, columns), np.uint16)
    for number, one in enumerate(objects, start=1):
        i, j, k = one.mask.slices
        there, mask = numbers[k, j, i], one.mask.array.transpose(2, 1, 0)
        if there[mask].any():
            return _stacked(annotation, objects)
        there[mask] = number
    return numbers


def _stacked(annotation: Annotation, objects: Sequence[ExportedObject]) -> NDArray[np.uint8]:
    columns, rows, slices = annotation.volume.shape
    frames = np.zeros((slices, rows, columns, len(objects)), np.uint8)
    for place, one in enumerate(objects):
        i, j, k = one.mask.slices
        frames[k, j, i, place] = one.mask.array.transpose(2, 1, 0)
    return frames


def _described(number: int, one: ExportedObject, software: str) -> SegmentDescription:
    meaning = meaning_of(one.label)
    algorithm = None
    if one.algorithm != "MANUAL":
        algorithm = hd.AlgorithmIdentificationSequence(
            name=one.model or MANUFACTURER, family=algorithm_family(one.model), version=software
        )
    described = SegmentDescription(
        segment_number=number,
        segment_label=one.tracking_id[:64],
        segmented_property_category=meaning.category,
        segmented_property_type=meaning.type,
        algorithm_type=one.algorithm,
        algorithm_identification=algorithm,
        tracking_uid=one.uid,
        tracking_id=one.tracking_id,
        display_color=hd.color.CIELabColor.from_rgb(*_COLOURS[(number - 1) % len(_COLOURS)]),
    )
    if meaning.side:
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [meaning.side]
    return described


def _nothing(annotation: Annotation) -> ExportedObject:
    uid = annotation.uid(NO_LESION)
    return ExportedObject(1, "lesion", uid, Crop.empty(), "MANUAL", name=NO_LESION)
