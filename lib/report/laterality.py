"""Which side of the body an entity is on."""

from collections.abc import Sequence
from typing import Literal

from lib.report.lexicon import Concept

Laterality = Literal["left", "right", "bilateral"]
Span = tuple[int, int]

_SIDES: dict[str, Laterality] = {
    **dict.fromkeys(["left", "l", "lt", "左"], "left"),
    **dict.fromkeys(["right", "r", "rt", "右"], "right"),
    **dict.fromkeys(["bilateral", "bilaterally", "both", "双", "两"], "bilateral"),
}
_BETWEEN_CHINESE = frozenset("侧 的 边 上 下 前 后 中 部 内 外 方 近 远 段 缘".split())
_STOPS = frozenset(
    ", ; : . ( ) [ ] 、 , and or with in on of at to is are was were shows from by near no not into than per 及 和 与 伴 见 但 至".split()
)
_LISTING = frozenset("and or , 、 及 和 与 或 / & as well 以".split())


def sides_of(words: Sequence[str], first: int, end: int) -> list[tuple[int, int, Laterality]]:
    """Return the words that name a side: first, end, side."""
    found: list[tuple[int, int, Laterality]] = []
    at = first
    while at < end:
        word = words[at]
        if word == "b" and list(words[at + 1 : at + 3]) == ["/", "l"]:
            found.append((at, at + 3, "bilateral"))
            at += 3
        elif word in ("双", "两") and (
            at + 1 >= end or words[at + 1] not in "侧肺肾腋颈肩髂股乳膝肱锁耳眼下上腹"
        ):
            at += 1
        elif side := _SIDES.get(word):
            opposite = "left" if side == "right" else "right"
            if (
                side != "bilateral"
                and at + 2 < end
                and _SIDES.get(words[at + 2]) == opposite
                and words[at + 1] in ("and", "及", "和", "/", "、")
            ):
                found.append((at, at + 3, "bilateral"))
                at += 3
                continue
            if side != "bilateral" and at + 1 < end and _SIDES.get(words[at + 1]) == opposite:
                found.append((at, at + 2, "bilateral"))
                at += 2
                continue
            found.append((at, at + 1, side))
            at += 1
        else:
            at += 1
    return found


def lateralities(
    words: Sequence[str], first: int, end: int, spans: Sequence[Span], concepts: Sequence[Concept]
) -> list[Laterality | None]:
    """Return the side of each entity of a sentence: the concept's own, that before its name, or that of a list."""
    sides = sides_of(words, first, end)
    found: list[Laterality | None] = []
    for index, (span, concept) in enumerate(zip(spans, concepts, strict=True)):
        side: Laterality | None = concept.side
        if side is None:
            side = _before(
                words, sides, span, spans[index - 1][1] if index else first
            )
        if side is None and index and concept.paired and found[-1] and concepts[index - 1].kind == "anatomy":
            between = words[spans[index - 1][1] : span[0]]
            if all(word in _LISTING for word in between):
                side = found[-1]
        if side is None and concept.kind == "anatomy":
            side = _after(words, sides, span, spans[index + 1][0] if index + 1 < len(spans) else end)
        found.append(side)
    return found


def _within(sides: Sequence[tuple[int, int, Laterality]], span: Span) -> Laterality | None:
    return next((side for first, end, side in sides if span[0] <= first and end <= span[1]), None)


def _before(
    words: Sequence[str], sides: Sequence[tuple[int, int, Laterality]], span: Span, floor: int
) -> Laterality | None:
    for first, end, side in reversed(sides):
        if floor <= first and end <= span[0] and span[0] - end <= 5:
            between = words[end : span[0]]
            if not any(word in _STOPS for word in between):
                return side
            return None
    return None


def _after(
    words: Sequence[str], sides: Sequence[tuple[int, int, Laterality]], span: Span, ceiling: int
) -> Laterality | None:
    for first, end, side in sides:
        if span[1] <= first and end <= ceiling:
            between = list(words[span[1] : first])
            if between in ([], ["("], ["on", "the"], ["of", "the"]) and (
                between != [] or end == ceiling or words[end] in _STOPS or words[end] == "侧"
            ):
                return side
            return None
    return None
