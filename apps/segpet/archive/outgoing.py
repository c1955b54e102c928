"""Final labels on their way into the archive, as SEG and SR; what did not get there goes again.

**The rule of replacement.** All versions of a label are in one series of SEG and one of SR beside the PET,
and InstanceNumber is the version: the highest counts. A report names the one it replaces as its predecessor.
What the archive holds decides the next number, also for a server that has forgotten what it sent. A version
that is there already, its content the same, is not sent as another one.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pydicom
from fastapi import HTTPException
from pydicom.dataset import Dataset

from apps.segpet.archive.client import Archive, ListedInstance
from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.failures import log_unexpected
from infer_tasks.exported import annotation_of
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.workspace import Workspace
from lib.export.documents import Annotation, ExportError, make_documents
from lib.pet import VolumeError
from lib.store import LabelVersion, StoreError, write_atomic

_RETRY_SECONDS = 30.0

logger = logging.getLogger("segpet")
logging.getLogger("highdicom").setLevel(logging.WARNING)  # else it tells each module that it copies


@dataclass(frozen=True)
class Outcome:
    """How a final label stands in the archive.

    Args:
        stored: it is there.
        message: a sentence for people.
    """

    stored: bool
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"stored": self.stored, "message": self.message}


class Outgoing:
    """Sends final labels. Threads may share it.

    Args:
        archive: where they go.
        studies: its PET series.
        workspace: versions of the labels, and the state folder, where it is kept which of them arrived.
    """

    def __init__(self, archive: Archive, studies: ArchiveStudies, workspace: Workspace) -> None:
        self._archive, self._studies, self._workspace = archive, studies, workspace
        self._organs = OrganMaps(studies.folder)
        self._sent = workspace.state.folder("sent")
        self._sending: defaultdict[str, Lock] = defaultdict(Lock)
        self._failed = ""

    def send(self, study: str) -> Outcome | None:
        """Store a study's final label in the archive, where it is not there yet.

        Returns:
            How it stands; None where the study has no final label. A failure is told, not raised: the label
            is saved here.
        """
        with self._sending[study]:
            saved = self._workspace.versions.counting(study)
            if saved is None or saved.status != "final":
                return None
            if self._has_arrived(study, saved):
                return Outcome(True, "The label is in the PACS.")
            try:
                self._store(study, saved)
            except (HTTPException, VolumeError, ExportError, StoreError) as error:
                why = error.detail if isinstance(error, HTTPException) else str(error)
                return Outcome(False, f"The label is saved here, but not yet in the PACS: {why} {_AGAIN}")
            except Exception as error:
                log_unexpected(error)
                return Outcome(False, f"The label is saved here, but could not be sent to the PACS. {_AGAIN}")
            return Outcome(True, "The label is in the PACS.")

    def send_all(self) -> None:
        """Store all final labels that are not in the archive yet; the first failure ends it.

        The next call begins behind what failed: a label that never gets there holds up no other.
        """
        for study in sorted(self._waiting(), key=lambda study: (study <= self._failed, study)):
            outcome = self.send(study)
            if outcome is not None and not outcome.stored:
                self._failed = study
                logger.warning("A final label waits for the PACS, and is sent again.")
                return

    def start(self) -> None:
        """Go on sending in the background, until the process ends."""
        Thread(target=self._run, daemon=True, name="outgoing").start()

    def _run(self) -> None:
        while True:
            time.sleep(_RETRY_SECONDS)
            try:
                self.send_all()
            except Exception as error:  # the next turn may do better
                log_unexpected(error)

    def _waiting(self) -> Iterator[str]:
        for study in self._studies.get_labeled_images():
            saved = self._workspace.versions.counting(study)
            if saved is not None and saved.status == "final" and not self._has_arrived(study, saved):
                yield study

    def _store(self, study: str, saved: LabelVersion) -> None:
        folder = self._studies.known_image(study)
        volume = self._workspace.volumes.get(folder)
        organs = self._organs.get(study, volume)
        said = self._impression(study, saved)  # before its text: one that is accepted meanwhile goes again
        impression = self._workspace.accepted.text_for(study, saved.number)
        annotation = annotation_of(saved, volume, folder, organs, impression)
        pacs_study = str(annotation.sources[0].StudyInstanceUID)
        reports = self._archive.instances(pacs_study, annotation.uid("SR series"))
        newest = max(reports, key=lambda one: one.number, default=None)
        annotation = _numbered(annotation, newest)
        older = [one for one in reports if one.number < annotation.version]
        predecessor = self._report(pacs_study, annotation.uid("SR series"), older) if older else None
        documents = make_documents(annotation, predecessor)
        made = (documents.segmentation, documents.report, documents.value_map)
        self._archive.store(pacs_study, [one for one in made if one is not None])
        told = {"version": saved.number, "impression": said, "instance_number": annotation.version}
        write_atomic(self._record(study), json.dumps(told))

    def _report(self, study: str, series: str, reports: list[ListedInstance]) -> Dataset:
        newest = max(reports, key=lambda one: one.number)
        try:
            return pydicom.dcmread(BytesIO(self._archive.file(study, series, newest.uid)))
        except (pydicom.errors.InvalidDicomError, ValueError, KeyError) as error:
            raise HTTPException(502, "The PACS sends a report that cannot be read.") from error

    def _has_arrived(self, study: str, saved: LabelVersion) -> bool:
        try:
            arrived = json.loads(self._record(study).read_bytes())
        except (OSError, ValueError):
            return False
        if not isinstance(arrived, dict) or arrived.get("version") != saved.number:
            return False
        return bool(arrived.get("impression", 0) == self._impression(study, saved))

    def _impression(self, study: str, saved: LabelVersion) -> int:
        """Return the number of the accepted impression that a report of this version has, 0 without one."""
        newest = self._workspace.accepted.newest(study)
        return newest.number if newest and newest.label == saved.number else 0

    def _record(self, study: str) -> Path:
        return self._sent / f"{study}.json"


_AGAIN = "It is sent again by itself, and when you save."


def _numbered(annotation: Annotation, newest: ListedInstance | None) -> Annotation:
    """Return a label with the number that it has, or is to have, in the archive."""
    if newest is None or newest.number < annotation.version:
        return annotation
    same = replace(annotation, version=newest.number)
    if same.instance_uid("SR") == newest.uid:
        return same
    return replace(annotation, version=newest.number + 1)
