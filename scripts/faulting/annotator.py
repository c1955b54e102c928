"""An annotator in the panel: clicks, undoes, saves, accepts impressions, and finds it all again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.segpet.annotation.frames import head_of
from lib.store import Journal, LabelVersions
from lib.store.checkup.labels import fault_of
from lib.store.reports import AcceptedImpressions
from scripts.faulting.worker import Worker

_STATUSES = ("draft", "draft", "submitted", "final")


class Annotator(Worker):
    """One client with one study open.

    Args:
        url, name, seed, told: as `Worker`.
        title: the study's name.
        points: places to click, LPS mm.
        state: the state folder, in which what was acknowledged must be.
    """

    def __init__(
        self,
        url: str,
        name: str,
        seed: int,
        told: Callable[[str], None],
        title: str,
        points: list[list[float]],
        state: Path,
    ) -> None:
        super().__init__(url, name, seed, told)
        self.title, self._points, self._state = title, points, state
        self._path = ""
        self._session = ""
        self.head: dict[str, Any] = {}
        """What the panel shows: that of the last acknowledged revision."""
        self._ops: dict[int, str] = {}
        self.saved: dict[int, tuple[str, str | None]] = {}
        self._texts: dict[int, str] = {}

    def act(self) -> None:
        """Do one of what annotators do."""
        if not self.head:
            self._open()
            return
        numbers = [one["number"] for one in self.head["objects"]]
        kind = self.random.choices(
            ["click", "undo", "redo", "object", "delete", "accept", "save", "impression"],
            [10, 3, 2, 2, 1, 1, 4, 1],
        )[0]
        match kind:
            case "click":
                self._click(numbers)
            case "undo" | "redo" | "accept":
                self._change(kind, "POST", kind, {})
            case "object" if numbers:
                asked = {"status": self.random.choice(["draft", "accepted"])}
                self._change(kind, "PATCH", f"objects/{self.random.choice(numbers)}", asked)
            case "delete" if numbers:
                where = f"objects/{self.random.choice(numbers)}?revision={self.head['revision']}"
                self._change(kind, "DELETE", where, None)
            case "save":
                self._save()
            case "impression":
                self._accept_impression()

    def verify(self) -> None:
        """Compare the session, the journal, the labels and the impressions with what was acknowledged."""
        if self._path:
            self._verify_session()
        self._verify_saved()
        self.flight = ""

    def _open(self) -> None:
        if not self._path:
            listed = self.get("/segpet/studies").json()["studies"]
            (uid,) = [one["id"] for one in listed if one["title"] == self.title]
            self._path = f"/segpet/studies/{uid}"
            self._session = f"{self._path}/sessions/{self.name}"
        if reply := self.send("open", "PUT", self._session, {}):
            self.head, _ = head_of(reply.content)
            self._ops[self.head["revision"]] = "open"

    def _click(self, numbers: list[int]) -> None:
        point = self.random.choice(self._points)
        if numbers and self.random.random() < 0.4:
            asked = {"object": self.random.choice(numbers), "positive": self.random.random() < 0.5}
        else:
            method = self.random.choice(["suv_region", "segpet"])
            asked = {"object": None, "label": "lesion", "method": method, "positive": True}
        self._change("click", "POST", "clicks", {**asked, "point": point})

    def _change(self, op: str, method: str, route: str, body: dict[str, Any] | None) -> None:
        if body is not None:
            body = {**body, "revision": self.head["revision"]}
        if reply := self.send(op, method, f"{self._session}/{route}", body):
            head, _ = head_of(reply.content)
            if head["revision"] != self.head["revision"]:
                self._ops[head["revision"]] = op
            self.head = head

    def _save(self) -> None:
        body = {"revision": self.head["revision"], "status": self.random.choice(_STATUSES), "replace": True}
        if reply := self.send("save", "POST", f"{self._session}/label", body):
            label = reply.json()
            self.saved[label["version"]] = label["status"], label["author"]

    def _accept_impression(self) -> None:
        text = f"Impression {self.random.getrandbits(64):x}."
        saved = LabelVersions(self._state / "labels").counting(self.title)
        told = {"client": self.name, "label": saved.number if saved else 0, "language": "en"}
        body = {**told, "findings": "One lesion.", "impression": text}
        if reply := self.send("impression", "PUT", f"{self._path}/impression", body):
            self._texts[reply.json()["number"]] = text

    def _verify_session(self) -> None:
        before, kept = self.head, self.get(self._session)
        if kept.status_code == 404 and not before:
            return
        if not kept.ok:
            self.broken.append(f"{self.name}: the session is answered with {kept.status_code}")
            return
        self.head, _ = head_of(kept.content)
        now = self.head
        went_on = now["revision"] - before.get("revision", 0)
        if went_on not in ((0, 1) if self.flight else (0,)):
            self.broken.append(
                f"{self.name}: revision {now['revision']} after {before.get('revision', 0)} was acknowledged"
            )
        told = ("objects", "can_undo", "can_redo")
        if went_on == 0 and before and [before[key] for key in told] != [now[key] for key in told]:
            self.broken.append(f"{self.name}: the objects of revision {now['revision']} are others now")
        lines = [
            line
            for line in Journal(self._state / "journal").read(self.title)
            if line["event"] == "annotation" and line["client"] == self.name and line["op"] != "save"
        ]
        if [line["revision"] for line in lines] != list(range(1, now["revision"] + 1)):
            self.broken.append(f"{self.name}: the journal does not count on")
        kept_ops = {line["revision"]: line["op"] for line in lines}
        if missing := [at for at, op in self._ops.items() if kept_ops.get(at) != op]:
            self.broken.append(f"{self.name}: acknowledged changes are not in the journal: {missing}")

    def _verify_saved(self) -> None:
        labels = LabelVersions(self._state / "labels")
        versions = {one.number: one for one in labels.versions(self.title)}
        for number, told in self.saved.items():
            version = versions.get(number)
            if version is None or (version.status, version.author) != told:
                self.broken.append(f"{self.name}: version {number} {told} was acknowledged and is not there")
            elif why := fault_of(version.mask.parent):
                self.broken.append(f"{self.name}: version {number} is damaged: {why}")
        accepted = AcceptedImpressions(self._state / "impressions")
        for number, text in self._texts.items():
            one = accepted.get(self.title, number)
            if one is None or one.impression != text:
                self.broken.append(f"{self.name}: impression {number} was acknowledged and is not there")
