"""Uploaded files, for as long as a request lasts."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import UploadFile


@contextmanager
def received(upload: UploadFile, path: Path) -> Iterator[Path]:
    """Copy an upload to a path of ours, and delete it afterwards, unless somebody has moved it away."""
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        yield path
    finally:
        path.unlink(missing_ok=True)
