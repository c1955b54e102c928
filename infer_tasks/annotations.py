"""Annotation sessions: what one client has made of one study, with all it did, to be undone without limit.

Every change is a line of the study's journal before its reply: what became of the objects that it touched,
with their masks, so that a session comes back after a restart as it was, without weights too.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from infer_tasks.annotated import Item, Snapshot
from infer_tasks.requests import RequestError
from lib.interaction.painting import Bits
from lib.interaction.scene import Scene
from lib.pet import Crop, Volume
from lib.store import Journal, StoreError
from lib.store.journal import Event

_MOST_SESSIONS = 128
_ANNOTATION = "annotation"
_COVERED = "all of it lies under others, so that it is not seen, counted or saved; correct or delete it."


class SessionMovedError(ValueError):
    """A change is based on what is no longer so; the message is one sentence that says why."""


@dataclass(frozen=True)
class AnnotationKey:
    """Whose annotation it is, of what.

    Args:
        study: id of the study.
        client: what the browser calls itself.
        image: digest of the study's volume.
    """

    study: str
    client: str
    image: str


@dataclass(frozen=True)
class Saved:
    """The label that a session was begun from, or saved as.

    Args:
        version: its number.
        status: its status.
        base: number of the newest version when the session was begun or last saved as no mere draft: what
            somebody else saved after it is news.
        items: the objects in it.
    """

    version: int
    status: str
    base: int
    items: Mapping[int, Item]


@dataclass(frozen=True)
class View:
    """What a client is to see after a request.

    Args:
        revision: counts the changes of the session; a client sends it with the next one.
        now: the objects.
        scene: how they are shown.
        slices: those that look otherwise than before the request, uint8 [j, i], by k; all that hold something
            where `complete`.
        complete: whether the slices are all of them.
        changed: numbers of the objects that the request made, changed or took away.
        can_undo, can_redo: whether there is something to undo or redo.
        saved: the label that the session was begun from, or saved as last; None where there was none.
        warnings: for the annotator, in plain words.
    """

    revision: int
    now: Snapshot
    scene: Scene
    slices: Mapping[int, NDArray[np.uint8]]
    complete: bool
    changed: tuple[int, ...]
    can_undo: bool
    can_redo: bool
    saved: Saved | None
    warnings: tuple[str, ...] = ()


#: A change: from the objects, and how they are shown, to the objects, and warnings for the annotator.
Change = Callable[[Snapshot, Scene], tuple[Snapshot, tuple[str, ...]]]


@dataclass
class _Session:
    past: list[Snapshot] = field(default_factory=lambda: [Snapshot()])
    """All that can be undone, and after `at` redone."""
    at: int = 0
    revision: int = 0
    saved: Saved | None = None
    crops: dict[Bits, Crop] = field(default_factory=dict)
    """The masks of the objects as they are now."""
    scene: Scene = field(default_factory=Scene)
    independent: bool = True
    """Whether nobody's label ever was in it."""
    is_read: bool = False
    """Whether the journal's lines are in it."""
    turn: Lock = field(default_factory=Lock)

    @property
    def now(self) -> Snapshot:
        return self.past[self.at]

    def add(self, snapshot: Snapshot) -> None:
        """Go on from now; what was undone before cannot be redone any more."""
        self.past[self.at + 1 :] = [snapshot]
        self.at += 1

    def show(self, labels: tuple[str, ...]) -> Scene:
        """Bring the scene up to date; an object that is as before keeps its crop."""
        crops = {}
        for item in self.now.items.values():
            known = self.crops.get(item.mask)
            crops[item.mask] = item.mask.crop if known is None else known
        masks = {number: crops[item.mask] for number, item in self.now.items.items()}
        objects = [item.object for item in self.now.items.values()]
        self.crops, self.scene = crops, Scene(objects, masks, labels, self.scene)
        return self.scene


