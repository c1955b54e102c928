"""A request of a panel with a session: what all routes of sessions have in common."""

import time
from collections.abc import Callable

from fastapi import HTTPException, Request
from fastapi.responses import Response
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.annotation import panel_study as panel
from apps.segpet.annotation.frames import frame
from apps.segpet.annotation.panel_study import PanelStudy
from apps.segpet.annotation.table import head, table
from apps.segpet.failures import told_to_client
from infer_tasks.annotated import Method, Snapshot
from infer_tasks.annotations import Change, Saved, View
from infer_tasks.changes import Reader
from lib.interaction.segmenter import Stopwatch

#: All of them are in every reply, those of which nothing was needed too.
_STAGES = ("read", "encode", "decode", "numbers", "slices")


class Panel:
    """A request of a client's panel: finds the study, says that the client is there, answers with a frame.

    Args:
        request: the request.
        uid: SeriesInstanceUID.
        client: what the browser calls itself.
        changes: whether the request changes something, which a read-only server refuses.
    """

    def __init__(self, request: Request, uid: str, client: str, changes: bool = True) -> None:
        self._begun = time.perf_counter()
        self.watch = Stopwatch()
        if changes:
            panel.check_writable()
        self.notes: list[str] = []
        self._accepted = request.headers.get("accept-encoding", "")
        self.client = client
        self.study: PanelStudy = panel.panel_study(uid, self.watch)
        self.workspace = app_instance().workspace
        self.key = self.study.key(client)
        if not app_instance().options.read_only:
            self.workspace.leases.renew(self.study.name, client)

    @property
    def others(self) -> list[str]:
        """Other clients that have the study open."""
        return [one for one in self.workspace.leases.holders(self.study.name) if one != self.client]

    def reader(self, method: Method) -> Reader:
        """Return what answers clicks by a method."""
        return panel.reader(self.study, self.client, method, self.watch)

    def labelled(self, number: int | None = None) -> tuple[Snapshot, Saved | None]:
        """Return the objects of the saved label, or of a version of it (0: none), and the label."""
        return panel.saved_labels().objects(
            self.study.name, self.study.volume, panel.default_method(), number
        )

    def begun(self) -> tuple[Snapshot, Saved | None]:
        """Return what a session begins with; a label that cannot be read must not lock a study up."""
        try:
            with told_to_client():
                readers = app_instance().options.readers
                blind = panel.saved_labels().is_read_blind(self.study.name, self.client, readers)
                return self.labelled(0 if blind else None)
        except HTTPException as error:
            self.notes.append(f"The session begins empty, for the saved label cannot be used. {error.detail}")
            return Snapshot(), None

    def change(self, what: str, revision: int, change: Change) -> Response:
        """Make a change, and answer."""
        annotations = self.workspace.annotations
        return self.answer(lambda: annotations.change(self.key, self.study.volume, revision, what, change))

    def answer(self, viewed: Callable[[], View]) -> Response:
        """Answer with a frame."""
        study, seconds = self.study, self.watch.seconds
        others = sum(seconds.values())
        with self.watch.stage("slices"):
            view = viewed()
        # What the change took beside the stages that it names itself: finding what is new, the journal.
        seconds["slices"] -= sum(seconds.values()) - seconds["slices"] - others
        with self.watch.stage("numbers"):
            rows = table(study.volume, view.now, view.scene, self.workspace.labels, study.organs)
        label = panel.saved_labels().counting(study.name)
        told = {**rows, **head(view, label, self.others, study.volume)}
        told["warnings"] = [*self.notes, *told["warnings"]]
        total = time.perf_counter() - self._begun
        stages = {**dict.fromkeys(_STAGES, 0.0), **seconds, "total": total}
        told["seconds"] = {stage: round(spent, 4) for stage, spent in stages.items()}
        return frame(told, view.slices, study.instances, study.volume.shape, self._accepted)
