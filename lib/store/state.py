"""The state folder: everything that a team makes is kept in one private place, outside the studies."""

import hashlib
from pathlib import Path

from lib.store.atomic import sync, write_atomic
from lib.store.errors import StoreError
from lib.store.locks import hold

#: How what is kept is laid out. A SegPET that lays it out otherwise has a higher number, and takes lower ones
#: over.
FORMAT = 1
_FORMAT = "format"


class StateFolder:
    """A folder that only its owner may read (mode 0700).

    Made where it is missing, with private parents. An existing one is taken when private, made private when
    empty, and refused otherwise: what it holds may be somebody else's, and shared on purpose.

    Raises:
        StoreError: the folder cannot be made, is no folder, others may read what is in it, or a newer SegPET
            wrote it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().absolute()
        try:
            make_private(self.path)
            if self.path.stat().st_mode & 0o077:
                if any(self.path.iterdir()):
                    raise StoreError(
                        f"Other users may read the state folder {self.path}: run `chmod 700` on it if it is "
                        "SegPET's, or name another one."
                    )
                self.path.chmod(0o700)
            self._check_format()
        except OSError as error:
            raise StoreError(
                f"The state folder {self.path} cannot be used ({error.strerror}): name another one."
            ) from error

    def hold(self) -> None:
        """Keep other servers out of the folder, as long as this process lives.

        What annotators see is kept in a server's memory: a second one would not know of it. Commands (train,
        import, export) need not hold the folder: they add to it under locks of their own.

        Raises:
            StoreError: another server has it, or it cannot be written.
        """
        try:
            held = hold(self.path / "server.lock")
        except OSError as error:
            raise StoreError(
                f"The state folder {self.path} cannot be written ({error.strerror}): "
                "`segpet doctor` says where."
            ) from error
        if not held:
            raise StoreError(
                f"Another server is using the state folder {self.path}: stop it first, or name another "
                "folder with --state."
            )
        if not (self.path / _FORMAT).exists():
            write_atomic(self.path / _FORMAT, f"{FORMAT}\n")

    def folder(self, name: str) -> Path:
        """The path of a subfolder (mode 0700), made on first use."""
        path = self.path / name
        make_private(path)
        return path

    def _check_format(self) -> None:
        """Raise StoreError for a format that is not known here; a folder that names none is of the first."""
        number = _format_of(self.path)
        if number is None:
            raise StoreError(
                f"{self.path / _FORMAT} is damaged: it names the format of the folder. Restore it from a "
                "backup."
            )
        check_not_newer(self.path)


def check_not_newer(state: Path) -> None:
    """Raise StoreError where a newer SegPET wrote a state folder: what is in it may mean something else."""
    if (number := _format_of(state) or 0) > FORMAT:
        raise StoreError(
            f"A newer SegPET wrote the state folder {state} (format {number}, this one knows {FORMAT}): "
            "update SegPET, or restore the backup of before its update."
        )


def _format_of(state: Path) -> int | None:
    """Return the number of a state folder's format; None where what names it is damaged."""
    path = state / _FORMAT
    said = path.read_bytes()[:20].strip() if path.exists() else b"1"
    return int(said) if said.isdigit() else None


def open_state(studies: str, state: Path | str | None = None) -> StateFolder:
    """The state folder for a studies folder or DICOMweb URL: the one given, else `default_state(studies)`.

    Raises:
        StoreError: it lies inside the studies folder, which MONAI Label watches and would read as studies; or
            it cannot be used (see `StateFolder`).
    """
    path = Path(state).expanduser() if state is not None else default_state(studies)
    if not _is_url(studies) and path.resolve().is_relative_to(Path(studies).expanduser().resolve()):
        raise StoreError(
            f"The state folder {path} lies inside the studies folder {studies}: name one outside."
        )
    return StateFolder(path)


def default_state(studies: str) -> Path:
    """`.segpet/NAME` beside the studies folder NAME; for a DICOMweb URL `~/.segpet/` and the URL's digest."""
    if _is_url(studies):
        return Path.home() / ".segpet" / hashlib.sha256(studies.rstrip("/").encode()).hexdigest()[:16]
    folder = Path(studies).expanduser().resolve()
    return folder.parent / ".segpet" / folder.name


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents, all with mode 0700; an existing folder stays as it is.

    On return the new names are on the disk: what is written in the folder is not lost with it.
    """
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, exist_ok=True)
            sync(missing.parent)


def _is_url(studies: str) -> bool:
    return studies.startswith(("http://", "https://"))
