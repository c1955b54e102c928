"""The PET series of an archive as MONAI Label's datastore; a study's id is the SeriesInstanceUID."""

import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import HTTPException

from apps.segpet.archive.client import Archive, ListedSeries
from apps.segpet.archive.mirror import Mirror
from apps.segpet.studies import Saving, Studies

#: For how long the archive's list is taken to be as it was.
_TRUSTED_SECONDS = 5.0


class ArchiveStudies(Studies):
    """A studies folder in the state folder that follows an archive; its images come when they are opened.

    Labels are saved here first, as in any studies folder; see `apps.segpet.archive.outgoing` for how they get
    into the archive.

    Args:
        folder: where images and labels are kept, mode 0700.
        archive: where the images come from.
        saving: see `apps.segpet.studies.Saving`.
    """

    def __init__(self, folder: Path, archive: Archive, saving: Saving) -> None:
        self._archive, self._mirror = archive, Mirror(folder, archive)
        self._listed: dict[str, ListedSeries] = {}
        self._listed_at = float("-inf")
        self._listing = Lock()
        super().__init__(str(folder), auto_reload=False, saving=saving)

    def known_image(self, image_id: Any) -> Path:
        """Return the folder of a series; its images are there.

        Raises HTTPException: 404 for no series of the archive's, 502 where that does not send it.
        """
        self._mirror.fetch(self.series(image_id))
        return super().known_image(image_id)

    def series(self, image_id: Any) -> ListedSeries:
        """Return what the archive tells of a series; HTTPException 404 where it lists none."""
        if isinstance(image_id, str) and image_id not in self._listed:
            self.take_up_folders()
        listed = self._listed.get(image_id) if isinstance(image_id, str) else None
        if listed is None:
            raise HTTPException(404, "There is no such PET series in the PACS.")
        return listed

    def title(self, study: str) -> str:
        """Return how people find a study."""
        listed = self._listed.get(study)
        return listed.title if listed else study

    def take_up_folders(self) -> None:
        """Follow the archive's list of PET series.

        Raises HTTPException: the archive does not answer, and never did.
        """
        # One asks, and the others have the list as it was; only the first list is waited for.
        if not self._listing.acquire(blocking=not self._listed):
            return
        try:
            if time.monotonic() - self._listed_at < _TRUSTED_SECONDS:
                return
            try:
                listed = self._archive.pet_series()
            except HTTPException:
                if not self._listed:
                    raise
                return
            finally:
                self._listed_at = time.monotonic()
            self._listed = listed
            if self._mirror.follow(listed):
                self.refresh()
        finally:
            self._listing.release()

    def list_images(self) -> list[str]:
        """Return the SeriesInstanceUIDs of the archive's PET."""
        self.take_up_folders()
        listed: list[str] = super().list_images()
        return [uid for uid in listed if uid in self._listed]

    def status(self) -> dict[str, Any]:
        """Return how many series there are, and how many have labels."""
        self.take_up_folders()  # before anybody else has to wait for the archive
        known: dict[str, Any] = super().status()
        return known

    def clean(self) -> None:
        """Delete what a killed server left behind, and what nobody opened for long."""
        self._mirror.clean()

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        if path == self._datastore.image_path():
            return {uid: uid for uid in self._listed}
        return super()._list_files(path, patterns)
