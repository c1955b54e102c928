"""Copies of an archive's PET series: a private folder, a subfolder a series, bounded, filled on demand."""

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from fastapi import HTTPException

from apps.segpet.archive.client import Archive, ListedSeries
from lib.pet import VolumeError
from lib.pet.dicom_files import read_header, tags, text
from lib.store.atomic import sync
from lib.store.state import make_private

#: Series that nobody opened for so long are dropped when the server starts.
KEPT_SECONDS = 7 * 24 * 3600
#: What was opened just now is being read.
_IN_USE_SECONDS = 600
_MOST_BYTES = 20 << 30
_MOST_SERIES_BYTES = 4 << 30
_CONNECTIONS = 4
_PART = ".part-"
_CHECKED = tags("StudyInstanceUID SeriesInstanceUID SOPInstanceUID")


class Mirror:
    """The folder `SERIES/INSTANCE.dcm`. A series is there wholly, or its folder is empty.

    Args:
        folder: mode 0700, made where it is missing.
        archive: where the files come from.
        most_bytes: bound of all files; the least recently opened series are dropped first.
    """

    def __init__(self, folder: Path, archive: Archive, most_bytes: int = _MOST_BYTES) -> None:
        make_private(folder)
        self.folder, self._archive, self._most_bytes = folder, archive, most_bytes
        self._fetching: defaultdict[str, Lock] = defaultdict(Lock)
        self._placing = Lock()
        self._told: dict[str, int] = {}

    def follow(self, listed: Collection[str]) -> bool:
        """Have a folder for each series that is listed and no other; whether that changed anything."""
        here = {path.name for path in self._series()}
        for uid in set(listed) - here:
            make_private(self.folder / uid)
        for uid in here - set(listed):
            self._remove(self.folder / uid)
        return here != set(listed)

    def fetch(self, series: ListedSeries) -> None:
        """Copy a series from the archive, where it is not here or has not as many images as there.

        Raises HTTPException: 502 where the archive cannot be reached or sends something else, 404 where it
        has no such series any more.
        """
        target = self.folder / series.uid
        with self._fetching[series.uid]:
            count = sum(1 for _ in target.iterdir()) if target.is_dir() else 0
            if count == 0 or series.images not in (0, count, self._told.get(series.uid)):
                part = Path(tempfile.mkdtemp(dir=self.folder, prefix=_PART))
                try:
                    self._copy(series, part)
                    sync(part)
                    with self._placing:
                        self._remove(target)
                        part.rename(target)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
                self._told[series.uid] = series.images  # some archives count wrong, and always the same
                self._shrink()
            os.utime(target)

    def clean(self) -> None:
        """Delete what a killed server left behind, and what nobody opened for long."""
        for path in self.folder.glob(f"{_PART}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._series():
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                self._empty(path)

    def _copy(self, series: ListedSeries, part: Path) -> None:
        instances = self._archive.instances(series.study, series.uid)
        if not instances:
            raise HTTPException(404, "The PACS has no such series any more.")
        sizes = []

        def copy(uid: str) -> None:
            content = self._archive.file(series.study, series.uid, uid)
            sizes.append(len(content))
            if sum(sizes) > _MOST_SERIES_BYTES:
                raise HTTPException(502, "The series is larger than what this server takes from a PACS.")
            file = part / f"{uid}.dcm"
            file.write_bytes(content)
            sync(file)
            if _uids_of(file) != (series.study, series.uid, uid):
                raise HTTPException(502, "The PACS sends another image than it was asked for.")

        pool = ThreadPoolExecutor(_CONNECTIONS)
        try:
            for _ in pool.map(copy, [one.uid for one in instances]):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _shrink(self) -> None:
        """Drop series until the rest is within the bound."""
        size_of = {path: sum(file.stat().st_size for file in path.iterdir()) for path in self._series()}
        total = sum(size_of.values())
        for path in sorted(size_of, key=lambda one: one.stat().st_mtime):
            if total <= self._most_bytes or time.time() - path.stat().st_mtime < _IN_USE_SECONDS:
                return
            if size_of[path]:
                self._empty(path)
                total -= size_of[path]

    def _empty(self, path: Path) -> None:
        with self._placing:
            self._remove(path)
            make_private(path)

    def _remove(self, path: Path) -> None:
        """Take a folder away at once, and then delete it: nobody finds half a series."""
        if path.exists():
            away = Path(tempfile.mkdtemp(dir=self.folder, prefix=_PART))
            path.rename(away / path.name)
            shutil.rmtree(away, ignore_errors=True)

    def _series(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir() and path.name[0].isdecimal()]


def _uids_of(file: Path) -> tuple[str, ...] | None:
    try:
        found = read_header(file, _CHECKED)
    except VolumeError:
        return None
    if found is None:
        return None
    return tuple(text(found.dataset, f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
