"""One statement of a text, looked up in what is known."""

from collections.abc import Sequence

from lib.report.evidence import Statement
from lib.report.facts import Evidence, is_denied
from lib.report.language import Language
from lib.report.marks import Mark
from lib.report.number_marks import count_mark, number_mark, single_marks, stray_marks
from lib.report.site_marks import denial_mark, disease_mark, site_mark


def statement_marks(
    text: str, statement: Statement, said: Sequence[Statement], evidence: Evidence, language: Language
) -> tuple[list[Mark], int]:
    """Return what nothing supports in a statement, and how many things were looked up.

    Args:
        text: the statement's.
        statement: a clause of it.
        said: all of its clauses.
        evidence: what is known.
        language: of the reasons.
    """
    marks: list[Mark | None] = []
    for quantity in statement.quantities:
        if quantity.kind == "count":
            marks.append(count_mark(text, quantity, statement, said, evidence, language))
        else:
            marks.append(number_mark(text, quantity, statement, said, evidence, language))
    marks += single_marks(text, statement, evidence, language)
    marks += stray_marks(text, statement, evidence, language)
    if statement.own_sites:
        denied = [site for site in statement.sites if is_denied(statement, site)]
        if denied:
            marks.append(denial_mark(text, denied, statement, said, evidence, language))
        marks += [
            site_mark(text, site, statement, evidence, language)
            for site in statement.sites
            if site not in denied
        ]
    for disease in statement.others:
        if disease.concept.kind == "disease":
            marks.append(disease_mark(text, disease, statement, evidence, language))
    return [mark for mark in marks if mark], len(marks)
