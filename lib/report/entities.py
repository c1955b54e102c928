"""Entities of a report: concepts with side, polarity and numbers, each with where it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lib.report.language import Language
from lib.report.laterality import Laterality, lateralities
from lib.report.lexicon import Concept, Kind, Lexicon, default_lexicon, load_lexicon
from lib.report.polarity import Mark, Polarity, polarities, triggers
from lib.report.quantities import Quantity, find_quantities
from lib.report.text import Words, index_of, sentences, words_of

__all__ = [
    "Concept",
    "Entity",
    "Kind",
    "Language",
    "Laterality",
    "Lexicon",
    "Polarity",
    "Quantity",
    "default_lexicon",
    "find_entities",
    "find_quantities",
    "load_lexicon",
    "sentences",
]

#: "cT2aN1M0": the parts of a TNM stage written together.
_TNM = re.compile(
    r"(?<![A-Za-z])(?:yp|yc|[cprau]|mi)?(T(?:[0-4]|is|x)[a-d]?)\s?(N[0-3x][a-c]?)?\s?(M[01x][a-d]?)?", re.I
)
_NODES = (("lymph", "node"), ("淋", "巴", "结"))
_JOINED = frozenset(", / and or 、 及 和 与 或 &".split())


@dataclass(frozen=True)
class Entity:
    """A concept in a text.

    Args:
        concept: what is spoken of.
        start: its first character.
        end: the character after its last.
        laterality: the side that the text or the concept itself gives it.
        polarity: affirmed, negated ("no uptake"), or uncertain ("suspicious for").
        quantities: the numbers that belong to it.
    """

    concept: Concept
    start: int
    end: int
    laterality: Laterality | None = None
    polarity: Polarity = "affirmed"
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class _Named:
    concept: Concept
    first: int
    end: int


def find_entities(
    text: str, language: Language | None = None, lexicon: Lexicon | None = None
) -> list[Entity]:
    """Return the entities of a text in their order.

    Args:
        text: in English, Chinese or both.
        language: what it is in; both are read in any case.
        lexicon: another one than SegPET's own.
    """
    lexicon = lexicon or default_lexicon()
    words = words_of(text)
    named, marks = _read(text, words, lexicon)
    quantities = find_quantities(text)
    entities: list[Entity] = []
    at = mark_at = quantity_at = 0
    for start, end in sentences(text):
        first, last = index_of(words.starts, start - 1) + 1, index_of(words.starts, end - 1) + 1
        inside, at = _up_to(named, at, last)
        its_marks, mark_at = _marks_up_to(marks, mark_at, last)
        its_quantities = []
        while quantity_at < len(quantities) and quantities[quantity_at].start < end:
            its_quantities.append(quantities[quantity_at])
            quantity_at += 1
        if inside:
            entities += _of_sentence(words, first, last, inside, its_marks, its_quantities)
    return entities


def _up_to(named: list[_Named], at: int, last: int) -> tuple[list[_Named], int]:
    start = at
    while at < len(named) and named[at].first < last:
        at += 1
    return named[start:at], at


def _marks_up_to(marks: list[Mark], at: int, last: int) -> tuple[list[Mark], int]:
    start = at
    while at < len(marks) and marks[at].first < last:
        at += 1
    return marks[start:at], at


def _of_sentence(
    words: Words, first: int, last: int, named: list[_Named], marks: list[Mark], quantities: list[Quantity]
) -> Iterator[Entity]:
    spans = [(one.first, one.end) for one in named]
    concepts = [one.concept for one in named]
    sides = lateralities(words.words, first, last, spans, concepts)
    polarity = polarities(words, first, last, spans, marks)
    belongs: list[list[Quantity]] = [[] for _ in named]
    for quantity in quantities:
        belongs[_owner(quantity, named, words)].append(quantity)
    for one, side, held, numbers in zip(named, sides, polarity, belongs, strict=True):
        yield Entity(
            one.concept, words.starts[one.first], words.ends[one.end - 1], side, held, tuple(numbers)
        )


_OWNERS: dict[str, tuple[Kind, ...]] = {
    "deauville": ("response",),
    "percent": ("response", "uptake"),
    "suv": ("uptake", "disease"),
    "count": ("disease", "uptake"),
}


def _owner(quantity: Quantity, named: list[_Named], words: Words) -> int:
    """Return the index of the entity that a number belongs to: the nearest of a kind that bears such numbers."""
    kinds = _OWNERS.get(
        quantity.kind, _OWNERS["suv"] if quantity.kind.startswith("suv") else ("disease", "uptake")
    )

    def distance(index: int) -> tuple[bool, int]:
        one = named[index]
        start, end = words.starts[one.first], words.ends[one.end - 1]
        gap = quantity.start - end if end <= quantity.start else max(start - quantity.end, 0)
        behind = start >= quantity.end
        if quantity.kind == "count":
            behind = not behind
        return one.concept.kind not in kinds, gap + (40 if behind else 0)

    return min(range(len(named)), key=distance)


def _read(text: str, words: Words, lexicon: Lexicon) -> tuple[list[_Named], list[Mark]]:
    """Return the concepts and the triggers of a text; of several that begin at a word the longest counts."""
    stages = dict(_stages(text, words, lexicon))
    named: list[_Named] = []
    marks: list[Mark] = []
    known = triggers()
    at = 0
    while at < len(words.words):
        if at in stages:
            named += stages[at]
            at = stages[at][-1].end
            continue
        concept = lexicon.phrases.longest(words.words, at, text, words.starts, words.ends)
        trigger = known.longest(words.words, at, text, words.starts, words.ends)
        if concept and (trigger is None or concept[1] >= trigger[1]):
            named.append(_Named(concept[0], at, concept[1]))
            at = concept[1]
        elif trigger:
            marks.append(Mark(trigger[0], at, trigger[1]))
            at = trigger[1]
        else:
            at += 1
    return _nodes_of_lists(named, words, lexicon), marks


def _stages(text: str, words: Words, lexicon: Lexicon) -> Iterator[tuple[int, list[_Named]]]:
    for match in _TNM.finditer(text):
        parts = [part for part in (1, 2, 3) if match.group(part)]
        if len(parts) < 2:
            continue
        found = []
        for part in parts:
            start = match.start() if part == 1 else match.start(part)
            first = index_of(words.starts, start)
            end = index_of(words.starts, match.end(part) - 1) + 1
            concept = lexicon.concepts.get(f"tnm_{match.group(part).lower()}")
            if concept:
                found.append(_Named(concept, first, end))
        if found:
            yield found[0].first, found


def _nodes_of_lists(named: list[_Named], words: Words, lexicon: Lexicon) -> list[_Named]:
    """Read "hilar and mediastinal lymph nodes" as two stations: the first one's "lymph nodes" are left out."""
    found = list(named)
    for index in range(len(found) - 2, -1, -1):
        one, following = found[index], found[index + 1]
        if one.concept.kind != "anatomy" or "lymph_node" not in lexicon.wider(following.concept.id):
            continue
        if one.concept.id.startswith("node_") or not _listed(words.words[one.end : following.first]):
            continue
        for tail in _NODES:
            if station := lexicon.phrases.get([*words.words[one.first : one.end], *tail]):
                found[index] = _Named(station, one.first, one.end)
    return found


def _listed(between: list[str]) -> bool:
    return bool(between) and len(between) <= 2 and all(word in _JOINED for word in between)
