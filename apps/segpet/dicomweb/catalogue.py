"""Everything that the embedded DICOMweb serves, found by UID; follows the studies folder as it changes."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

from apps.segpet.dicomweb.digests import Digests
from apps.segpet.dicomweb.generated import generated_study
from apps.segpet.dicomweb.model import Series, Study
from apps.segpet.dicomweb.stored import StoredStudies
from apps.segpet.studies import Studies
from infer_tasks.volumes import Volumes
from lib.export.pet_series import SeriesUIDs
from lib.pet import VolumeError
from lib.pet.dicom_folder import stamp_of
from lib.pet.sidecar import with_sidecar

#: For how long a study's files are taken to be as they were: a viewer asks for hundreds of frames in a row.
_TRUSTED_SECONDS = 2.0


class Holding(Protocol):
    """What a study of the datastore holds."""

    @property
    def studies(self) -> Mapping[str, Study]:
        """Its studies by StudyInstanceUID."""

    @property
    def annotated(self) -> tuple[str, str]:
        """StudyInstanceUID and SeriesInstanceUID of what is segmented."""

    @property
    def instances(self) -> tuple[str, ...]:
        """SOPInstanceUID of slice k of what is segmented."""


class GeneratedHolding:
    """What an image file holds."""

    def __init__(self, study: Study, uids: SeriesUIDs) -> None:
        self._study, self._uids = study, uids
        self.studies = {study.uid: study}
        self.annotated = (uids.study, uids.series)

    @property
    def instances(self) -> tuple[str, ...]:
        """SOPInstanceUID of slice k, for each k."""
        return self._study.series[self._uids.series].instances


class _Known(NamedTuple):
    path: Path
    stamp: Any
    seen: float
    holding: Holding


class Catalogue:
    """The studies folder by UIDs. Threads may share it.

    Args:
        studies: the studies.
        volumes: the images in memory.
        folder: where the digests of image files are kept, from which their UIDs are made.
    """

    def __init__(self, studies: Studies, volumes: Volumes, folder: Path) -> None:
        self._studies, self._volumes = studies, volumes
        self._digests = Digests(folder / "digests.json")
        self._known: dict[str, _Known] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def studies(self) -> dict[str, list[Study]]:
        """Return all studies by StudyInstanceUID; several folders may hold parts of one."""
        self._studies.take_up_folders()
        found: defaultdict[str, list[Study]] = defaultdict(list)
        for name in sorted(self._studies.list_images()):
            holding = self._holding(name)
            for uid, study in holding.studies.items() if holding else ():
                found[uid].append(study)
        return dict(found)

    def series(self, study_uid: str) -> dict[str, Series]:
        """Return a study's series by UID.

        Raises:
            LookupError: there is no such study.
            VolumeError: its images cannot be read.
        """
        parts = self._parts(study_uid)
        if not parts:
            raise LookupError("There is no such study.")
        return {uid: one for part in parts for uid, one in part.series.items()}

    def study_of(self, series_uid: str) -> str | None:
        """Return the study that is segmented in a series, None where there is none."""
        for look_anew in (False, True):
            if look_anew:
                self.studies()
            for name in self._names(lambda holding: _annotated(holding)[1] == series_uid):
                return name
        return None

    def uids_of(self, study: str) -> tuple[str, str]:
        """Return StudyInstanceUID and SeriesInstanceUID of a study; LookupError where there is none."""
        return _annotated(self._held(study))

    def instances_of(self, study: str) -> tuple[str, ...]:
        """Return the SOPInstanceUID of slice k, for each k.

        Raises:
            LookupError: there is no such study.
            VolumeError: it cannot be read, or has all slices in one instance.
        """
        return self._held(study).instances

    def _parts(self, study_uid: str) -> list[Study]:
        names = self._names(lambda holding: study_uid in holding.studies)
        found = [self._held(name).studies[study_uid] for name in names]
        return found or self.studies().get(study_uid, [])

    def _names(self, holds: Callable[[Holding], bool]) -> list[str]:
        """Return the studies that hold something, among those that were looked into; they hold it still."""
        names = [name for name, known in list(self._known.items()) if holds(known.holding)]
        return sorted(name for name in names if (now := self._holding(name)) is not None and holds(now))

    def _held(self, study: str) -> Holding:
        holding = self._holding(study)
        if holding is None:
            raise LookupError("There is no such study.")
        return holding

    def _holding(self, name: str) -> Holding | None:
        """Return what a study holds now; None where it is gone."""
        known = self._known.get(name)
        if known is not None and time.monotonic() - known.seen < _TRUSTED_SECONDS:
            return known.holding
        with self._locks[name]:
            path = Path(self._studies.get_image_uri(name) or "")
            stamp = _stamp(path) if path.name else None
            if stamp is None:
                self._known.pop(name, None)
                return None
            known = self._known.get(name)
            same = known is not None and (known.path, known.stamp) == (path, stamp)
            holding = known.holding if known is not None and same else self._look_into(name, path)
            if holding is None:
                return None
            self._known[name] = _Known(path, stamp, time.monotonic(), holding)
            return holding

    def _look_into(self, name: str, path: Path) -> Holding | None:
        if path.is_dir():
            return StoredStudies(path)
        content = self._digests.of(path)
        if content is None:
            return None
        uids = SeriesUIDs(name, content)
        study = generated_study(name, path, uids, lambda: self._volumes.get(path))
        return GeneratedHolding(study, uids)


def _annotated(holding: Holding) -> tuple[str, str]:
    try:
        return holding.annotated
    except VolumeError:  # its images are gone
        return "", ""


def _stamp(path: Path) -> Any:
    try:
        if path.is_dir():
            return stamp_of(path)
        found = [file.stat() for file in with_sidecar(path)]  # which tells the unit
        return [(status.st_mtime_ns, status.st_size) for status in found]
    except OSError:
        return None
