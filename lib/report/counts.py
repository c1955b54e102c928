"""Counts of lesions that stand without the noun that makes them plain: "nine in total", "five vertebrae"."""

import re
from collections.abc import Iterable

from lib.report.number_words import CHINESE_BEGINS, CHINESE_NUMBER, ENGLISH_NUMBER, number_of
from lib.report.quantities import Quantity

_NOUN = (
    r"mets|metastas[ei]s|lesions?|nodules?|nodes?|vertebra[el]?|foci|focus|deposits?|mass(?:es)?|tumou?rs?|sites?|ribs?|"
    r"osteolyses|stations?|manifestations?|implants?|plaques?|satellites?"
)
_ENGLISH = re.compile(
    rf"(?<![\w.,/-])(?P<n>\d{{1,2}}|{ENGLISH_NUMBER})\b(?![./-]\d)(?:(?:[\s-]+(?!mm|cm|ml|and|of|to|in|or|months?)[a-z-]+)"
    rf"{{0,3}}[\s-]+(?:{_NOUN})\b|\s+(?:in total|in all|altogether))",
    re.I,
)
_IN_CHINESE = re.compile(
    rf"{CHINESE_BEGINS}(?P<n>\d{{1,2}}|单|{CHINESE_NUMBER})\s?(?:枚|个|处|颗)(?!月|周期|疗程|半)"
)


def with_counts(text: str, quantities: Iterable[Quantity]) -> list[Quantity]:
    """Return the quantities of a text and the counts that are not among them, in their order."""
    known = list(quantities)
    taken = [(one.start, one.end) for one in known]
    for pattern in (_ENGLISH, _IN_CHINESE):
        for match in pattern.finditer(text):
            start, end = match.span("n")
            if any(first < match.end() and start < last for first, last in taken if first < end):
                continue
            value = number_of(match["n"])
            known.append(Quantity("count", value, value, None, start, end, (value,)))
    return sorted(known, key=lambda one: one.start)
