"""Between the series of an archive and their UIDs, as `apps.segpet.dicomweb.uids` asks for them."""

from threading import Lock

from cachetools import LRUCache
from fastapi import HTTPException

from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.dicomweb.stored import StoredStudies
from lib.pet.dicom_folder import Stamp, stamp_of

_KEPT = 64


class ArchiveCatalogue:
    """The archive by UIDs: a study's id is its SeriesInstanceUID. Threads may share it.

    Args:
        studies: the archive's PET series.
    """

    def __init__(self, studies: ArchiveStudies) -> None:
        self._studies = studies
        self._kept: LRUCache[tuple[str, Stamp], tuple[str, ...]] = LRUCache(_KEPT)
        self._lock = Lock()

    def study_of(self, series_uid: str) -> str | None:
        """Return the study that is a series, None where the archive has no such PET."""
        try:
            return self.uids_of(series_uid)[1]
        except LookupError:
            return None

    def uids_of(self, study: str) -> tuple[str, str]:
        """Return StudyInstanceUID and SeriesInstanceUID; LookupError where there is no such study."""
        try:
            return self._studies.series(study).study, study
        except HTTPException as error:
            if error.status_code != 404:
                raise
            raise LookupError("There is no such study.") from error

    def instances_of(self, study: str) -> tuple[str, ...]:
        """Return the SOPInstanceUID of slice k, for each k.

        Raises:
            HTTPException: as `ArchiveStudies.known_image`.
            VolumeError: the series cannot be read, or has all slices in one instance.
        """
        folder = self._studies.known_image(study)
        key = (study, stamp_of(folder))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = StoredStudies(folder).instances
            return self._kept[key]
