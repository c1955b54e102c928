"""Sessions: the objects that an annotator has clicked in a study, kept in memory and in the journal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from cachetools import LRUCache

from lib.interaction import AnnotatedObject, Engine, Prompts, Seed, Update, propose_objects
from lib.pet import Volume
from lib.store import Journal
from lib.store.journal import Event

_MOST_SESSIONS = 512
_CLICKS, _PROPOSED = "clicks", "proposed"

#: The client in whose name a batch proposes objects: everybody's session of the study begins with them.
BATCH = "batch"


@dataclass(frozen=True)
class SessionKey:
    """Whose clicks these are.

    Args:
        study: id of the study.
        model: name of the infer task.
        client: what the viewer calls itself; "" where it does not.
        label: the label where a viewer sends the clicks of one label only, else "".
    """

    study: str
    model: str
    client: str = ""
    label: str = ""

    def in_journal(self) -> dict[str, str]:
        """Return the key as the journal's lines have it (the study has a file of its own)."""
        return {name: value for name, value in asdict(self).items() if name != "study"}


@dataclass
class _Session:
    objects: tuple[AnnotatedObject, ...] = ()
    image: str = ""
    """Digest of the volume in which the clicks were made."""
    turn: Lock = field(default_factory=Lock)


class Sessions:
    """Brings objects up to date with a viewer's clicks and journals them. Threads may share it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: LRUCache[SessionKey, _Session] = LRUCache(_MOST_SESSIONS)
        self._lock = Lock()

    def update(
        self, key: SessionKey, engine: Engine, volume: Volume, prompts: Prompts, reset: bool = False
    ) -> Update:
        """Return the engine's answer to everything a viewer says now; it is in the journal by then.

        A session that is not in memory, as after a restart, goes on from its last line in the journal.

        Args:
            key: whose clicks these are.
            engine: what turns them into masks.
            volume: the study's image.
            prompts: all clicks that the viewer holds.
            reset: forget the former objects first.

        Raises:
            PromptError: as `Engine.update`.
            StoreError: the journal cannot be read or written.
        """
        with self._lock:
            session = self._kept.setdefault(key, _Session())
        with session.turn:
            if session.image != volume.digest:
                session.objects, session.image = self._restored(key, volume), volume.digest
            update = engine.update(volume, () if reset else session.objects, prompts)
            if update.objects != session.objects:
                self._journal.append(key.study, _line(_CLICKS, key, volume, engine, update.objects))
                session.objects = update.objects
        return update

    def propose(
        self, key: SessionKey, engine: Engine, volume: Volume, label: str, seeds: Sequence[Seed]
    ) -> Update:
        """Begin a session anew with the objects that seeds give; they are in the journal by then.

        What was clicked in the session before is forgotten here; a viewer that still shows the clicks sends
        them with its next one.

        Raises:
            StoreError: the journal cannot be written.
        """
        update = propose_objects(engine, volume, label, seeds)
        with self._lock:
            session = self._kept.setdefault(key, _Session())
        with session.turn:
            self._journal.append(key.study, _line(_PROPOSED, key, volume, engine, update.objects))
            session.objects, session.image = update.objects, volume.digest
        return update

    def objects_of(self, study: str, client: str) -> dict[str, Any]:
        """Return what an annotator last clicked in a study, as the journal has it: model, weights, objects.

        The objects of all labels are there, also where the viewer sends the labels one by one.
        """
        lines = self._lines(study, client)
        if not lines:
            return {"objects": []}
        last = lines[-1]
        newest = {line["label"]: line["objects"] for line in lines if line["model"] == last["model"]}
        if not last["label"]:
            newest = {"": last["objects"]}
        objects = [obj for label in sorted(newest) for obj in newest[label]]
        return {"model": last["model"], "weights": last["weights"], "objects": objects}

    def _restored(self, key: SessionKey, volume: Volume) -> tuple[AnnotatedObject, ...]:
        wanted = {"image": volume.digest, "model": key.model, "label": key.label}
        lines = self._lines(key.study, key.client)
        line = next((one for one in reversed(lines) if wanted.items() <= one.items()), None)
        return tuple(AnnotatedObject.from_dict(obj) for obj in line["objects"]) if line else ()

    def _lines(self, study: str, client: str) -> list[Event]:
        """Return what an annotator clicked or was proposed, oldest first; the batch's where there is none."""
        events = self._journal.read(study)
        lines = [line for line in events if line["event"] in (_CLICKS, _PROPOSED)]
        own = [line for line in lines if line["client"] == client]
        return own or [line for line in lines if line["client"] == BATCH and line["event"] == _PROPOSED]


def _line(
    event: str, key: SessionKey, volume: Volume, engine: Engine, objects: Sequence[AnnotatedObject]
) -> Event:
    return {
        "event": event,
        **key.in_journal(),
        "image": volume.digest,
        "weights": engine.segmenter.digest,
        "objects": [obj.as_dict() for obj in objects],
    }
