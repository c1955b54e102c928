"""Findings of saved labels, impressions written from them, and the check of what was written."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from cachetools import LRUCache

from infer_tasks.annotations import SessionMovedError
from infer_tasks.exported import exported_objects, numbers
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.requests import RequestError
from infer_tasks.workspace import Workspace
from lib.pet.tracers import tracer_of
from lib.report.backends import Backend, BackendError, Options
from lib.report.backends.local import LocalBackend
from lib.report.check import check
from lib.report.findings import findings_text
from lib.report.language import LANGUAGES, Language, check_text, readable
from lib.store import Models
from lib.store.reports import AcceptedImpression

_TABLES = 32
NO_BACKEND = (
    "This server has no language model: start it with --impression, a folder or the address of a server that "
    "speaks OpenAI's API."
)


class Measured(NamedTuple):
    """The lesion table of the label that counts, and that label's version."""

    table: dict[str, Any]
    version: int


class Impressions:
    """What the infer task and the panel's routes have in common.

    Args:
        workspace: labels, volumes and the state folder.
        organs: name sites.
        backend: writes impressions; None: there is none.
        adapters: versions of what was trained here.
    """

    def __init__(
        self, workspace: Workspace, organs: OrganMaps, backend: Backend | None, adapters: Models
    ) -> None:
        self._workspace, self._organs, self.backend, self.adapters = workspace, organs, backend, adapters
        self._tables: LRUCache[Any, Measured] = LRUCache(_TABLES)
        self._lock = Lock()

    def measured(self, study: str, image: Path) -> Measured:
        """Return the lesion table of a study's label.

        Raises:
            RequestError: there is no saved label.
            VolumeError: image or label cannot be read.
        """
        saved = self._workspace.versions.counting(study)
        if saved is None:
            raise RequestError("There is no saved label of this study: save it first, findings come from it.")
        volume = self._workspace.volumes.get(image)
        # All that the table depends on: organ map and tracer may come or change after the label.
        key = study, saved.number, volume.digest, tracer_of(volume), self._organs.stamp(study)
        with self._lock:
            if (known := self._tables.get(key)) is not None:
                return known
        organ_map = self._organs.get(study, volume)
        measured = Measured(numbers(exported_objects(saved, volume), volume, organ_map), saved.number)
        with self._lock:
            self._tables[key] = measured
        return measured

    def findings(self, study: str, image: Path, language: Language) -> str:
        """Return the findings of a study's label as text; raises as `measured`."""
        preflight = self._workspace.volumes.get(image).preflight
        return findings_text(self.measured(study, image).table, language, preflight)

    def numbers(self, study: str, image: Path) -> list[int]:
        """Return which object of a study's label each lesion of its findings is; raises as `measured`."""
        return [entry["id"] for entry in self.measured(study, image).table["lesions"]]

    def write(
        self,
        findings: str,
        language: Language,
        options: Options,
        cancelled: Callable[[], bool],
        waiting: Callable[[int], None],
    ) -> Iterator[str]:
        """Yield an impression piece by piece, as `Backend.generate`, without characters that no text holds.

        Raises BackendError too where there is no back end.
        """
        if self.backend is None:
            raise BackendError(NO_BACKEND, 503)
        self.follow()
        with closing(self.backend.generate(findings, language, options, cancelled, waiting)) as pieces:
            yield from filter(None, map(readable, pieces))

    def follow(self) -> None:
        """Write with the adapter that is the champion, which a training may just have made.

        Raises:
            StoreError: the registry is damaged.
        """
        if isinstance(self.backend, LocalBackend):
            champion = self.adapters.champion()
            self.backend.take(champion.path if champion else None)

    @property
    def can_learn(self) -> bool:
        """Whether the model is in this server's reach to be trained."""
        return isinstance(self.backend, LocalBackend)

    def number_accepted(self) -> int:
        """Return of how many studies an impression was accepted."""
        return self._workspace.accepted.count()

    def check(self, study: str, image: Path, text: str, findings: str, language: Language) -> dict[str, Any]:
        """Return what nothing supports in a text, and what it leaves out; without a label by the findings."""
        labelled = self._workspace.versions.counting(study) is not None
        table = self.measured(study, image).table if labelled else None
        return check(text, table, findings, language).as_dict()

    def accept(
        self,
        study: str,
        label: int,
        language: Language,
        findings: str,
        impression: str,
        author: str,
        drafted: str,
        model: str,
    ) -> AcceptedImpression:
        """Keep a pair that a reader accepted, with the version of the label that it was written for.

        Raises:
            ReportError: a text that is too long or cannot be read.
            RequestError: an empty impression.
            SessionMovedError: another version of the label counts by now.
            StoreError: the state folder cannot be written.
        """
        check_text(findings, "The findings")
        check_text(drafted, "The draft")
        if not check_text(impression, "The impression").strip():
            raise RequestError("The impression is empty: write it before you accept it.")
        if label != self.label(study):
            raise SessionMovedError(
                "The label was saved anew since these findings were taken: take them from the label again."
            )
        return self._workspace.accepted.accept(
            study, label, language, findings, impression, author, drafted, model
        )

    def label(self, study: str) -> int:
        """Return the version of the label that counts; 0 where none was saved here."""
        saved = self._workspace.versions.counting(study)
        return saved.number if saved else 0

    def accepted(self, study: str) -> AcceptedImpression | None:
        """Return the pair accepted last; None where there is none."""
        return self._workspace.accepted.newest(study)


def language_asked(value: Any) -> Language:
    """Return the language that a client asks for; English where it does not say."""
    for language in LANGUAGES:
        if value in (language, None, ""):
            return language
    raise RequestError(f"The language must be one of {', '.join(LANGUAGES)}.")


def options_asked(params: dict[str, Any]) -> Options:
    """Return the options among a client's parameters; ReportError for one out of its range."""
    known = ("temperature", "top_p", "max_tokens", "seed", "timeout")
    return Options(**{key: params[key] for key in known if params.get(key) not in (None, "")})
