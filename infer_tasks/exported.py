"""A saved version of a label as `lib.export` writes it."""

from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import pydicom

from lib.export.documents import Algorithm, Annotation, ExportedObject
from lib.interaction import AnnotatedObject
from lib.interaction.labels import is_lesion
from lib.pet import Crop, Volume, VolumeError, choose, find_series, read_mask
from lib.pet.components import objects_of
from lib.pet.lesion_table import lesion_table
from lib.pet.organ_map import OrganMap
from lib.pet.tracers import tracer_of
from lib.store import LabelVersion


def exported_objects(saved: LabelVersion, volume: Volume) -> list[ExportedObject]:
    """Return the objects of a version with their masks.

    Without a draft's proposals: nobody has said yet what they are. Who saved a label as more than a draft, as
    other viewers do, stands for those in it.

    Raises:
        VolumeError: the version has no instances, or they are on another grid than the image is now.
    """
    if saved.instances is None:
        raise VolumeError("This version of the label has no objects: save it once more.")
    grid, _ = read_mask(saved.instances)
    if grid.shape != volume.shape:
        raise VolumeError("The saved label is on another grid than the study's image is now.")
    left_out = "proposed" if saved.status == "draft" else None
    stored = {one["id"]: one for one in saved.objects()["objects"] if one.get("status") != left_out}
    return [_exported(stored[value], mask) for value, mask in objects_of(grid, "values") if value in stored]


def numbers(objects: Sequence[ExportedObject], volume: Volume, organs: OrganMap | None) -> dict[str, Any]:
    """Return the lesion table of the objects that are lesions, as `segpet quantify` has it."""
    lesions = {one.id: one.mask for one in objects if is_lesion(one.label)}
    return lesion_table(volume, lesions, organs, tracer_of(volume))


def annotation_of(
    saved: LabelVersion,
    volume: Volume,
    folder: Path,
    organs: OrganMap | None = None,
    impression: str = "",
) -> Annotation:
    """Return a version of a label, ready to be written as DICOM.

    Args:
        saved: the version.
        volume: the study's image.
        folder: its DICOM series.
        organs: names sites.
        impression: accepted text.

    Raises:
        VolumeError: as `exported_objects`, or the folder cannot be read.
        ExportError: the series is not that of the volume.
    """
    series, frame, _ = choose(find_series(folder))
    slices = series.frames[frame]
    files = dict.fromkeys(one.path for one in slices)  # one, where it is multi-frame
    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    objects = exported_objects(saved, volume)
    return Annotation(
        sources=sources,
        volume=volume,
        objects=objects,
        table=numbers(objects, volume, organs),
        version=saved.number,
        author=saved.author or "",
        software=version_of("segpet"),
        suv_factor=series.suv.factors.get("SUVbw"),
        impression=impression,
        final=saved.status == "final",
        frames=[one.index for one in slices],
    )


def _exported(stored: dict[str, Any], mask: Crop) -> ExportedObject:
    one = AnnotatedObject.from_dict(stored)
    algorithm = _algorithm(one)
    model = "" if algorithm == "MANUAL" else str(stored.get("model", ""))
    return ExportedObject(one.id, one.label, one.uid, mask, algorithm, model, one.name)


def _algorithm(one: AnnotatedObject) -> Algorithm:
    """Return how an object came about: a person's clicks or strokes make a proposal semi-automatic."""
    clicks = one.positive | one.negative
    if not clicks:
        return "MANUAL"
    return "SEMIAUTOMATIC" if one.paints or clicks - one.seeds else "AUTOMATIC"
