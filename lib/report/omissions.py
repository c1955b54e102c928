"""Lesions that a text does not mention."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lib.report.agreement import supported
from lib.report.entities import Entity
from lib.report.evidence import Measured, Statement, is_within, sides_agree
from lib.report.language import Language

_SEVERAL = re.compile(
    r"\b(?:multiple|several|numerous|many|both|few|extensive|diffuse|widespread|dissemina\w+|all|foci|nodes|nodules|"
    r"lesions|metastases|masses|deposits|up to|most|hottest|highest|largest)\b"
    r"|[多数两双诸各]|弥漫|广泛|最高|最大|等",
    re.I,
)


@dataclass(frozen=True)
class Missing:
    """A lesion that the text leaves out.

    Args:
        lesion: its id in the lesion table.
        reason: one sentence.
    """

    lesion: Any
    reason: str


def missing_lesions(
    text: str, statements: Sequence[Statement], lesions: Sequence[Measured], language: Language
) -> list[Missing]:
    """Return the lesions outside of normal uptake that no statement speaks of.

    A statement speaks of a lesion when it affirms its site, or a wider one, on no other side; or has one of
    its SUVs. A statement with the numbers of another lesion and no word for several speaks of that one alone.
    A lesion without a named site is only missed where nothing abnormal is stated at all.
    """
    affirming = [statement for statement in statements if not statement.denies]
    found = []
    for lesion in lesions:
        if lesion.normal:
            continue
        if lesion.concept is None:
            mentioned = any(statement.others or statement.sites for statement in affirming)
        else:
            mentioned = any(_speaks_of(text, statement, lesion, lesions) for statement in affirming)
        if not mentioned:
            found.append(Missing(lesion.id, _reason(lesion, language)))
    return found


def _speaks_of(text: str, statement: Statement, lesion: Measured, lesions: Iterable[Measured]) -> bool:
    suvs = [
        one for one in statement.quantities if one.kind.startswith("suv") or one.kind in ("size", "volume")
    ]
    if any(supported(text, one, lesion.numbers) for one in suvs if one.kind.startswith("suv")):
        return True
    if not any(_names(site, lesion) for site in statement.sites):
        return False
    if any(one.kind == "count" and one.high > 1 for one in statement.quantities):
        return True
    if _SEVERAL.search(text, statement.start, statement.end):
        return True
    rivals = [
        other
        for other in lesions
        if other is not lesion and any(_names(site, other) for site in statement.sites)
    ]
    return not any(supported(text, one, rival.numbers) for one in suvs for rival in rivals)


def _names(site: Entity, lesion: Measured) -> bool:
    return (
        lesion.concept is not None
        and site.polarity != "negated"
        and is_within(lesion.concept, site.concept.id)
        and sides_agree(site.laterality, lesion.side)
    )


def _reason(lesion: Measured, language: Language) -> str:
    suv = next((value for kind, value in lesion.numbers if kind == "suv_max"), None)
    if language == "zh":
        size = f"（SUVmax {suv:.1f}）" if suv is not None else ""
        return f"病灶 {lesion.id}{size}未在文中提及。"
    size = f" (SUVmax {suv:.1f})" if suv is not None else ""
    where = f" {lesion.text}" if lesion.text else ""
    return f"Lesion {lesion.id}{where}{size} is not mentioned."
