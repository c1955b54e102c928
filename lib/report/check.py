"""The check: what a text says, looked up in the lesion table and the findings."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lib.report.evidence import measured_lesions, numbers_of, read_statements
from lib.report.facts import Evidence
from lib.report.language import Language, check_text, language_of
from lib.report.looked_up import statement_marks
from lib.report.marks import Mark
from lib.report.number_marks import lesion_marks
from lib.report.omissions import Missing, missing_lesions
from lib.report.orders import without_orders

__all__ = ["Check", "Mark", "Missing", "check"]


@dataclass(frozen=True)
class Check:
    """What the check of a text found.

    Args:
        marks: what nothing supports, in the text's order.
        missing: important lesions of the table that the text does not mention.
        checked: statements (sites, numbers and counts) that were looked up.
    """

    marks: tuple[Mark, ...]
    missing: tuple[Missing, ...]
    checked: int

    def as_dict(self) -> dict[str, Any]:
        """Return `marks` (start, end, kind, reason), `missing` (lesion, reason) and `checked` for JSON."""
        return asdict(self)


def check(
    text: str, table: Mapping[str, Any] | None, findings: str = "", language: Language | None = None
) -> Check:
    """Look up every number, site, side, count and polarity of a text.

    Args:
        text: an impression, in English, Chinese or both.
        table: the lesion table of `lib.pet.lesion_table.lesion_table`; None: there are findings alone.
        findings: the findings' text; "" where there is none. Orders to the writer in it support nothing.
        language: of the reasons; the text's own if not given.

    Returns:
        Marks on what neither supports, each with its characters `text[start:end]`, kind (number, site, side,
        count, polarity) and reason, and the lesions that are left out. A diagnosis is the reader's to make:
        it is only compared with findings that deny it.

    Raises:
        ReportError: a text that is too long or cannot be read, or no lesion table.
    """
    check_text(text, "The text")
    check_text(findings, "The findings")
    language = language or language_of(text)
    findings = without_orders(findings)
    known = read_statements(findings)
    lesions = measured_lesions(table, known)
    patient = table.get("patient") if table else None
    numbers = numbers_of(patient) if isinstance(patient, Mapping) else ()
    evidence = Evidence(lesions, known, numbers, findings)
    said = read_statements(text)
    marks = lesion_marks(text, evidence, language)
    checked = 0
    for statement in said:
        found, looked_up = statement_marks(text, statement, said, evidence, language)
        marks += found
        checked += looked_up
    return Check(_apart(marks), tuple(missing_lesions(text, said, lesions, language)), checked)


def _apart(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Return marks in the text's order, of those of a kind that overlap the first and shortest."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda one: (one.start, one.end)):
        if not any(one.kind == mark.kind and mark.start < one.end for one in kept):
            kept.append(mark)
    return tuple(kept)
