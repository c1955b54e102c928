"""From saved labels to the objects of a session, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from apps.segpet.label_names import as_in_the_mask, names_of_values, read_names, values_of
from apps.segpet.studies import Studies
from infer_tasks.annotated import MOST_OBJECTS, Item, Method, Snapshot
from infer_tasks.annotations import Saved
from infer_tasks.instances import instances
from infer_tasks.sessions import BATCH, Clicked
from infer_tasks.workspace import Workspace
from lib.interaction import AnnotatedObject, class_map
from lib.interaction.painting import Bits
from lib.interaction.scene import Scene
from lib.pet import Volume, read_mask
from lib.pet.components import objects_of
from lib.store.labels import STATUSES, LabelVersion

#: What answers an object's further clicks, by the infer task in which it was clicked.
_METHODS = {
    "segpet": Method("segpet"),
    "segpet_click": Method("segpet"),
    "suv_region": Method("suv_region", "percent", 41.0),
}


@dataclass(frozen=True)
class Label:
    """The label of a study that counts.

    Args:
        version: its number; 0 where it was put into the folder, not saved here.
        status: one of `lib.store.labels.STATUSES`.
        time: when it was saved, ISO 8601; None where unknown.
        author: the client that saved it; None where unknown.
    """

    version: int
    status: str
    time: str | None
    author: str | None


def _label_of(version: LabelVersion) -> Label:
    return Label(version.number, version.status, version.time, version.author)


class SavedLabels:
    """The labels of a studies folder, as sessions need them.

    Args:
        workspace: versions and journal.
        studies: the studies folder.
    """

    def __init__(self, workspace: Workspace, studies: Studies) -> None:
        self._workspace, self._studies = workspace, studies

    def counting(self, study: str) -> Label | None:
        """Return the label that counts: the newest of the furthest status; None where there is none."""
        version = self._workspace.versions.counting(study)
        if version is not None:
            return _label_of(version)
        tags = self._studies.get_labels_by_image_id(study)
        status = next((tag for tag in reversed(STATUSES) if tag in tags), None)
        if status is None:
            return None
        saved = self._studies.get_label_info(study, status).get("ts")
        known = isinstance(saved, int) and not isinstance(saved, bool)
        time = datetime.fromtimestamp(saved, UTC).isoformat(timespec="milliseconds") if known else None
        return Label(0, status, time, None)

    def is_read_blind(self, study: str, client: str, readers: int) -> bool:
        """Whether a client is to read a study as if nobody had: readings of others are still wanted."""
        counting = self.counting(study)
        if readers == 1 or counting is None or counting.status in ("reviewed", "final"):
            return False
        by = {one.author for one in self._workspace.versions.readings(study)}
        return len(by - {client}) < readers

    def news(self, study: str, client: str, since: int) -> list[Label]:
        """Return what others than a client saved after a version, oldest first, but for drafts."""
        return [
            _label_of(one)
            for one in self._workspace.versions.versions(study)
            if one.number > since and one.author != client and one.status != "draft"
        ]

    def of_version(self, study: str, number: int) -> Label | None:
        """Return a version of a study's label; None where there is none of that number."""
        version = self._workspace.versions.get(study, number)
        return _label_of(version) if version else None

    def objects(
        self, study: str, volume: Volume, method: Method, number: int | None = None
    ) -> tuple[Snapshot, Saved | None]:
        """Return the objects of the label that counts, else those that a batch proposed; and the label.

        Args:
            study: its id.
            volume: its image.
            method: of objects that do not say what answered them.
            number: of the version to take instead; 0: none, as if the study had no label.

        Raises:
            VolumeError: the label cannot be read.
            HTTPException: it is on another grid, or holds too many objects; there is no such version.
        """
        label = self.counting(study)
        version = self._workspace.versions.counting(study)
        if number is not None:
            version = self._workspace.versions.get(study, number)
            label = _label_of(version) if version else None
            if number and label is None:
                raise HTTPException(404, f"This study has no version {number} of a label.")
        if version is not None:
            grid, stored = self._of_version(version, volume)
            if version.status != "draft":  # another viewer's proposals: who submitted them stands for them
                stored = [
                    {**obj, "status": "draft" if obj["status"] == "proposed" else obj["status"]}
                    for obj in stored
                ]
        else:
            tag = label.status if label else "original"
            path = self._studies.get_label_uri(study, tag)
            if not path:
                return Snapshot(), None
            clicked = [] if label else self._workspace.sessions.objects_of(study, BATCH, volume.digest)
            grid, stored = self._divided(Path(path), volume, clicked)
            if not label:
                stored = [{**obj, "status": "proposed"} for obj in stored]
        now = Snapshot().having(*self._items(grid, stored, method))
        if label is None:
            return now, None
        newest = self._workspace.versions.current(study)
        return now, Saved(label.version, label.status, newest.number if newest else 0, now.items)

    def save(
        self,
        study: str,
        volume: Volume,
        client: str,
        status: str,
        now: Snapshot,
        scene: Scene,
        independent: bool = False,
    ) -> int:
        """Save what is seen of a session's objects as a study's label; returns the version's number.

        Raises HTTPException: as `Studies.save_label`.
        """
        workspace = self._workspace
        objects = [item.object for item in now.items.values()]
        mask = class_map(volume.shape, objects, scene.seen, workspace.labels)
        path = workspace.write_result(mask, volume.affine, ".nii.gz")
        clicked = [
            Clicked(item.object, item.method.name, item.weights, scene.seen[number])
            for number, item in now.items.items()
        ]
        try:
            told = {"client_id": client, "independent": independent}
            self._studies.save_label(study, str(path), status, told, clicked)
        finally:
            path.unlink(missing_ok=True)
        event = workspace.journal.last(study, event="save", client=client, tag=status)
        assert event is not None, "the label was saved"
        return int(event["version"])

    def _of_version(
        self, version: LabelVersion, volume: Volume
    ) -> tuple[NDArray[np.unsignedinteger], list[Mapping[str, Any]]]:
        objects = version.objects()
        if version.instances is None:
            return self._divided(version.mask, volume, [], objects.get("label_info"))
        return self._read(version.instances, volume), objects["objects"]

    def _divided(
        self,
        path: Path,
        volume: Volume,
        clicked: list[Clicked],
        label_info: Any = None,
    ) -> tuple[NDArray[np.unsignedinteger], list[Mapping[str, Any]]]:
        mask = self._read(path, volume)
        labels = self._workspace.labels
        names = names_of_values(as_in_the_mask(read_names(label_info), values_of(mask), labels), labels)
        grid, stored = instances(mask, names, clicked, volume.spacing)
        return grid, list(stored)

    def _read(self, path: Path, volume: Volume) -> NDArray[np.unsignedinteger]:
        mask, _ = read_mask(path)
        if mask.shape != volume.shape:
            raise HTTPException(422, "The saved label is on another grid than the study's image is now.")
        return mask

    def _items(
        self, grid: NDArray[np.unsignedinteger], stored: Iterable[Mapping[str, Any]], method: Method
    ) -> list[Item]:
        masks = dict(objects_of(grid, "values"))
        known = [one for one in stored if one["id"] in masks]
        if len(known) > MOST_OBJECTS:
            raise HTTPException(
                422, f"The saved label holds {len(known)} objects; the panel takes at most {MOST_OBJECTS}."
            )
        items = []
        for place, one in enumerate(known, start=1):
            obj = AnnotatedObject.from_dict(one)
            mask = Bits.of(masks[obj.id])
            if max(other["id"] for other in known) > MOST_OBJECTS:
                obj = replace(obj, id=place)
            answered = _METHODS.get(str(one.get("model", "")), method)
            item = Item(obj, answered, mask, str(one.get("weights", "")))
            items.append(item.with_label_in_use(self._workspace.labels))
        return items
