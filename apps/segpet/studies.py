"""The studies folder: MONAI Label's datastore, safe for threads and crashes, closed to what nobody may do."""

import contextlib
import functools
import json
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from fastapi import HTTPException
from filelock import FileLock
from monailabel.datastore.local import DataModel, LocalDatastore

from apps.segpet.dicom_folders import DICOMFolders
from apps.segpet.failures import told_to_client
from infer_tasks.sessions import Clicked
from lib.pet.image_files import EXTENSIONS
from lib.store import sync, write_atomic

TAGS = ("final", "original", "draft", "submitted", "reviewed")

#: Surrounds the moment in which a label takes its place: the image's id and path, the label's file, its tag,
#: a client's parameters, and the objects in the label where the caller knows them. What it raises on entering
#: keeps the label from being saved; else it gives `label_info` as the mask has it, None where there is none.
Saving = Callable[
    [str, Path, Path, str, dict[str, Any], Sequence[Clicked] | None],
    AbstractContextManager[list[dict[str, Any]] | None],
]

_PART = ".saving-"


class Studies(LocalDatastore):
    """A folder of NIfTI and NRRD images and of folders with DICOM PET, in MONAI Label's layout.

    A DICOM folder is one study, its id the folder's name.

    MONAI Label's class is written for one thread, but its own file watcher is a second one, and empties the
    list of images for a moment at every save: here everybody waits their turn.

    An image may be a link to a file anywhere: whoever may write in the folder decides what the studies are. A
    link counts as the file it stands for, under its own name, with the sidecar beside the link.

    Args:
        folder: where the images are; labels go to `labels/TAG/` in it.
        auto_reload: follow files that come and go.
        saving: see `Saving`.
    """

    def __init__(self, folder: str, auto_reload: bool, saving: Saving) -> None:
        self._turn = RLock()
        self._saving = saving
        self._saves: defaultdict[str, Lock] = defaultdict(Lock)
        self._folders = DICOMFolders(Path(folder))
        super().__init__(folder, extensions=[f"*{end}" for end in EXTENSIONS], auto_reload=auto_reload)

    @property
    def folder(self) -> Path:
        """Where images and labels are."""
        return Path(self._datastore_path)

    def title(self, study: str) -> str:
        """Return how people find a study."""
        return study

    def known_image(self, image_id: Any) -> Path:
        """Return the path of a known image, else HTTPException 404. No other image is ever opened."""
        path = self.get_image_uri(image_id) if isinstance(image_id, str) else ""
        if not path:
            raise HTTPException(404, "There is no study of that name; GET /datastore/?output=all lists them.")
        return Path(path)

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        clicked: Sequence[Clicked] | None = None,
    ) -> str:
        """Save a label in MONAI Label's layout; returns the label's id.

        A reader sees the former file or the new one; whoever may read the studies folder may read it. Saves
        of one study wait for each other, so that the last version is what the file holds.

        Raises HTTPException: an unknown image, a tag not in TAGS, another file format, or what `saving` finds
        wrong.
        """
        path, tag, label = self.known_image(image_id), checked_tag(label_tag), Path(label_filename)
        ending = label_ending(label.name)
        refuse_unreadable(label_info)
        folder = Path(self._datastore.label_path(tag))
        with (
            told_to_client(),
            self._saves[image_id],
            self._part(label, folder) as part,
            self._saving(image_id, path, label, tag, label_info, clicked) as named,
            self._turn,
        ):
            part.replace(folder / f"{image_id}{ending}")
            info = {**label_info, "ts": int(time.time()), "name": f"{image_id}{ending}"}
            if named is not None:
                info["label_info"] = named
            self._datastore.objects[image_id].labels[tag] = DataModel(info=info, ext=ending)
            self._update_datastore_file()
            for other in set(EXTENSIONS) - {ending}:  # the label's former file, in another format
                (folder / f"{image_id}{other}").unlink(missing_ok=True)
            sync(folder)
        return image_id

    def clear_parts(self) -> None:
        """Delete what a killed server left of labels that it was saving."""
        for part in Path(self._datastore.label_path(None)).glob(f"*/{_PART}*"):
            part.unlink(missing_ok=True)

    def take_up_folders(self) -> None:
        """List DICOM folders that came since: MONAI Label's watcher tells of files only."""
        with self._turn:
            listed = {Path(self.get_image_uri(image)).name for image in self.list_images()}
            if any(name not in listed for name in self._folders.names()):
                self.refresh()

    def get_image_uri(self, image_id: str) -> str:
        """Return an image's path in the folder, "" where there is none.

        MONAI Label's own follows links, to where no sidecar is and names may be a patient's.
        """
        with self._turn:
            image = self._datastore.objects.get(image_id)
        return str(Path(self._datastore_path) / f"{image_id}{image.image.ext}") if image else ""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return what is known of an image, a file's `path` among it.

        3D Slicer opens a path that it can reach, and cannot open a folder: without one it downloads `name`.
        """
        with self._turn:
            known: dict[str, Any] = super().get_image_info(image_id)
        path = self.get_image_uri(image_id)
        if known and Path(path).is_dir():
            known.pop("path", None)
            return {**known, "name": f"{image_id}.nii.gz"}
        return {**known, "path": path} if known else known

    def datalist(self, full_path: bool = True) -> list[dict[str, str]]:
        """Return the paths of images and their final labels; without `full_path` within the folder."""
        with self._turn:
            listed = [
                {"image": self.get_image_uri(study), "label": self.get_label_uri(study, "final")}
                for study in self.get_labeled_images()
            ]
        base = "" if full_path else f"{self._datastore_path}{os.sep}"
        return [{key: path.removeprefix(base) for key, path in pair.items()} for pair in listed]

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image; HTTPException where it would break the strategies."""
        self.known_image(image_id)
        refuse_unreadable(info)
        _check_strategies(info.get("strategy", {}))
        with self._turn:
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        refuse_unreadable(info)
        with self._turn:
            super().update_label_info(label_id, label_tag, info)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse: studies come into the folder by those who may write there."""
        raise HTTPException(403, "Studies are added by copying them into the studies folder.")

    def remove_image(self, image_id: str) -> None:
        """Refuse likewise."""
        raise HTTPException(403, "Studies are removed by deleting them from the studies folder.")

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Refuse: a label that is wrong is followed by a better version, maybe an empty one."""
        raise HTTPException(403, "Labels are never deleted; save an empty mask instead.")

    @contextlib.contextmanager
    def _part(self, label: Path, folder: Path) -> Iterator[Path]:
        """Copy a label into its folder under a hidden name; deleted unless it is moved to its place."""
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=_PART)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as copy, label.open("rb") as file:
                shutil.copyfileobj(file, copy, 1 << 20)
            part.chmod(Path(self._datastore_path).stat().st_mode & 0o666)
            sync(part)
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        """Leave out hidden files, as macOS makes beside others, and names that cannot be told to a client."""
        files: dict[str, str] = super()._list_files(path, patterns)
        files = {name: file for name, file in files.items() if not (Path(path) / name).is_dir()}
        if path == self._datastore.image_path():
            files |= {name: name for name in self._folders.names()}
        return {name: file for name, file in files.items() if not name.startswith(".") and _is_text(name)}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Return a name without its ending, and that; a folder's may have dots and is an id as it is."""
        ending = next((end for end in EXTENSIONS if file.endswith(end)), "")
        return file.removesuffix(ending), ending

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


_DEEPEST = 64  # json reads ten times more than copy.deepcopy, with which MONAI Label hands records out


def refuse_unreadable(value: Any) -> None:
    """Raise HTTPException 422 for what could be kept but not read or sent again: NaN, bad Unicode, depth."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for whole in level for part in _parts(whole)]
    if level:
        raise HTTPException(422, f"JSON may be nested {_DEEPEST} deep here; send it flatter.")
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise HTTPException(
            422,
            "JSON can only hold finite numbers and valid Unicode here; leave out NaN, Infinity and lone "
            "surrogates.",
        ) from error


def _parts(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_moment(value: Any) -> bool:
    """Whether a value says in whole seconds since 1970 when something was."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _check_strategies(proposed: Any) -> None:
    """Raise HTTPException 422 unless it says for each strategy when it proposed the image."""
    if not isinstance(proposed, dict) or not all(
        isinstance(entry, dict) and is_moment(entry.get("ts", 0)) for entry in proposed.values()
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
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "refresh",
    "status",
):
    _in_turn(_name)
