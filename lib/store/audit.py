"""The audit log: who did what and when, one JSON line each, chained by digests; studies by pseudonyms."""

import getpass
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.store.atomic import write_atomic
from lib.store.errors import StoreError
from lib.store.lines import append_line, read_lines
from lib.store.locks import locked
from lib.store.records import from_json, to_json
from lib.store.state import make_private

Record = dict[str, Any]


class Audit:
    """Append-only files `YYYY-MM.jsonl` (mode 0600), one a month; threads and processes may append.

    `chain` of a line is the SHA-256 of the line's other fields and the chain of the line before: a line that
    was changed or taken out does not fit the next. What was cut off at the end shows against a copy of the
    last line only, and who may write the folder can make a new chain.

    Args:
        folder: private; made where absent. `key` in it makes pseudonyms.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)
        with locked(folder):
            if not (folder / "key").exists():
                write_atomic(folder / "key", secrets.token_hex(32))

    def append(self, event: str, user: str, study: str = "", **what: Any) -> Record:
        """Add that a user did something, maybe to a study, and wait until it is on the disk.

        Raises:
            StoreError: `what` is not JSON; nothing is written then.
            OSError: it cannot be written; the log is as it was then.
        """
        with locked(self.folder):
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")
            record = {"time": moment, "event": event, "user": user, **what}
            if study:
                record["study"] = self.pseudonym(study)
            files = self._files()
            # A clock that was put back must not write before what is there.
            month = max(moment[:7], files[-1].stem if files else "")
            last = next((line for file in reversed(files) if (line := _last(file))), None)
            record["chain"] = _chain(from_json(last)["chain"] if last else "", record)
            append_line(self.folder / f"{month}.jsonl", to_json(record).encode() + b"\n")
        return record

    def read(self) -> Iterator[Record]:
        """Yield all records, oldest first.

        Raises:
            StoreError: a line was changed, or lines before it were, or are gone; those before are yielded.
        """
        before = ""
        for file in self._files():
            for number, line in enumerate(read_lines(file), start=1):
                try:
                    record = from_json(line)
                except StoreError:
                    record = {}
                if record.get("chain") != _chain(before, record):
                    raise StoreError(
                        f"Line {number} of {file} does not follow from those before: it or they were changed."
                    )
                before = record["chain"]
                yield record

    def pseudonym(self, study: str) -> str:
        """Return what stands for a study in the log, the same each time; only with `key` it can be made."""
        key = bytes.fromhex((self.folder / "key").read_text())
        return hmac.new(key, study.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:16]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("????-??.jsonl"))


def operator() -> str:
    """Return who works at the command line, as the system knows them."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError):
        return "(command line)"


def _chain(before: str, record: Record) -> str:
    rest = {key: value for key, value in record.items() if key != "chain"}
    return hashlib.sha256(f"{before}{to_json(rest)}".encode()).hexdigest()


def _last(file: Path) -> bytes | None:
    last = None
    for line in read_lines(file):
        last = line
    return last
