"""Organ maps of studies: `organs/NAME` in the studies folder, from which lesions get their sites."""

from pathlib import Path
from threading import Lock
from typing import Any

from cachetools import LRUCache

from infer_tasks.requests import EXTENSIONS
from lib.pet import Volume, VolumeError
from lib.pet.organ_map import OrganMap
from lib.pet.organs import read_organ_map

FOLDER = "organs"
_KEPT = 4


class OrganMaps:
    """Reads the organ map of a study: a file as TotalSegmentator writes it, or a folder with one an organ.

    Args:
        studies: the studies folder.
    """

    def __init__(self, studies: Path) -> None:
        self._folder = studies / FOLDER
        self._kept: LRUCache[Any, OrganMap | None] = LRUCache(_KEPT)
        self._reading = Lock()

    def find(self, study: str) -> Path | None:
        """Return where a study's organ map is, None where there is none."""
        names = [study, *(f"{study}{end}" for end in EXTENSIONS)]
        return next((path for name in names if (path := self._folder / name).exists()), None)

    def get(self, study: str, volume: Volume) -> OrganMap | None:
        """Return a study's organ map on its grid; None where there is none, or none that can be used."""
        path = self.find(study)
        if path is None:
            return None
        with self._reading:
            key = (path, path.stat().st_mtime_ns, volume.digest)
            if key not in self._kept:
                try:
                    self._kept[key] = read_organ_map(path, volume)
                except VolumeError:
                    self._kept[key] = None
            return self._kept[key]
