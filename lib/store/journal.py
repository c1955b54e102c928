"""The journal: what happened in each study, one JSON line an event, on the disk before the caller goes on."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import IO, Any

from lib.store.atomic import sync
from lib.store.errors import StoreError
from lib.store.records import file_name, from_json, to_json
from lib.store.state import make_private

Event = dict[str, Any]


class Journal:
    """One append-only file a study (mode 0600) in a folder; any number of threads and processes may append.

    A line counts once its newline is written. What a crash left of one is not read; the next append cuts it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def append(self, study: str, event: Event) -> Event:
        """Add an event, with "time" (UTC, ISO 8601, ms) and "study", and wait until it is on the disk.

        Returns:
            The event as `read` will give it.

        Raises:
            StoreError: the event has a "time" or "study" of its own or is not JSON; nothing is written then.
            OSError: it cannot be written, as on a full disk; the journal is as it was then.
        """
        if reserved := {"time", "study"} & event.keys():
            raise StoreError(
                f"The journal sets {' and '.join(sorted(reserved))} itself: leave it out of the event."
            )
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = to_json({"time": time, "study": study, **event}).encode() + b"\n"
        # Unbuffered: a buffer would write its rest after the lock is gone, were the disk full.
        handle = os.open(self._path(study), os.O_RDWR | os.O_APPEND | os.O_CREAT, mode=0o600)
        with os.fdopen(handle, "a+b", buffering=0) as file, _locked(file, fcntl.LOCK_EX):
            kept = _cut_torn_line(file)
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
                if not kept:
                    sync(self.folder)
            except BaseException:
                # Nobody will be told that it is kept, so it must not come back after a restart either.
                with suppress(OSError):
                    file.truncate(kept)
                raise
        return from_json(line)

    def read(self, study: str) -> list[Event]:
        """The study's events, oldest first; none for a study that has no journal.

        Raises:
            StoreError: a line is damaged, other than by a crash that left the last one unfinished.
        """
        return list(self._events(self._path(study)))

    def last(self, study: str, **match: Any) -> Event | None:
        """The newest event that has all the given keys with these values, or None."""
        for event in reversed(self.read(study)):
            if all(key in event and event[key] == value for key, value in match.items()):
                return event
        return None

    def delete(self, study: str) -> None:
        """Delete the events of a study that was there for a while only; nothing where there are none."""
        self._path(study).unlink(missing_ok=True)

    def studies(self) -> list[str]:
        """The ids of the studies that have at least one event, sorted."""
        first_events = (next(self._events(path), None) for path in self.folder.glob("*.jsonl"))
        return sorted(event["study"] for event in first_events if event is not None)

    def _path(self, study: str) -> Path:
        return self.folder / f"{file_name(study)}.jsonl"

    def _events(self, path: Path) -> Iterator[Event]:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
        with file, _locked(file, fcntl.LOCK_SH):
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield from_json(line)
                except StoreError as error:
                    raise StoreError(
                        f"Line {number} of the journal {path} is damaged ({error}): take the line out, or "
                        "restore the file from a backup."
                    ) from error


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
