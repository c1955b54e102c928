"""Lesions that a text does not mention."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lib.report.entities import Entity
from lib.report.evidence import Measured, Statement, sides_agree
from lib.report.facts import NUMBERED
from lib.report.language import Language
from lib.report.places import is_vague, is_within, narrowest, places_of

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

    A lesion without a named site is looked for by its number in findings and its SUVmax, if the text has
    any lesion's; else it is only missed where nothing abnormal is stated at all.
    """
    affirming = [statement for statement in statements if not statement.denies]
    numbered = {int(name["number"]) for name in NUMBERED.finditer(text)}
    quoted = [one for number, one in enumerate(lesions, start=1) if number in numbered]
    quoted += [one for one in lesions if any(one.has_suv(said.suv_values) for said in affirming)]
    found = []
    for number, lesion in enumerate(lesions, start=1):
        if lesion.normal:
            continue
        if lesion.places:
            mentioned = any(speaks_of(text, statement, lesion, lesions) for statement in affirming)
        elif quoted:
            mentioned = lesion in quoted or any(_speaks_of_all(text, one, lesions) for one in affirming)
        else:
            mentioned = any(statement.others or statement.sites for statement in affirming)
        if not mentioned:
            found.append(Missing(lesion.id, _reason(number, lesion, language)))
    return found


def speaks_of(text: str, statement: Statement, lesion: Measured, lesions: Sequence[Measured]) -> bool:
    """Whether a statement, which denies nothing, speaks of a lesion.

    It does when it names its site, or a wider one, on no other side; or has its SUVmax; or counts as many
    lesions as there are. A statement with the SUVmax of another lesion there, and no word for several, speaks
    of that one alone.
    """
    if lesion.has_suv(statement.suv_values):
        return True
    counts = [one for one in statement.quantities if one.kind == "count"]
    naming = [site for site in narrowest(text, statement.sites) if names(site, lesion)]
    if not naming:
        return bool(statement.others) and any(one.low == len(lesions) > 1 for one in counts)
    has_range = any(one.low < one.high for one in statement.quantities if one.kind.startswith("suv"))
    if (
        has_range
        or any(one.high > 1 for one in counts)
        or _SEVERAL.search(text, statement.start, statement.end)
    ):
        return True
    others = [other for other in lesions if other is not lesion and other.has_suv(statement.suv_values)]
    return any(not any(names(site, other) for other in others) for site in naming)


def _speaks_of_all(text: str, statement: Statement, lesions: Sequence[Measured]) -> bool:
    if not (statement.others or statement.sites):
        return False
    counts = any(one.kind == "count" and one.low == len(lesions) > 1 for one in statement.quantities)
    return counts or bool(_SEVERAL.search(text, statement.start, statement.end))


def names(site: Entity, lesion: Measured) -> bool:
    """Whether an entity is at the place of a lesion, or at a wider one, on no other side.

    Where only the table says where a lesion is, the text may say it more narrowly.
    """
    return (
        site.polarity != "negated"
        and sides_agree(site.laterality, lesion.side)
        and any(
            is_within(place, one)
            or (not lesion.is_described and not is_vague(place) and is_within(one, place))
            for place in lesion.places
            for one in places_of(site)
        )
    )


def _reason(number: int, lesion: Measured, language: Language) -> str:
    """Return why, with the number that the findings give the lesion."""
    suv = next((value for kind, value in lesion.numbers if kind == "suv_max"), None)
    if language == "zh":
        size = f"（SUVmax {suv:.1f}）" if suv is not None else ""
        return f"病灶 {number}{size}未在文中提及。"
    size = f" (SUVmax {suv:.1f})" if suv is not None else ""
    where = f" {lesion.text}" if lesion.text else ""
    return f"Lesion {number}{where}{size} is not mentioned."
