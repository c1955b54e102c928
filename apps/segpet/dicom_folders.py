"""The folders among the studies that hold DICOM PET: each is one study."""

from pathlib import Path

from lib.pet.dicom_folder import Stamp, holds_pet, stamp_of

#: Where the server itself keeps labels among the studies.
LABELS = "labels"


class DICOMFolders:
    """Knows which subfolders of a studies folder hold PET, without looking into each file at every question.

    Args:
        studies: the studies folder.
    """

    def __init__(self, studies: Path) -> None:
        self._studies = studies
        self._with_pet: set[str] = set()
        self._without: dict[str, Stamp] = {}

    def names(self) -> list[str]:
        """Return the names of the folders that hold PET now."""
        folders = [
            path
            for path in self._studies.iterdir()
            if path.is_dir() and path.name[0] != "." and path.name != LABELS
        ]
        self._with_pet &= {path.name for path in folders}
        return sorted(path.name for path in folders if self._holds_pet(path))

    def _holds_pet(self, path: Path) -> bool:
        if path.name in self._with_pet:
            return True
        stamp = stamp_of(path)
        if self._without.get(path.name) == stamp:
            return False
        if found := holds_pet(path):
            self._with_pet.add(path.name)
        else:
            self._without[path.name] = stamp
        return found