class Annotations:
    """Keeps annotation sessions, in memory and in the journal. Threads may share it.

    Args:
        journal: of all studies.
        labels: names in use, `background` first.
    """

    def __init__(self, journal: Journal, labels: tuple[str, ...]) -> None:
        self._journal, self._labels = journal, labels
        self._kept: LRUCache[AnnotationKey, _Session] = LRUCache(_MOST_SESSIONS)
        self._lock = Lock()

    def exists(self, key: AnnotationKey) -> bool:
        """Whether the client ever opened the study."""
        with self._turn(key, opened=False) as session:
            return session.revision > 0

    def open(
        self, key: AnnotationKey, volume: Volume, begun: Callable[[], tuple[Snapshot, Saved | None]]
    ) -> View:
        """Return all that a session shows; it is begun where the client never opened the study.

        Args:
            key: whose session.
            volume: the study's image.
            begun: returns what a new session begins with, and the label that it is from.
        """
        with self._turn(key, opened=False) as session:
            if session.revision == 0:
                first, saved = begun()
                self._journal.append(key.study, self._line(key, "open", 1, session.now, first, saved))
                session.past, session.at, session.revision, session.saved = [first], 0, 1, saved
                session.independent = saved is None
                session.show(self._labels)
            return self._view(session, session.scene.filled_slices(volume.shape), complete=True)

    def view(self, key: AnnotationKey, volume: Volume) -> View:
        """Return all that a session shows.

        Raises:
            RequestError: the client never opened the study.
        """
        with self._turn(key) as session:
            return self._view(session, session.scene.filled_slices(volume.shape), complete=True)

    def change(self, key: AnnotationKey, volume: Volume, revision: int, what: str, change: Change) -> View:
        """Change a session; it is in the journal by then.

        Args:
            key: whose session.
            volume: the study's image.
            revision: that of which the client asks for the change.
            what: the change's name in the journal.
            change: makes the new snapshot. What it raises leaves everything as it was.

        Raises:
            RequestError: the client never opened the study, or as `change`.
            SessionMovedError: the session is at another revision.
            OSError: the journal cannot be written.
        """
        with self._turn(key) as session:
            _check(session, revision)
            before = session.now
            after, warnings = change(before, session.scene)
            if after == before:
                return self._view(session, {}, warnings=warnings)
            line = self._line(key, what, session.revision + 1, before, after, None)
            self._journal.append(key.study, line)
            session.add(after)
            return self._moved(session, volume, before, warnings)

    def restore(
        self,
        key: AnnotationKey,
        volume: Volume,
        revision: int,
        begun: Callable[[], tuple[Snapshot, Saved | None]],
    ) -> View:
        """Go on from a saved label, in place of the objects as they are; as `change`, and can be undone.

        Args:
            key, volume, revision: as `change`.
            begun: as `open`.
        """
        with self._turn(key) as session:
            _check(session, revision)
            before, (after, saved) = session.now, begun()
            after = Snapshot(after.items, max(before.highest, after.highest))
            line = self._line(key, "restore", session.revision + 1, before, after, saved)
            self._journal.append(key.study, line)
            session.add(after)
            session.saved, session.independent = saved or session.saved, False
            return self._moved(session, volume, before)

    def undo(self, key: AnnotationKey, volume: Volume, revision: int) -> View:
        """Take the last change back; as `change`, and SessionMovedError where there is none."""
        return self._step(key, volume, revision, "undo", -1)

    def redo(self, key: AnnotationKey, volume: Volume, revision: int) -> View:
        """Make the change again that was undone last; as `undo`."""
        return self._step(key, volume, revision, "redo", 1)

    def save(
        self,
        key: AnnotationKey,
        revision: int,
        save: Callable[[Snapshot, Scene, Saved | None, bool], Saved],
    ) -> Saved:
        """Save what a session holds.

        Args:
            key: whose session.
            revision: that which the client means.
            save: saves it, unless it is saved already, and returns the label that there is then. It is told
                the label that there was, and whether the session was begun without anybody's.

        Raises:
            RequestError, SessionMovedError, StoreError: as `change`; and what `save` raises.
        """
        with self._turn(key) as session:
            _check(session, revision)
            saved = save(session.now, session.scene, session.saved, session.independent)
            if saved != session.saved:
                line = {"event": _ANNOTATION, "op": "save", "client": key.client, "image": key.image}
                self._journal.append(
                    key.study, {**line, "revision": session.revision, "label": _label_in_journal(saved)}
                )
                session.saved = saved
            return saved

    def _step(self, key: AnnotationKey, volume: Volume, revision: int, what: str, by: int) -> View:
        with self._turn(key) as session:
            _check(session, revision)
            if not 0 <= session.at + by < len(session.past):
                raise SessionMovedError(f"There is nothing to {what}.")
            before = session.now
            line = self._line(key, what, session.revision + 1, before, before, None)
            self._journal.append(key.study, line)
            session.at += by
            return self._moved(session, volume, before)

    def _moved(
        self, session: _Session, volume: Volume, before: Snapshot, warnings: tuple[str, ...] = ()
    ) -> View:
        session.revision += 1
        shown = session.scene
        slices = shown.changed_slices(session.show(self._labels), volume.shape)
        covered = sorted(session.scene.covered - shown.covered)
        warnings += tuple(f"Object {number} is covered: {_COVERED}" for number in covered)
        return self._view(session, slices, _changed(before, session.now), warnings=warnings)

    def _view(
        self,
        session: _Session,
        slices: Mapping[int, NDArray[np.uint8]],
        changed: tuple[int, ...] = (),
        complete: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> View:
        return View(
            revision=session.revision,
            now=session.now,
            scene=session.scene,
            slices=slices,
            complete=complete,
            changed=changed,
            can_undo=session.at > 0,
            can_redo=session.at + 1 < len(session.past),
            saved=session.saved,
            warnings=warnings,
        )

    @contextmanager
    def _turn(self, key: AnnotationKey, opened: bool = True) -> Iterator[_Session]:
        """Keep others out of a session, which is read from the journal where it is not in memory.

        Raises:
            RequestError: the client never opened the study, but `opened` says so.
        """
        with self._lock:
            session = self._kept.setdefault(key, _Session())
        with session.turn:
            if not session.is_read:
                read = _Session()
                for line in self._lines(key):
                    _replay(read, line, self._labels)
                session.past, session.at, session.revision = read.past, read.at, read.revision
                session.saved, session.independent = read.saved, read.independent
                session.show(self._labels)
                session.is_read = True
            if opened and session.revision == 0:
                raise RequestError("This study is not open in this session: open it first.")
            try:
                yield session
            except (OSError, MemoryError, RuntimeError):  # torch has no class for a CPU without memory
                session.is_read = False  # what is on the disk decides, at the next request
                raise

    def _lines(self, key: AnnotationKey) -> list[Event]:
        wanted = {"event": _ANNOTATION, "client": key.client, "image": key.image}
        return [line for line in self._journal.read(key.study) if wanted.items() <= line.items()]

    def _line(
        self,
        key: AnnotationKey,
        what: str,
        revision: int,
        before: Snapshot,
        after: Snapshot,
        saved: Saved | None,
    ) -> Event:
        changed = _changed(before, after)
        return {
            "event": _ANNOTATION,
            "op": what,
            "client": key.client,
            "image": key.image,
            "revision": revision,
            "put": [after.items[number].as_dict() for number in changed if number in after.items],
            "gone": [number for number in changed if number not in after.items],
            **({"label": _label_in_journal(saved)} if saved else {}),
        }


def _label_in_journal(saved: Saved) -> Event:
    return {"version": saved.version, "status": saved.status, "base": saved.base}


def _check(session: _Session, revision: int) -> None:
    if revision != session.revision:
        raise SessionMovedError(
            "The session has moved on since, maybe in another window; it is shown as it is now: do it again."
        )


def _changed(before: Snapshot, after: Snapshot) -> tuple[int, ...]:
    numbers = sorted(before.items.keys() | after.items.keys())
    return tuple(number for number in numbers if before.items.get(number) != after.items.get(number))


def _replay(session: _Session, line: Event, labels: tuple[str, ...]) -> None:
    """Bring a session that is read from the journal one line further; the labels may be others since."""
    try:
        if line["op"] == "undo":
            session.at -= 1
        elif line["op"] == "redo":
            session.at += 1
        elif line["op"] != "save":
            items = [Item.from_dict(stored).with_label_in_use(labels) for stored in line["put"]]
            snapshot = session.now.without(line["gone"]).having(*items)
            if line["op"] == "open":
                session.past, session.at = [snapshot], 0
            else:
                session.add(snapshot)
        session.revision = line["revision"]
        if label := line.get("label"):
            session.saved = Saved(label["version"], label["status"], label["base"], session.now.items)
            session.independent &= line["op"] == "save"
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError("A line of an annotation session in the journal cannot be read.") from error
