"""Files of lines that only grow: a line counts once its newline is written, and is on the disk then."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import IO

from lib.store.atomic import sync


def append_line(path: Path, line: bytes) -> None:
    """Add a line, which ends with a newline, to a file (mode 0600), and wait until it is on the disk.

    Any number of threads and processes may append. What a crash left of a line is cut first.

    Raises:
        OSError: it cannot be written, as on a full disk; the file is as it was then.
    """
    # Unbuffered: a buffer would write its rest after the lock is gone, were the disk full.
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode=0o600)
    with os.fdopen(handle, "a+b", buffering=0) as file, _locked(file, fcntl.LOCK_EX):
        kept = _cut_torn_line(file)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
            if not kept:
                sync(path.parent)
        except BaseException:
            # Nobody will be told that it is kept, so it must not come back after a restart either.
            with suppress(OSError):
                file.truncate(kept)
            raise


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines with their newlines, but for what a crash left of one; none without a file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file, _locked(file, fcntl.LOCK_SH):
        yield from (line for line in file if line.endswith(b"\n"))


def _cut_torn_line(file: FileIO) -> int:
    """Cut what follows the last newline; returns the bytes that stay."""
    size = kept = os.fstat(file.fileno()).st_size
    while kept and os.pread(file.fileno(), 1, kept - 1) != b"\n":
        kept -= 1
    if kept < size:
        file.truncate(kept)
    return kept


@contextmanager
def _locked(file: IO[bytes], kind: int) -> Iterator[None]:
    # flock holds per opened file: it keeps threads apart as well as processes, and ends with its process.
    fcntl.flock(file, kind)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
