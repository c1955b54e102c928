"""What a model wrote of pairs, kept case by case: what ends early, or where one fails, goes on from there."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lib.report.cases import ReportCase
from lib.report.text_pairs import Pair
from lib.store.atomic import write_atomic
from lib.store.lines import append_line, read_lines


class WrittenCases:
    """JSON lines that `read_cases` reads, each with what wrote it, on the disk before the next is written.

    Args:
        path: the file; what another writer left there is dropped. None: nothing is kept.
        writer: what writes; the same text means the same model.
    """

    def __init__(self, path: Path | None, writer: str) -> None:
        self._path, self._writer = path, writer
        self._cases = {case.id: case for case in _by(writer, path)} if path else {}
        self.keep(self._cases.values())

    def of(self, pair: Pair) -> ReportCase | None:
        """Return what was written of a pair as it is now; None where nothing was."""
        case = self._cases.get(pair.id)
        return case if case and case == pair.case(case.hypothesis) else None

    def add(self, case: ReportCase) -> None:
        """Keep one more."""
        if self._path:
            append_line(self._path, self._line(case))

    def keep(self, cases: Iterable[ReportCase]) -> None:
        """Keep these alone, in their order."""
        if self._path:
            write_atomic(self._path, b"".join(map(self._line, cases)))

    def _line(self, case: ReportCase) -> bytes:
        return json.dumps({**asdict(case), "writer": self._writer}, ensure_ascii=False).encode() + b"\n"


def _by(writer: str, path: Path) -> Iterable[ReportCase]:
    for line in read_lines(path):
        try:
            entry = json.loads(line)
            if entry.pop("writer") == writer:
                yield ReportCase(**entry)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue  # no line of ours
