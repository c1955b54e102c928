"""What is marked in a text, and the words for sides beside it."""

import re
from dataclasses import dataclass
from typing import Literal

from lib.report.entities import Entity, Laterality
from lib.report.evidence import Statement

MarkKind = Literal["number", "site", "side", "count", "polarity"]

_SIDE_WORD = re.compile(r"\b(?:left|right|bilateral|both|[lr]t?)\b|[左右双两]侧?", re.I)
#: How far from a site the word for its side may stand, in characters.
_SIDE_REACH = 24
_SIDES_SAID = {
    "l": "left",
    "r": "right",
    "b": "bilateral",
    "左": "left",
    "右": "right",
    "双": "bilateral",
    "两": "bilateral",
}
MIRROR: dict[str, Laterality] = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Mark:
    """Something that nothing supports.

    Args:
        start: its first character.
        end: the character after its last.
        kind: number, site, side, count or polarity.
        reason: one sentence.
    """

    start: int
    end: int
    kind: MarkKind
    reason: str


def lone_side(text: str, statement: Statement) -> tuple[str, tuple[int, int]] | None:
    """Return the word for left or right of a clause that has words for one side alone, and where it is."""
    words = [
        (match.group(), match.span())
        for match in _SIDE_WORD.finditer(text, statement.start, statement.end)
        if side_said(match.group()) in MIRROR
    ]
    return words[0] if len({side_said(word) for word, _ in words}) == 1 else None


def side_said(word: str) -> str | None:
    """Return the side that a word says."""
    return _SIDES_SAID.get(word[0].lower())


def says_side(text: str, site: Entity, start: int, end: int) -> bool:
    """Whether the words at a site say the side that it was read to have; it may come from far away."""
    if site.concept.side:
        return True
    words = {match.group().lower() for match in _SIDE_WORD.finditer(text, start, end)}
    return any(_SIDES_SAID.get(word[0]) == site.laterality for word in words)


def with_side(text: str, site: Entity) -> tuple[int, int]:
    """Return a site's characters, with the word for its side where one stands near."""
    if site.laterality is None:
        return site.start, site.end
    before = max(0, site.start - _SIDE_REACH)
    for match in reversed(list(_SIDE_WORD.finditer(text, before, site.end))):
        return min(match.start(), site.start), site.end
    after = _SIDE_WORD.search(text, site.end, site.end + _SIDE_REACH)
    return (site.start, after.end()) if after else (site.start, site.end)
