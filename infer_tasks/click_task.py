"""From a viewer's request to the viewer's reply: what all click-driven infer tasks have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from infer_tasks.requests import Ask, ask_of
from infer_tasks.sessions import SessionKey
from infer_tasks.workspace import Workspace
from lib.interaction import Engine, Update, class_map, describe
from lib.interaction.segmenter import Stopwatch
from lib.pet import Volume

#: All of them are in every reply, those of which nothing was needed too.
_STAGES = ("load", "read", "encode", "decode", "numbers", "mask", "write")


class ClickTask(InferTask):
    """Answers clicks with a mask on the source grid, numbers and warnings.

    A request has `image`, the path of a known image, and `study`, its id (both set by the app, never by a
    client), and the viewer's parameters: clicks in either of the viewers' forms (`infer_tasks.requests`), and
    `result_extension`. Bad input raises a ValueError of lib or of `infer_tasks`, and changes nothing.

    Args:
        workspace: what the tasks share.
        name: the task's name in requests, and in the journal.
        type: tells a viewer which of its tools to show.
        description: for people.
        config: options that a viewer offers: a value, or a list of choices, the first one the default.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        type: InferType,
        description: str,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        labels = {label: value for value, label in enumerate(workspace.labels)}
        super().__init__(type.value, labels, dimension=3, description=description, config=dict(config or {}))
        self.workspace = workspace
        self.name = name

    def is_valid(self) -> bool:
        """Show the task to viewers, also where it has no weights: its answer says how to get them."""
        return True

    @abstractmethod
    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return what turns clicks into masks for this request."""

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the names whose places are the result's values; `label` is "" where several are clicked."""
        return self.workspace.labels

    def updated(self, study: str, engine: Engine, volume: Volume, ask: Ask) -> Update:
        """Return the study's objects after a request; they are in the journal by then."""
        key = SessionKey(study, self.name, ask.client, ask.label)
        update = self.workspace.sessions.update(key, engine, volume, ask.prompts, ask.reset)
        if not update.objects:
            return replace(update, warnings=("There are no clicks: the mask is empty.", *update.warnings))
        return update

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the path of the mask's file, which the caller deletes, and the reply's parameters."""
        watch = Stopwatch()
        with watch.stage("total"):
            path, reply = self._answer(request, watch)
        seconds = dict.fromkeys(_STAGES, 0.0) | watch.seconds
        reply["latencies"] = {stage: round(spent, 4) for stage, spent in seconds.items()}
        return str(path), reply

    def _answer(self, request: Mapping[str, Any], watch: Stopwatch) -> tuple[Path, dict[str, Any]]:
        with watch.stage("load"):
            engine = self.engine(request)
        with watch.stage("read"):
            volume = self.workspace.volumes.get(Path(request["image"]))
        ask = ask_of(request, self.workspace.labels, volume.shape)
        update = self.updated(request["study"], engine, volume, ask)
        for stage, spent in update.seconds.items():
            watch.seconds[stage] += spent
        # A saved label is for all who read it later: its values are the server's, whatever the viewer shows.
        classes = self.workspace.labels if ask.save else self.classes(ask.label)
        with watch.stage("numbers"):
            reply = describe(volume, update, engine)
        with watch.stage("mask"):
            mask = class_map(volume.shape, update.objects, update.masks, classes)
        with watch.stage("write"):
            path = self.workspace.write_result(mask, volume.affine, ask.extension)
        return path, {"label_names": {name: value for value, name in enumerate(classes)}, **reply}
