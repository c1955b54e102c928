"""Sessions: the objects that an annotator has clicked in a study, kept in memory and in the journal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from threading import Lock

from cachetools import LRUCache

from lib.interaction import AnnotatedObject, Engine, Prompts, Seed, Update, propose_objects
from lib.interaction.labels import with_label_in_use
from lib.pet import Crop, Volume
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


@dataclass(frozen=True)
class Clicked:
    """An object as an annotator left it.

    Args:
        object: the object with its clicks.
        model: name of the infer task.
        weights: digest of what turned the clicks into a mask.
        mask: the object's mask; None where nobody asked for it since the server's start.
    """

    object: AnnotatedObject
    model: str
    weights: str
    mask: Crop | None


@dataclass
class _Session:
    objects: tuple[AnnotatedObject, ...] = ()
    image: str = ""
    """Digest of the volume in which the clicks were made."""
    highest: int = 0
    """The highest number that one of its objects ever had."""
    masks: dict[AnnotatedObject, Crop] = field(default_factory=dict)
    """Those of the objects, as the annotator sees them; none before the first answer after a restart."""
    turn: Lock = field(default_factory=Lock)


class Sessions:
    """Brings objects up to date with a viewer's clicks and journals them. Threads may share it.

    Args:
        journal: of all studies.
        labels: names in use, `background` first.
    """

    def __init__(self, journal: Journal, labels: tuple[str, ...]) -> None:
        self._journal, self._labels = journal, labels
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
            warnings: tuple[str, ...] = ()
            if session.image != volume.digest:
                session.objects, session.highest, warnings = self._restored(key, volume)
                session.image = volume.digest
            update = engine.update(volume, () if reset else session.objects, prompts, session.highest)
            if update.objects != session.objects:
                self._journal.append(key.study, _line(_CLICKS, key, volume, engine, update))
                session.objects, session.highest = update.objects, update.highest
            session.masks = _masks(update)
        return replace(update, warnings=(*warnings, *update.warnings))

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
            self._journal.append(key.study, _line(_PROPOSED, key, volume, engine, update))
            session.objects, session.highest, session.image = update.objects, update.highest, volume.digest
            session.masks = _masks(update)
        return update

    def objects_of(self, study: str, client: str, image: str) -> list[Clicked]:
        """Return what an annotator has clicked in a study with all tasks and labels, as the journal has it.

        Those of the task and label that were clicked in last come last.

        Args:
            study: the study's id.
            client: what the viewer calls itself; "" where it does not.
            image: digest of the study's volume; what was clicked in another one is left out.
        """
        newest: dict[SessionKey, Event] = {}
        for line in _own(self._read(study, image), client):
            key = SessionKey(study, line["model"], line["client"], line["label"])
            newest.pop(key, None)  # so that the order is that of the newest lines
            newest[key] = line
        found = []
        for key, line in newest.items():
            with self._lock:
                masks = self._kept[key].masks if key in self._kept else {}
            objects, _ = self._objects(line)
            found += [Clicked(obj, line["model"], line["weights"], masks.get(obj)) for obj in objects]
        return found

    def _restored(
        self, key: SessionKey, volume: Volume
    ) -> tuple[tuple[AnnotatedObject, ...], int, tuple[str, ...]]:
        """Return a session's objects and their highest number, as its last line in the journal has them.

        And warnings, of labels that are in use no longer.
        """
        wanted = {"model": key.model, "label": key.label}
        fitting = [one for one in self._read(key.study, volume.digest) if wanted.items() <= one.items()]
        line = next(reversed(_own(fitting, key.client)), None)
        if line is None:
            return (), 0, ()
        objects, warnings = self._objects(line)
        return objects, line["highest"], warnings

    def _objects(self, line: Event) -> tuple[tuple[AnnotatedObject, ...], tuple[str, ...]]:
        """Return a line's objects, with labels that are in use, and warnings where theirs are not."""
        read = [with_label_in_use(AnnotatedObject.from_dict(obj), self._labels) for obj in line["objects"]]
        warnings = tuple(f"Object {obj.id}: {text}" for obj, told in read for text in told)
        return tuple(obj for obj, _ in read), warnings

    def _read(self, study: str, image: str) -> list[Event]:
        """Return what was clicked or proposed in a study, oldest first."""
        events = self._journal.read(study)
        return [line for line in events if line["event"] in (_CLICKS, _PROPOSED) and line["image"] == image]


def _own(lines: list[Event], client: str) -> list[Event]:
    """Return those of an annotator; the batch's proposals where there are none."""
    own = [line for line in lines if line["client"] == client]
    return own or [line for line in lines if line["client"] == BATCH and line["event"] == _PROPOSED]


def _masks(update: Update) -> dict[AnnotatedObject, Crop]:
    return {obj: update.masks[obj.id] for obj in update.objects}


def _line(event: str, key: SessionKey, volume: Volume, engine: Engine, update: Update) -> Event:
    return {
        "event": event,
        **key.in_journal(),
        "image": volume.digest,
        "weights": engine.segmenter.digest,
        "objects": [obj.as_dict() for obj in update.objects],
        "highest": update.highest,
    }
