"""The journals: whole lines of JSON, but for a last one that a killed process left unfinished."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from lib.store.atomic import write_atomic
from lib.store.checkup.finding import Aside, Finding
from lib.store.errors import StoreError
from lib.store.records import from_json


def check_journals(state: Path) -> Iterator[Finding]:
    """Find torn and damaged lines."""
    for path in sorted((state / "journal").glob("*.jsonl")):
        try:
            lines = list(BytesIO(path.read_bytes()))
        except OSError as error:
            yield Finding(path, f"This journal cannot be read ({error.strerror}): allow reading it.")
            continue
        torn = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        damaged = [at for at, line in enumerate(lines, start=1) if not _is_event(line)]
        kept = [line for at, line in enumerate(lines, start=1) if at not in damaged]
        if damaged:
            numbers = ", ".join(map(str, damaged[:5]))
            yield Finding(
                path,
                f"{len(damaged)} of {len(lines)} lines cannot be read ({numbers}), as after a failure of the "
                "disk: the study cannot be opened.",
                "The journal goes on without them, what they changed is missing, and a copy of all of it "
                "is kept in quarantine/. A backup may still have them.",
                mend=_without(path, kept),
            )
        elif torn:
            yield Finding(
                path,
                "The last line was not finished; nobody was told that it is kept. Readers leave it out.",
                "It is cut off, and a copy of the journal is kept in quarantine/.",
                harmless=True,
                mend=_without(path, kept),
            )


def _without(path: Path, kept: list[bytes]) -> Callable[[Aside], None]:
    def mend(aside: Aside) -> None:
        aside.copy(path)
        write_atomic(path, b"".join(kept))

    return mend


def _is_event(line: bytes) -> bool:
    try:
        event = from_json(line)
    except StoreError:
        return False
    return {"time", "study"} <= event.keys()
