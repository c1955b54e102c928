"""How far a training is, in a file that whoever wants to know may read at any moment."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.store.atomic import write_atomic
from lib.store.records import to_json

_EVERY_SECONDS = 1.0


class ProgressFile:
    """A small JSON file, replaced whole: `status` (running, stopped, done, failed), `pid`, `stage` ...

    A `pid` that is gone while the status says running was killed.

    Args:
        path: of the file; its folder must be there.
        about: what holds for all of the training.
    """

    def __init__(self, path: Path, **about: Any) -> None:
        self._path = path
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.fields: dict[str, Any] = {
            "status": "running",
            "pid": os.getpid(),
            "started": started,
            "stage": "reading",
            "share": 0.0,
            "epoch": 0,
            "epochs": 0,
            "seconds": 0.0,
            "curve": [],
            "message": "",
            "version": None,
            "promoted": None,
            **about,
        }
        self._begin = time.monotonic()
        self._written = 0.0
        self.set()

    def set(self, **fields: Any) -> None:
        """Change some fields, and write them."""
        self.fields |= fields
        self.fields["seconds"] = round(time.monotonic() - self._begin, 1)
        write_atomic(self._path, to_json(self.fields))
        self._written = time.monotonic()

    def fail(self, error: Exception, *known: type[Exception]) -> None:
        """Say that it failed, and why: in the words of bad input, or of another `known` error.

        On a full disk even that may not be written: it is then as if the training had been killed.
        """
        why = str(error) if isinstance(error, (ValueError, *known)) else "It failed."
        if isinstance(error, OSError):
            why = f"It could not write or read a file ({error.strerror}); once it can, it goes on from here."
        with suppress(OSError):
            self.set(status="failed", message=why)

    def tell(self, **fields: Any) -> None:
        """As `set`, but written at most once a second: for what changes often.

        What cannot be written, as on a full disk, is told later: a training need not end for it.
        """
        self.fields |= fields
        if time.monotonic() - self._written > _EVERY_SECONDS:
            with suppress(OSError):
                self.set()
