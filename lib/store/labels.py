"""Saved labels and all their versions: a save adds a version and moves a pointer, and takes nothing away."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from lib.store.atomic import sync, write_atomic
from lib.store.errors import StoreError
from lib.store.locks import locked
from lib.store.records import file_name, from_json, to_json
from lib.store.state import make_private

Status = Literal["draft", "submitted", "reviewed", "final"]
#: The further a status is in this order, the more a label counts.
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class LabelVersion:
    """One saved state of a study's label. Its files are never changed afterwards."""

    number: int
    status: Status
    author: str | None
    time: str
    """When it was saved: UTC, ISO 8601, milliseconds."""
    mask: Path
    """The class map, in the format it was handed in."""
    instances: Path | None = None
    """The instance map, likewise; None where none was."""
    independent: bool = False
    """Whether its author began it without anybody's label: a reading of its own."""

    def objects(self) -> dict[str, Any]:
        """What was saved as `objects.json`."""
        return _read(self.mask.parent / "objects.json")

    def check(self) -> None:
        """Read its files against the digests that they were saved with.

        Raises:
            StoreError: one is gone, or is not what was saved; versions before there were digests have none.
        """
        folder = self.mask.parent
        for name, digest in _read(folder / "version.json").get("digests", {}).items():
            try:
                found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            except OSError as error:
                raise StoreError(f"its {name} cannot be read ({error.strerror})") from error
            if found != digest:
                raise StoreError(f"its {name} is not what was saved")


class LabelVersions:
    """The labels of all studies: `STUDY/NUMBER/` is a version, `STUDY/current.json` says which one counts.

    Whenever the machine stops, each version is there wholly or not at all, and the pointer names one that is.
    Any number of threads and processes may save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def save(
        self,
        study: str,
        mask_file: Path,
        objects: dict[str, Any],
        author: str | None,
        status: Status,
        instance_file: Path | None = None,
        independent: bool = False,
    ) -> int:
        """Keep a copy of a class map, its objects and their instance map as the study's new current version.

        Returns:
            The version's number, from 1.

        Raises:
            StoreError: another status, no such file, or objects that are not JSON; nothing has changed then.
        """
        if status not in STATUSES:
            raise StoreError(f"A label's status is one of {', '.join(STATUSES)}, not {status!r}.")
        files = {"mask": mask_file} | ({"instances": instance_file} if instance_file else {})
        if missing := [file for file in files.values() if not file.is_file()]:
            raise StoreError(f"There is no mask to save: {missing[0]} is not a file.")
        names = {name: f"{name}{_ending(file)}" for name, file in files.items()}
        contents = {names[name]: file.read_bytes() for name, file in files.items()}
        contents["objects.json"] = to_json(objects).encode()
        with self._locked(study) as folder:
            number = max(_numbers(folder), default=0) + 1
            version = {
                "study": study,
                "number": number,
                "status": status,
                "author": author,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "independent": independent,
                **names,
                "digests": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            }
            part = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part"))
            try:
                for name, content in contents.items():
                    write_atomic(part / name, content)
                write_atomic(part / "version.json", to_json(version))
                part.rename(folder / str(number))
            except BaseException:
                shutil.rmtree(part)
                raise
            sync(folder)
            point_to(folder, number)
        return number

    def versions(self, study: str) -> list[LabelVersion]:
        """All versions of a study's label, oldest first; none for a study without a label."""
        folder = self._folder(study)
        return [read_version(folder / str(number)) for number in sorted(_numbers(folder))]

    def get(self, study: str, number: int) -> LabelVersion | None:
        """The version of a study's label with a number; None where there is none."""
        folder = self._folder(study)
        return read_version(folder / str(number)) if number in _numbers(folder) else None

    def current(self, study: str) -> LabelVersion | None:
        """The version that counts: the one saved last; None for a study without a label."""
        folder = self._folder(study)
        if not (folder / "current.json").exists():
            return None
        return read_version(folder / str(_read(folder / "current.json")["number"]))

    def counting(self, study: str) -> LabelVersion | None:
        """The version to go on from: the newest of those whose status is the furthest; None without a label.

        A draft that somebody begins does not take the place of a label that is final.
        """
        versions = self.versions(study)
        return max(versions, key=lambda one: (STATUSES.index(one.status), one.number), default=None)

    def studies(self) -> list[str]:
        """Return the studies that have a label, sorted."""
        newest = ((folder, max(_numbers(folder), default=0)) for folder in self.folder.iterdir())
        return sorted(str(_read(folder / f"{at}/version.json")["study"]) for folder, at in newest if at)

    def readings(self, study: str) -> list[LabelVersion]:
        """Return the newest submitted or further version of each author who read the study independently."""
        newest = {
            one.author: one for one in self.versions(study) if one.independent and one.status != "draft"
        }
        return sorted(newest.values(), key=lambda one: one.author or "")

    def _folder(self, study: str) -> Path:
        return self.folder / file_name(study)

    @contextmanager
    def _locked(self, study: str) -> Iterator[Path]:
        """Keep other writers of a study's label out, and clear away what a killed one left behind."""
        folder = self._folder(study)
        make_private(folder)
        with locked(folder):
            yield folder


def point_to(folder: Path, number: int) -> None:
    """Say that a version of a study's label is the one that was saved last."""
    write_atomic(folder / "current.json", to_json({"number": number}))


def _numbers(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]


def read_version(folder: Path) -> LabelVersion:
    """Return the version in a folder; StoreError where what is said of it is damaged or gone."""
    try:
        fields = _read(folder / "version.json")
        return LabelVersion(
            number=fields["number"],
            status=fields["status"],
            author=fields["author"],
            time=fields["time"],
            mask=folder / fields["mask"],
            instances=folder / fields["instances"] if "instances" in fields else None,
            independent=fields.get("independent", False),
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"The file {folder / 'version.json'} says no {error}") from error
    except FileNotFoundError as error:
        raise StoreError(f"The file {folder / 'version.json'} is gone: restore it from a backup.") from error


def _ending(file: Path) -> str:
    return ".nii.gz" if file.name.endswith(".nii.gz") else file.suffix


def _read(path: Path) -> dict[str, Any]:
    try:
        return from_json(path.read_bytes())
    except StoreError as error:
        raise StoreError(f"The file {path} is damaged ({error}): restore it from a backup.") from error
