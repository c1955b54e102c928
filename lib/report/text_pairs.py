"""Pairs of findings and impression that a language model learns from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lib.report.cases import MOST_COMPARED, ReportCase
from lib.report.language import LANGUAGES, Language, ReportError, check_text, language_of, readable
from lib.store.reports import AcceptedImpressions

MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Pair:
    """One pair.

    Args:
        id: its name; a patient's pairs share what stands before a "/", and stay on one side of the split.
        language: "en" or "zh".
        findings: what was seen.
        impression: what a reader made of it.
    """

    id: str
    language: Language
    findings: str
    impression: str

    def case(self, written: str) -> ReportCase:
        """Return what was written of the findings beside what the reader made of them, to be scored.

        Of both, as much as can be compared; a model may also write characters that no text holds.
        """
        wanted, written = self.impression[:MOST_COMPARED], readable(written)[:MOST_COMPARED]
        return ReportCase(self.id, self.language, self.findings, wanted, written)


def read_pairs(path: Path) -> list[Pair]:
    """Read JSON lines of {id, language, findings, impression}; `language` may be left out, the text says it.

    Raises:
        ReportError: no UTF-8, no JSON, something missing or empty, an id twice; the line is named.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ReportError(f"{path.name} is larger than 1 GB: learn from a part of it.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ReportError(f"{path.name} is no UTF-8 text (byte {error.start + 1}).") from error
    read = [_pair(line, f"{path.name}, line {n}") for n, line in enumerate(lines, start=1) if line.strip()]
    seen: set[str] = set()
    for pair in read:
        if pair.id in seen:
            raise ReportError(f"{path.name} has the id {pair.id[:64]} twice.")
        seen.add(pair.id)
    if not read:
        raise ReportError(f"{path.name} holds no pair: give lines of id, language, findings, impression.")
    return read


def _pair(line: str, where: str) -> Pair:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{where}: this is no JSON.") from error
    if not isinstance(entry, dict):
        raise ReportError(f"{where}: a pair is an object with id, findings and impression.")
    for key in ("id", "findings", "impression"):
        if not str(entry.get(key) or "").strip():
            raise ReportError(f"{where}: {key} is missing or empty.")
    said = check_text(entry["impression"], f"{where}: impression")
    language = entry.get("language") or language_of(said)
    if language not in LANGUAGES:
        raise ReportError(f"{where}: language is en or zh.")
    name = check_text(str(entry["id"]), f"{where}: id", 256)
    return Pair(name, language, check_text(entry["findings"], f"{where}: findings"), said)


def accepted_pairs(accepted: AcceptedImpressions) -> list[Pair]:
    """Return the pair of each study that was accepted last; what a reader wrote without findings is none.

    Raises:
        ReportError: nothing was accepted yet.
        StoreError: a file is damaged.
    """
    pairs = [
        Pair(f"{study}/{one.label}", cast(Language, one.language), one.findings, one.impression)
        for study, one in accepted.all_newest()
        if one.findings.strip()
    ]
    if not pairs:
        raise ReportError("No impression was accepted yet: accept some in the viewer's Report.")
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write JSON lines that `read_pairs` reads."""
    path.write_text("".join(json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs), "utf-8")


def split_pairs(pairs: Sequence[Pair], share: float, most: int) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to learn from and those kept apart.

    The id alone decides, by its digest, so a pair stays on its side when others come.

    Raises:
        ReportError: a side is empty.
    """
    kept = [pair for pair in pairs if _place(pair) < share]
    learnt = [pair for pair in pairs if _place(pair) >= share]
    if not kept or not learnt:
        raise ReportError(f"{len(pairs)} pairs are too few to keep some apart: give 20 or more.")
    return learnt, kept[:most]


def patient_of(pair: Pair) -> str:
    """Return whose pair it is: what stands before a "/" in its id, or all of it."""
    return pair.id.split("/")[0]


def _place(pair: Pair) -> float:
    return int(hashlib.sha256(patient_of(pair).encode()).hexdigest()[:8], 16) / 2**32
