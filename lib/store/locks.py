"""One writer at a time in a folder, among threads and processes."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Files that this process holds until it ends, with the handles that hold them.
_held: dict[Path, int] = {}
_TRIES, _PAUSE = 5, 0.02


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder, which may hold what is not ours."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder of ours, and clear away what a killed one left there (`*.part`).

    So whoever writes in such a folder must lock it: what an unlocked writer has begun is cleared away.
    """
    with alone_in(folder):
        for part in folder.glob("*.part"):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        yield


def hold(file: Path) -> bool:
    """Lock a file until this process ends, however it ends; whether that could be done, now or before."""
    if file in _held:
        return True
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    if not _try_lock(handle):
        os.close(handle)
        return False
    _held[file] = handle
    return True


@contextmanager
def held(file: Path) -> Iterator[bool]:
    """Lock a file for a while, at most until this process ends; yields whether that could be done."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_PAUSE)  # somebody may just be asking, in `is_held`
    return False


def is_held(file: Path) -> bool:
    """Whether some process has a file locked; one of a process that is gone is not."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
