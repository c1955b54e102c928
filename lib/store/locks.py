"""One writer at a time in a folder, among threads and processes."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder, and clear away what a killed one left behind (`*.part`)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for part in folder.glob("*.part"):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        yield
    finally:
        os.close(handle)
