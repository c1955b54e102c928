"""What every reply says beside the mask."""

from typing import Any
from weakref import WeakKeyDictionary

from lib.interaction.engine import Engine, Update
from lib.pet import Crop, LesionNumbers, Volume, quantify

#: The numbers of living masks: an object that a click leaves alone keeps its mask and is not measured anew.
_MEASURED: WeakKeyDictionary[Crop, tuple[str, LesionNumbers]] = WeakKeyDictionary()


def describe(volume: Volume, update: Update, engine: Engine) -> dict[str, Any]:
    """Return an update for JSON: objects and their numbers, regions, warnings, stage times, weights."""
    warnings = list(update.warnings)
    if volume.unit != "SUVbw":
        said = "Bq/ml" if volume.unit == "Bq/ml" else "in a unit that the file does not state"
        warnings.append(f"The numbers are no SUV: this image's values are {said}.")
    return {
        "objects": [
            {
                "id": obj.id,
                "label": obj.label,
                "uid": obj.uid,
                "status": obj.status,
                "positive": sorted(obj.positive),
                "negative": sorted(obj.negative),
                **_numbers(volume, update.masks[obj.id]).as_dict(),
            }
            for obj in update.objects
        ],
        "regions": update.regions,
        "warnings": warnings,
        "seconds": {stage: round(seconds, 4) for stage, seconds in update.seconds.items()},
        "weights": {"name": engine.segmenter.name, "digest": engine.segmenter.digest},
        "unit": volume.unit,
    }


def _numbers(volume: Volume, mask: Crop) -> LesionNumbers:
    digest, numbers = _MEASURED.get(mask, ("", None))
    if numbers is None or digest != volume.digest:
        numbers = quantify(volume, mask)
        _MEASURED[mask] = volume.digest, numbers
    return numbers
