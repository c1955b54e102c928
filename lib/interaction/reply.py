"""What every reply says beside the mask."""

from typing import Any
from weakref import WeakKeyDictionary

from lib.interaction.engine import Engine, Update
from lib.interaction.labels import is_lesion
from lib.pet import Crop, LesionNumbers, Volume, quantify, summarise
from lib.pet.plausible import doubts
from lib.pet.quantify import unit_warning

#: The numbers of living masks: an object that a click leaves alone keeps its mask and is not measured anew.
_MEASURED: WeakKeyDictionary[Crop, tuple[str, LesionNumbers]] = WeakKeyDictionary()


def describe(volume: Volume, update: Update, engine: Engine) -> dict[str, Any]:
    """Return an update for JSON: objects and patient with their numbers, regions, warnings, weights.

    The patient's numbers are those of the objects whose label says that they are lesions.
    """
    lesions = {obj.id: update.masks[obj.id] for obj in update.objects if is_lesion(obj.label)}
    numbers = {number: numbers_of(volume, mask) for number, mask in update.masks.items()}
    voxels = {number: one.voxels for number, one in numbers.items()}
    doubted = doubts(update.masks, voxels, {number: one.max for number, one in numbers.items()}, volume.unit)
    return {
        "objects": [
            {
                "id": obj.id,
                "label": obj.label,
                "uid": obj.uid,
                "status": obj.status,
                "positive": sorted(obj.positive),
                "negative": sorted(obj.negative),
                **numbers[obj.id].as_dict(),
            }
            for obj in update.objects
        ],
        "patient": summarise(volume, lesions).as_dict(),
        "regions": update.regions,
        "warnings": [*update.warnings, *filter(None, [unit_warning(volume)]), *doubted],
        "weights": {"name": engine.segmenter.name, "digest": engine.segmenter.digest},
        "unit": volume.unit,
        "preflight": volume.preflight.as_dict() if volume.preflight else None,
    }


def numbers_of(volume: Volume, mask: Crop) -> LesionNumbers:
    """Return what a mask measures in a volume; the same crop is measured once."""
    digest, numbers = _MEASURED.get(mask, ("", None))
    if numbers is None or digest != volume.digest:
        numbers = quantify(volume, mask)
        _MEASURED[mask] = volume.digest, numbers
    return numbers
