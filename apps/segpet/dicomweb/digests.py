"""Digests of image files, from which their UIDs are made."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from lib.store import write_atomic


class Digests:
    """SHA-256 of image files; each is read once, also if the server starts again.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._known: dict[str, list[Any]] = {}
        try:
            kept = json.loads(file.read_text())
            self._known = {str(name): list(entry) for name, entry in kept.items()}
        except (
            OSError,
            ValueError,
            AttributeError,
            TypeError,
        ):  # nothing there, or nothing of use: read anew
            pass

    def of(self, path: Path) -> str | None:
        """Return a file's digest, None where it cannot be opened."""
        try:
            status = path.stat()
            stamp = [status.st_mtime_ns, status.st_size]
            with self._lock:
                match self._known.get(str(path)):
                    case [int(), int(), str(digest)] as entry if entry[:2] == stamp:
                        return digest
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            with self._lock:
                self._known[str(path)] = [*stamp, digest]
                with suppress(OSError):  # a full disk: it is read anew after a restart
                    write_atomic(self._file, json.dumps(self._known))
        except OSError:
            return None
        return digest
