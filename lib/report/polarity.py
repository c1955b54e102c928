"""Whether a text affirms, negates or doubts what it speaks of (after NegEx, Chapman 2001, and ConText)."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from lib.report.lexicon import Phrases
from lib.report.text import Words, index_of

Polarity = Literal["affirmed", "negated", "uncertain"]

_FILE = Path(__file__).parent / "data" / "polarity.toml"
_CHINESE = "\u3400"
_COMMA, _PARTS, _LISTING = (
    ",",
    frozenset(";:"),
    frozenset(["及", "或", "和", "与", "亦", "、", "or", "nor", "and"]),
)
#: What leaves a diagnosis open: "does not exclude", "cannot be entirely excluded", 尚不能完全除外.
_LEFT_OPEN = re.compile(
    r"\b(?:(?:can|could|do|does|did|is|are|was|were|has|have|may)\s+)?"
    r"(?:not|cannot|(?:ca|could|do|does|did|is|are|was|were|has|have)n['’]t)"
    r"(?:\s+(?P<passive>be|been))?(?:\s+\w+ly)*\s+(?:(?:exclude|rule\s+out)|(?P<participle>excluded|ruled\s+out))\b"
    r"|(?P<chinese>[尚仍]?(?:不能|不可|未能|无法|难以|不|未|难)(?:完全|绝对|明确|彻底)?(?:除外|排除))",
    re.I,
)
_STOPS = frozenset(".。")
#: What ends the denial of a finding before what it would be a sign of.
_PARTING = frozenset([",", "、", "and", "及", "和", "且", "伴", *_PARTS])


@dataclass(frozen=True)
class Trigger:
    """A phrase that bears on polarity.

    Args:
        before: what it makes of what stands before it.
        after: of what stands after it.
        ends: it ends the scope of an earlier one.
        both: it bears on both sides at once ("A versus B").
        next: it bears on the next word's entity alone ("non-").
        contrast: it leaves uncertain what is so already ("likely A rather than B").
        sign: it says what a finding is a sign of, and is denied with the finding.
    """

    before: Polarity | None = None
    after: Polarity | None = None
    ends: bool = False
    both: bool = False
    next: bool = False
    contrast: bool = False
    sign: bool = False


@dataclass(frozen=True)
class Mark:
    """A trigger at words[first:end]."""

    trigger: Trigger
    first: int
    end: int


@cache
def triggers() -> Phrases[Trigger]:
    """Return the phrases of data/polarity.toml."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    found: dict[str, Trigger] = {}
    for polarity in ("negated", "uncertain"):
        kind: Polarity = "negated" if polarity == "negated" else "uncertain"
        for phrase in read[polarity]["before"]:  # the phrase stands before: it bears on what comes after
            found[phrase] = Trigger(after=kind, before=found.get(phrase, Trigger()).before)
        for phrase in read[polarity]["after"]:
            found[phrase] = Trigger(after=found.get(phrase, Trigger()).after, before=kind)
    for phrase in read["uncertain"]["signs"]:
        found[phrase] = replace(found.get(phrase, Trigger()), after="uncertain", sign=True)
    found |= dict.fromkeys(read["uncertain"]["between"], Trigger("uncertain", "uncertain", both=True))
    found |= dict.fromkeys(read["negated"]["next"], Trigger(after="negated", next=True))
    found |= dict.fromkeys(read["negated"]["contrast"], Trigger(after="negated", contrast=True))
    found |= dict.fromkeys(read["neither"]["phrases"], Trigger())
    found |= dict.fromkeys(read["neither"]["ends"], Trigger(ends=True))
    phrases: Phrases[Trigger] = Phrases()
    for phrase, trigger in found.items():
        phrases.add(phrase, trigger)
    return phrases


def left_open(text: str, words: Words) -> Iterator[Mark]:
    """Yield what leaves a diagnosis open, which lies over triggers that rule it out."""
    for match in _LEFT_OPEN.finditer(text):
        passive = match.group("passive") or match.group("participle")
        trigger = Trigger(
            before="uncertain" if passive or match.group("chinese") else None,
            after=None if passive else "uncertain",
        )
        first, last = (index_of(words.starts, at) for at in (match.start(), match.end() - 1))
        yield Mark(trigger, first, last + 1)


