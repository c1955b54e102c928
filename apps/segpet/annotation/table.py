"""The head of a frame: objects with their numbers, the patient's, and how the session stands."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from apps.segpet.annotation.colors import object_color
from apps.segpet.annotation.labels import Label
from infer_tasks.annotated import Item, Snapshot
from infer_tasks.annotations import View
from infer_tasks.patient_space import to_lps
from lib.interaction.labels import is_lesion
from lib.interaction.reply import numbers_of
from lib.interaction.scene import Scene
from lib.pet import Crop, Volume
from lib.pet.organ_map import OrganMap
from lib.pet.plausible import doubts
from lib.pet.quantify import summarise_apart, unit_warning
from lib.report.findings import site_text

#: What is told of living masks: an object that a change leaves alone keeps its crop and is not measured anew.
_TOLD: WeakKeyDictionary[Crop, tuple[str, OrganMap | None, dict[str, Any]]] = WeakKeyDictionary()


def table(
    volume: Volume, now: Snapshot, scene: Scene, labels: tuple[str, ...], organs: OrganMap | None
) -> dict[str, Any]:
    """Return `objects` and `patient` for JSON, as `docs/viewer-api.md` has them.

    The numbers are those of `lib.pet.quantify`, of what is seen of each object, and so of the saved label;
    the patient's without what is only proposed, for nobody has said yet that it is a lesion.

    Args:
        volume: the study's image.
        now: the objects.
        scene: how they are shown.
        labels: names in use, `background` first.
        organs: names sites; None where there is no organ map.
    """
    proposed = now.proposed()
    lesions = [
        numbers_of(volume, scene.seen[number])
        for number, item in now.items.items()
        if is_lesion(item.object.label) and number not in proposed
    ]
    return {
        "objects": [_row(volume, item, scene, labels, organs) for item in now.items.values()],
        "patient": {**summarise_apart(volume, lesions).as_dict(), "proposed": len(proposed)},
    }


def head(view: View, label: Label | None, others: list[str], volume: Volume) -> dict[str, Any]:
    """Return how a session stands, for JSON, as `docs/viewer-api.md` has it."""
    preflight = volume.preflight
    # What the unit is stands in the panel's head, but for one that was overruled.
    unit = None if preflight and not preflight.overruled else unit_warning(volume)
    unchanged = view.saved is not None and label is not None and view.saved.version == label.version
    return {
        "revision": view.revision,
        "complete": view.complete,
        "changed": list(view.changed),
        "next": view.now.next_number(),
        "can_undo": view.can_undo,
        "can_redo": view.can_redo,
        "saved": saved(label, unchanged and view.saved.items == view.now.items if view.saved else False),
        "others": others,
        "warnings": [*view.warnings, *filter(None, [unit])],
    }


def saved(label: Label | None, unchanged: bool) -> dict[str, Any] | None:
    """Return a label for JSON; None where there is none."""
    return {**vars(label), "unchanged": unchanged} if label else None


def measured(volume: Volume, mask: Crop, organs: OrganMap | None = None) -> dict[str, Any]:
    """Return the numbers of a mask for JSON, places in LPS mm; the same crop is measured once."""
    digest, known_organs, told = _TOLD.get(mask, ("", None, None))
    if told is None or (digest, known_organs) != (volume.digest, organs):
        told = _measured(volume, mask, organs)
        _TOLD[mask] = volume.digest, organs, told
    return told


def _measured(volume: Volume, mask: Crop, organs: OrganMap | None) -> dict[str, Any]:
    numbers = numbers_of(volume, mask)
    told = numbers.as_dict()
    told.pop("centroid_mm")
    hottest = None
    if numbers.voxels:
        values = np.where(mask.array, np.nan_to_num(volume.array[mask.slices], nan=-np.inf), -np.inf)
        place = np.unravel_index(int(np.argmax(values)), values.shape)
        hottest = to_lps(volume, [int(at) + start for at, start in zip(place, mask.start, strict=True)])
    site = organs.site(mask) if organs else None
    return {
        **told,
        "centroid": None if numbers.centroid is None else to_lps(volume, numbers.centroid),
        "hottest": hottest,
        "site": site.text if site else None,
        "site_zh": site_text({**vars(site), "organ": site.name}, "zh") if site else None,
    }


def _row(
    volume: Volume, item: Item, scene: Scene, labels: tuple[str, ...], organs: OrganMap | None
) -> dict[str, Any]:
    obj, seen = item.object, scene.seen[item.object.id]
    numbers = numbers_of(volume, seen)
    doubted = doubts({obj.id: seen}, {obj.id: numbers.voxels}, {obj.id: numbers.max}, volume.unit)
    return {
        "number": obj.id,
        "label": obj.label,
        "name": obj.name,
        "uid": obj.uid,
        "status": obj.status,
        "covered": obj.id in scene.covered,
        "method": item.method.name,
        "threshold": item.method.threshold,
        "value": item.method.value,
        "color": object_color(obj.id, obj.label, labels),
        "clicks": [
            {"point": to_lps(volume, click.index), "positive": click.positive}
            for step in obj.steps
            for click in step
        ],
        "edited": bool(obj.paints),
        "warnings": [*(text[:1].upper() + text[1:] for text in item.warnings), *doubted],
        **measured(volume, seen, organs),
    }
