"""Organ maps of studies: `organs/NAME` in the studies folder, from which lesions get their sites."""

from pathlib import Path
from threading import Lock
from typing import Any

from cachetools import LRUCache

from lib.pet import Volume, VolumeError
from lib.pet.organ_map import OrganMap
from lib.pet.organs import find_organ_map, organ_map_stamp, read_organ_map

_KEPT = 4


class OrganMaps:
    """Reads the organ map of a study: a file as TotalSegmentator writes it, or a folder with one an organ.

    Args:
        studies: the studies folder.
    """

    def __init__(self, studies: Path) -> None:
        self._studies = studies
        self._kept: LRUCache[Any, OrganMap | None] = LRUCache(_KEPT)
        self._reading = Lock()

    def stamp(self, study: str) -> tuple[Path, tuple[int, int]] | None:
        """Return where a study's organ map is, and as which it is there now; None where there is none."""
        path = find_organ_map(self._studies, study)
        return (path, organ_map_stamp(path)) if path else None

    def get(self, study: str, volume: Volume) -> OrganMap | None:
        """Return a study's organ map on its grid; None where there is none, or none that can be used."""
        stamp = self.stamp(study)
        if stamp is None:
            return None
        path, _ = stamp
        with self._reading:
            key = (stamp, volume.digest)
            if key not in self._kept:
                try:
                    self._kept[key] = read_organ_map(path, volume, study=self._studies / study)
                except VolumeError:
                    self._kept[key] = None
            return self._kept[key]
