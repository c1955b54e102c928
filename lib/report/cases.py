"""Cases to be scored: findings, what a reader wrote of them, and what a machine wrote."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.report.language import LANGUAGES, Language, ReportError, check_text, language_of

#: Longest text that is compared word by word: ROUGE-L takes memory by its square.
MOST_COMPARED = 6_000
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class ReportCase:
    """One case.

    Args:
        id: its name.
        language: "en" or "zh".
        findings: what was seen; "" where it is not known.
        reference: the reader's impression.
        hypothesis: the one to be scored; "" scores as one that says nothing.
    """

    id: str
    language: Language
    findings: str
    reference: str
    hypothesis: str


def read_cases(path: Path) -> list[ReportCase]:
    """Read JSON lines of {id, language, findings, reference, hypothesis}.

    `language` may be left out: that of the reference counts. Other keys are ignored.

    Raises:
        ReportError: no UTF-8, no JSON, something missing, a text too long, an id twice; the line is named.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ReportError(f"{path.name} is larger than 1 GB: score a part of it at a time.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ReportError(
            f"{path.name} is no UTF-8 text (byte {error.start + 1}): save it as UTF-8."
        ) from error
    cases = [_case(line, f"{path.name}, line {n}") for n, line in enumerate(lines, start=1) if line.strip()]
    if not cases:
        raise ReportError(
            f"{path.name} holds no case: give lines of id, language, findings, reference, hypothesis."
        )
    _refuse_twice(cases, path.name)
    return cases


def _refuse_twice(cases: Iterable[ReportCase], name: str) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ReportError(f"{name} has the id {case.id[:64]} twice.")
        seen.add(case.id)


def _case(line: str, where: str) -> ReportCase:
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{where}: this is no JSON.") from error
    if not isinstance(entry, dict):
        raise ReportError(f"{where}: a case is an object with id, findings, reference and hypothesis.")
    if missing := [key for key in ("id", "reference", "hypothesis") if key not in entry]:
        raise ReportError(f"{where}: {missing[0]} is missing.")
    reference = check_text(entry["reference"], f"{where}: reference", MOST_COMPARED)
    if not reference.strip():
        raise ReportError(f"{where}: reference is empty.")
    language = entry.get("language") or language_of(reference)
    if language not in LANGUAGES:
        raise ReportError(f"{where}: language is en or zh.")
    return ReportCase(
        id=check_text(str(entry["id"]), f"{where}: id", 256),
        language=language,
        findings=check_text(entry.get("findings") or "", f"{where}: findings"),
        reference=reference,
        hypothesis=check_text(entry["hypothesis"], f"{where}: hypothesis", MOST_COMPARED),
    )
