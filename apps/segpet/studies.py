"""The studies folder: MONAI Label's datastore, safe for threads and crashes, closed to what nobody may do."""

import contextlib
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from fastapi import HTTPException
from filelock import FileLock
from monailabel.datastore.local import LocalDatastore

from apps.segpet.failures import told_to_client
from infer_tasks.requests import EXTENSIONS
from lib.store import write_atomic

TAGS = ("final", "original", "draft", "submitted", "reviewed")

#: Called before a label is saved: the image's id and path, the label's file, its tag, a client's parameters.
BeforeSave = Callable[[str, Path, Path, str, dict[str, Any]], None]


class Studies(LocalDatastore):
    """A folder of NIfTI and NRRD images, in MONAI Label's layout.

    MONAI Label's class is written for one thread, but its own file watcher is a second one, and empties the
    list of images for a moment at every save: here everybody waits their turn.

    Args:
        folder: where the images are; labels go to `labels/TAG/` in it.
        auto_reload: follow files that come and go.
        before_save: see `BeforeSave`; what it raises keeps the label from being saved.
    """

    def __init__(self, folder: str, auto_reload: bool, before_save: BeforeSave) -> None:
        self._turn = RLock()
        self._before_save = before_save
        super().__init__(folder, extensions=[f"*{end}" for end in EXTENSIONS], auto_reload=auto_reload)

    def known_image(self, image_id: Any) -> Path:
        """Return the path of a known image, else HTTPException 404. No other image is ever opened."""
        path = self.get_image_uri(image_id) if isinstance(image_id, str) else ""
        if not path:
            raise HTTPException(404, "There is no study of that name; GET /datastore/?output=all lists them.")
        return Path(path)

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Save a label in MONAI Label's layout; returns the label's id.

        Raises HTTPException: an unknown image, a tag not in TAGS, another file format, or what `before_save`
        finds wrong.
        """
        path, tag, label = self.known_image(image_id), checked_tag(label_tag), Path(label_filename)
        ending = label_ending(label.name)
        with told_to_client():
            self._before_save(image_id, path, label, tag, label_info)
        with self._turn:
            label_id = super().save_label(image_id, label_filename, tag, dict(label_info))
            folder = Path(self._datastore.label_path(tag))
            for other in set(EXTENSIONS) - {ending}:  # the label's former file, in another format
                (folder / f"{image_id}{other}").unlink(missing_ok=True)
        return label_id

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image; HTTPException where it would break the strategies."""
        self.known_image(image_id)
        _check_strategies(info.get("strategy", {}))
        with self._turn:
            super().update_image_info(image_id, info)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse: studies come into the folder by those who may write there."""
        raise HTTPException(403, "Studies are added by copying them into the studies folder.")

    def remove_image(self, image_id: str) -> None:
        """Refuse likewise."""
        raise HTTPException(403, "Studies are removed by deleting them from the studies folder.")

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Refuse: a label that is wrong is followed by a better version, maybe an empty one."""
        raise HTTPException(403, "Labels are never deleted; save an empty mask instead.")

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list of images and labels; a crash leaves the old or the new one, never half of it."""
        with self._turn, FileLock(self._lock_file) if lock else contextlib.nullcontext():
            content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            write_atomic(Path(self._datastore_config_path), content)
            self._config_ts = os.stat(self._datastore_config_path).st_mtime  # noqa: PTH116 - MONAI Label's own form


def checked_tag(tag: str) -> str:
    """Return a label's tag; HTTPException 422 for one not in TAGS (it becomes the name of a folder)."""
    tag = getattr(tag, "value", tag)
    if tag not in TAGS:
        raise HTTPException(422, f"A label's tag must be one of {', '.join(TAGS)}.")
    return tag


def _check_strategies(proposed: Any) -> None:
    """Raise HTTPException 422 unless it says for each strategy when it proposed the image."""
    if not isinstance(proposed, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("ts", 0), int) for entry in proposed.values()
    ):
        raise HTTPException(422, "What is known of an image under `strategy` is for the strategies to write.")


def label_ending(name: str | None) -> str:
    """Return the one of EXTENSIONS with which a client's file name ends; HTTPException 422 for any other."""
    ending = next((end for end in EXTENSIONS if (name or "").lower().endswith(end)), None)
    if ending is None:
        raise HTTPException(422, f"The file's name must end in {', '.join(EXTENSIONS)}.")
    return ending


def _in_turn(name: str) -> None:
    method = getattr(LocalDatastore, name)

    @functools.wraps(method)
    def waits(self: Studies, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return method(self, *args, **kwargs)

    setattr(Studies, name, waits)


for _name in (
    "_init_from_datastore_file",
    "_on_any_event",
    "_reconcile_datastore",
    "datalist",
    "get_image_info",
    "get_image_uri",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "refresh",
    "status",
    "update_label_info",
):
    _in_turn(_name)
