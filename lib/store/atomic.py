"""Files that are either the old one or the new one, whenever the machine stops."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file (mode 0600; text as UTF-8) so that a reader, or a crash at any moment, sees it old or new.

    On return the content is on the disk. Where writing fails, the old file stays and nothing is left behind;
    only a killed process may leave a hidden `.*.part` file beside it.
    """
    _write(path, content)


def rewrite_atomic(path: Path, content: bytes | str) -> None:
    """Write as `write_atomic` does, but an old file's owner, group and mode stay; links are followed.

    Raises:
        OSError: also where the file may not be given to whom it belongs; the old one stays.
    """
    path = path.resolve()
    _write(path, content, path.stat() if path.exists() else None)


def _write(path: Path, content: bytes | str, old: os.stat_result | None = None) -> None:
    with told_of(path):
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                if old is not None:
                    _give(file.fileno(), path, old)
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    sync(path.parent)


def is_unfinished(path: Path) -> bool:
    """Whether a path is of what a process writes at the moment, or wrote when it was killed: `.*.part`.

    Nothing that is kept is hidden: a study's folder (`records.file_name`) may end in `.part`, too.
    """
    return path.name.startswith(".") and path.name.endswith(".part")


def _give(handle: int, path: Path, old: os.stat_result) -> None:
    try:
        os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IMODE(old.st_mode))
    except OSError as error:
        kept = f"{error.strerror}; its owner, group and mode have to stay"
        raise OSError(error.errno, kept, str(path)) from error


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Let an OSError name the file that was to be written, not a temporary one beside it.

    Raises:
        OSError: what the block raised; its `filename` is the path, where it had one.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            error.filename, error.filename2 = str(path), None
        raise


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
