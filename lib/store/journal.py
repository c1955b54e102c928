"""The journal: what happened in each study, one JSON line an event, on the disk before the caller goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.store.errors import StoreError
from lib.store.lines import append_line, read_lines
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
        append_line(self._path(study), line)
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
        for number, line in enumerate(read_lines(path), start=1):
            try:
                yield from_json(line)
            except StoreError as error:
                raise StoreError(
                    f"Line {number} of the journal {path} is damaged ({error}): take the line out, or "
                    "restore the file from a backup."
                ) from error
