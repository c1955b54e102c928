"""The images of studies: each is read once, not once a click."""

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import Lock

from cachetools import LRUCache

from lib.pet import Preflight, Volume, VolumeError, read_volume
from lib.pet.dicom_folder import Stamp as FolderStamp
from lib.pet.dicom_folder import stamp_of
from lib.pet.sidecar import sidecar_of

_MOST_PRELOADS = 4
_TRUSTED_SECONDS = 2.0

Stamp = tuple[int, int]
Key = tuple[Path, Stamp, Stamp | None]


class Volumes:
    """Keeps volumes in memory; the least recently used go first. Threads may share it.

    Args:
        unit: what the values of files are that do not say it themselves, "SUVbw" or "Bq/ml"; None: unknown.
        limit_bytes: bound of the voxels kept; a larger volume is read at every request.
    """

    def __init__(self, unit: str | None = None, limit_bytes: int = 1 << 30) -> None:
        self._unit = unit
        self._kept: LRUCache[Key, Volume] = LRUCache(
            limit_bytes, getsizeof=lambda volume: volume.array.nbytes
        )
        self._lock = Lock()
        self._reading = Lock()
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preload")
        self._preloads: list[Future[None]] = []

    def get(self, path: Path) -> Volume:
        """Return the image of a file, or of a folder with a DICOM series, as it now is on the disk.

        Raises:
            VolumeError: as `lib.pet.read_volume`.
        """
        key = _key(path)
        if (volume := self._find(key)) is not None:
            return volume
        # One file at a time: two large ones read at once would need the memory of both, and of their copies.
        with self._reading:
            if (volume := self._find(key)) is not None:
                return volume
            volume = read_volume(path)
            if volume.unit == "unknown" and self._unit is not None:
                preflight = Preflight.of_file(self._unit, "as the server was told")
                volume = Volume(volume.array, volume.affine, self._unit, preflight)
            _ = volume.digest  # computed here, where a preload does it before the first click
            with self._lock, contextlib.suppress(ValueError):  # larger than the whole cache
                self._kept[key] = volume
        return volume

    def forget(self) -> None:
        """Let go of all volumes; whoever needs one reads it anew."""
        with self._lock:
            self._kept.clear()

    def preload(self, path: Path) -> None:
        """Read an image in the background, so that the first click need not wait for it."""
        self._preloads = [future for future in self._preloads if not future.done()]
        if len(self._preloads) < _MOST_PRELOADS:
            self._preloads.append(self._reader.submit(self._read_ahead, path))

    def _read_ahead(self, path: Path) -> None:
        with contextlib.suppress(VolumeError, OSError, MemoryError):  # told to whoever clicks in it
            self.get(path)

    def _find(self, key: Key) -> Volume | None:
        with self._lock:
            return self._kept.get(key)


def _key(path: Path) -> Key:
    if (image := _stamp(path)) is None:
        raise VolumeError("The study's image is no longer there, or cannot be opened.")
    return path, image, _stamp(sidecar_of(path))


@lru_cache(maxsize=256)
def _stamp_of_folder(folder: Path, moment: int) -> FolderStamp:
    """Return a folder's stamp, the same for a moment: a click need not look at hundreds of files."""
    return stamp_of(folder)


def _stamp(path: Path) -> Stamp | None:
    """Return when a file or folder changed last, and its size; None where it cannot be opened."""
    try:
        if path.is_dir():
            stamp = _stamp_of_folder(path, int(time.monotonic() / _TRUSTED_SECONDS))
            return stamp.newest_ns, stamp.bytes
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