@cache
def _verbs() -> frozenset[str]:
    return frozenset(tomllib.loads(_FILE.read_text(encoding="utf-8"))["neither"]["verbs"])


def polarities(
    words: Words, first: int, end: int, spans: Sequence[tuple[int, int]], marks: Sequence[Mark]
) -> list[Polarity]:
    """Return the polarity of each entity of a sentence.

    Args:
        words: of the text.
        first: the sentence's first word.
        end: the word after its last.
        spans: first and end word of each entity, in order.
        marks: the sentence's triggers, in order.
    """
    found: list[Polarity] = ["affirmed"] * len(spans)
    marks = _with_denied_signs(words, marks)
    while end > first and words.words[end - 1] in _STOPS:  # 转移未见。
        end -= 1
    commas = [
        at
        for at in range(first, end)
        if words.words[at] in _PARTS or (words.words[at] == _COMMA and _ends_clause(words.words, at, end))
    ]
    for number, mark in enumerate(marks):
        if mark.trigger.ends or (mark.trigger.after is None and mark.trigger.before is None):
            continue
        start = max([first, *(at + 1 for at in commas if at < mark.first)])
        stop = min([end, *(at for at in commas if at >= mark.end)])
        later = [
            one.first
            for one in marks[number + 1 :]
            if one.trigger.ends
            or (
                one.trigger.after
                and not one.trigger.next
                and not (one.trigger.contrast and mark.trigger.after == "uncertain")
            )
        ]
        inside = [index for index, span in enumerate(spans) if mark.end <= span[0] < min([stop, *later])]
        if mark.trigger.next:
            inside = [index for index in inside[:1] if spans[index][0] == mark.end]
        if mark.trigger.after and inside and not _closes(mark, words, stop, inside, spans):
            for index in inside:
                contrast = mark.trigger.contrast and found[index] == "uncertain"
                found[index] = "uncertain" if contrast else mark.trigger.after
            if mark.trigger.both:
                for index in _group_before(mark, words, start, spans):
                    found[index] = mark.trigger.after
        elif before := (mark.trigger.before or (mark.trigger.after if mark.end >= stop else None)):
            for index in _group_before(mark, words, start, spans):
                found[index] = before
    return found


def _with_denied_signs(words: Words, marks: Sequence[Mark]) -> list[Mark]:
    """Return triggers, of which a sign denies after a denied finding ("no lesion to suggest metastasis")."""
    read: list[Mark] = []
    for mark in marks:
        last = read[-1] if read else None
        if (
            mark.trigger.sign
            and last
            and last.trigger.after == "negated"
            and not (last.trigger.next or last.trigger.contrast)
            and _PARTING.isdisjoint(words.words[last.end : mark.first])
        ):
            mark = replace(mark, trigger=Trigger(after="negated"))
        read.append(mark)
    return read


def _closes(mark: Mark, words: Words, stop: int, inside: list[int], spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a phrase that may stand on either side stands after what it bears on."""
    return mark.trigger.before is not None and any(
        words.words[at] in (_COMMA, "、", ":", ")", "（", "(") for at in range(mark.end, spans[inside[0]][0])
    )


def _group_before(mark: Mark, words: Words, start: int, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return the entities that a phrase after them bears on: the last, and those listed with it."""
    before = [index for index, span in enumerate(spans) if start <= span[0] and span[1] <= mark.first]
    group: list[int] = []
    for index in reversed(before):
        if group:
            between = words.words[spans[index][1] : spans[group[-1]][0]]
            if any(
                word not in _LISTING
                and word not in ("to", "of", "the", "an", "a", "aggressive", "in", "early")
                for word in between
            ):
                break
        group.append(index)
    return group


def _ends_clause(words: list[str], comma: int, end: int) -> bool:
    clause = []
    for word in words[comma + 1 : end]:
        if word == _COMMA:
            break
        clause.append(word)
    if not clause or clause[0] in _LISTING:
        return False
    chinese = any(word >= _CHINESE for word in clause) or (comma > 0 and words[comma - 1] >= _CHINESE)
    return chinese or not _verbs().isdisjoint(clause)
