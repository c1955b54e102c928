"""Entities of a report: concepts with side, polarity and numbers, each with where it stands."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from lib.report.agreement import is_of_all
from lib.report.belonging import of_sites, owner
from lib.report.language import Language
from lib.report.laterality import Laterality, lateralities
from lib.report.lexicon import Concept, Kind, Lexicon, default_lexicon, load_lexicon
from lib.report.numbered_bones import numbered_bones
from lib.report.polarity import Mark, Polarity, left_open, polarities, triggers
from lib.report.quantities import Quantity, find_quantities
from lib.report.text import Words, index_of, sentences, words_of
from lib.report.uptake_phrases import uptake_phrases

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
    r"(?<![A-Za-z])(?:yp|yc|[cprau]|mi)?(T(?:[0-4]|is|x)[a-d]?u?)\s?(N[0-3x][a-c]?)?\s?(M[01x][a-d]?)?", re.I
)
_NODES = (("lymph", "node"), ("淋", "巴", "结"))
_JOINED = frozenset([*",/、及和与或&", "and", "or"])
_SIDES = frozenset([*"左右双两侧", "left", "right", "bilateral", "both"])
#: Words that may stand between a site and its nodes.
_LIKE = frozenset([*"多发个枚数大小见可的", "multiple", "several", "numerous", "small", "prominent"])
#: Words that bring what is there beside what has resolved.
_BESIDE = frozenset(["with", "development"])
#: Diseases whose names, before another, are a part of it.
_ADJECTIVES = ("metastasis", "malignancy", "recurrence", "residual_disease", "primary_tumor", "benign")
_CLAUSE_ENDS = frozenset(",;:")


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
    negated: bool = False


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
    quantities = find_quantities(text)
    named, marks = _read(text, words, lexicon, quantities)
    read: list[list[Entity]] = []
    loose: list[tuple[int, Quantity]] = []
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
            of_it = _of_sentence(text, words, first, last, inside, its_marks, its_quantities, lexicon)
            read.append(list(of_it))
        else:
            said = [one for one in its_quantities if one.kind == "deauville" or one.unit == "g/mL"]
            loose += [(len(read), one) for one in said if not is_of_all(text, one)]
    _give(loose, text, read, lexicon)
    return [entity for sentence in read for entity in sentence]


def _give(loose: list[tuple[int, Quantity]], text: str, read: list[list[Entity]], lexicon: Lexicon) -> None:
    """Give SUVs and scores of nameless sentences to the one before that does not only deny, else after.

    Other numbers may be of the technique ("Slice thickness 3 mm."). A Deauville score is of no site.
    "Residual lymphoma. No effusion. Deauville score 5." is the lymphoma's.
    """
    said = [{one.concept.kind for one in sentence if one.polarity != "negated"} for sentence in read]
    of_any = [place for place, kinds in enumerate(said) if kinds]
    of_findings = [place for place, kinds in enumerate(said) if kinds - {"anatomy"}]
    given: dict[tuple[int, int], list[Quantity]] = {}
    for number, quantity in loose:
        places = of_findings if quantity.kind == "deauville" else of_any
        if not places:
            continue
        place = places[max(0, bisect_left(places, number) - 1)]
        sentence = read[place]
        spans = [(one.start, one.end) for one in sentence]
        concepts, polarity = [one.concept for one in sentence], [one.polarity for one in sentence]
        its = owner(quantity, text, spans, concepts, polarity, [0] * len(sentence), 0, lexicon)
        if its is not None:
            given.setdefault((place, its), []).append(quantity)
    for (place, its), numbers in given.items():
        one = read[place][its]
        read[place][its] = replace(one, quantities=(*one.quantities, *numbers))


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
    text: str,
    words: Words,
    first: int,
    last: int,
    named: list[_Named],
    marks: list[Mark],
    quantities: list[Quantity],
    lexicon: Lexicon,
) -> Iterator[Entity]:
    spans = [(one.first, one.end) for one in named]
    places = [(words.starts[one.first], words.ends[one.end - 1]) for one in named]
    concepts = [one.concept for one in named]
    ends = sorted(
        [at for at in range(first, last) if words.words[at] in _CLAUSE_ENDS]
        + [mark.first for mark in marks if mark.trigger.ends]
    )
    clauses = [bisect_left(ends, one.first) for one in named]
    semicolons = [words.starts[at] for at in range(first, last) if words.words[at] == ";"]
    parts = [bisect_left(semicolons, start) for start, _ in places]
    polarity = polarities(words, first, last, spans, marks)
    for index, one in enumerate(named):
        if one.negated:
            polarity[index] = "negated"
    for index in _resolved(words, named, clauses, polarity):
        polarity[index] = "negated"
    chinese = any("\u3400" <= word[0] <= "\u9fff" for word in words.words[first:last])
    of_sites(concepts, polarity, clauses, chinese)
    sides = lateralities(words.words, first, last, spans, concepts, clauses, parts, lexicon)
    belongs: list[list[Quantity]] = [[] for _ in named]
    for quantity in quantities:
        part = bisect_left(semicolons, quantity.start)
        its = owner(quantity, text, places, concepts, polarity, parts, part, lexicon)
        if its is not None:
            belongs[its].append(quantity)
    for one, place, side, held, numbers in zip(named, places, sides, polarity, belongs, strict=True):
        yield Entity(one.concept, *place, side, held, tuple(numbers))


def _resolved(
    words: Words, named: list[_Named], clauses: list[int], polarity: list[Polarity]
) -> Iterator[int]:
    """Yield what a text says has resolved: what stands before that in its clause, or what follows.

    "Resolution of the nodule" and "no longer avid nodule" say it of what follows, up to what is new or is
    said otherwise: "with persistent uptake".
    """
    for index, one in enumerate(named):
        name = words.words[one.first : one.end]
        if polarity[index] != "affirmed" or not (one.concept.id == "resolved" or name[-1] == "resolution"):
            continue
        clause = bisect_left(clauses, clauses[index]), bisect_right(clauses, clauses[index])
        before, after = range(clause[0], index), range(index + 1, clause[1])
        leads = name[0] == "no" or name[-1] == "resolved"
        is_first = not any(named[at].concept.kind in ("disease", "uptake") for at in before)
        of_it = name[-1] == "of" or words.words[one.end : one.end + 1] == ["of"]
        if of_it or (leads and is_first):
            yield from takewhile(lambda at: not _goes_on(words, named[at - 1], named[at]), after)
        else:
            yield from before


def _goes_on(words: Words, before: _Named, one: _Named) -> bool:
    """Whether a concept begins what is said beside a resolution."""
    if one.concept.id == "new_lesion" or not _BESIDE.isdisjoint(words.words[before.end : one.first]):
        return True
    return one.concept.kind == "response" and words.words[one.first - 1] == "and"


def _read(
    text: str, words: Words, lexicon: Lexicon, quantities: Sequence[Quantity]
) -> tuple[list[_Named], list[Mark]]:
    """Return the concepts and the triggers of a text; of several that begin at a word the longest counts."""
    unmeasured = _without_numbers(text, quantities)
    whole = dict(_bones(unmeasured, words, lexicon)) | dict(_stages(text, words, lexicon))
    uptakes = dict(_uptakes(text, words, lexicon))
    opened = {mark.first: mark for mark in left_open(text, words)}
    named: list[_Named] = []
    marks: list[Mark] = []
    known = triggers()
    at = 0
    while at < len(words.words):
        if at in whole:
            named += whole[at]
            at = whole[at][-1].end
            continue
        if at in opened:
            marks.append(opened[at])
            at = opened[at].end
            continue
        concept = lexicon.phrases.longest(words.words, at, text, words.starts, words.ends)
        if concept and concept[1] > at + 1 and words.words[concept[1] - 1 : concept[1] + 1] == ["骨", "质"]:
            concept = concept[0], concept[1] - 1  # 髂|骨质破坏
        if concept and at and words.words[at] == "侧" and words.words[at - 1] in _SIDES:
            other = lexicon.phrases.longest(words.words, at + 1, text, words.starts, words.ends)
            concept = None if other and other[1] > concept[1] else concept  # 左侧|腹股沟, no 侧腹
        trigger = known.longest(words.words, at, text, words.starts, words.ends)
        uptake = uptakes.get(at)
        if uptake and all(other is None or other[1] <= uptake.end for other in (concept, trigger)):
            named.append(uptake)
            at = uptake.end
            continue
        if concept and (trigger is None or concept[1] >= trigger[1]):
            named.append(_Named(concept[0], at, concept[1]))
            at = concept[1]
        elif trigger:
            marks.append(Mark(trigger[0], at, trigger[1]))
            at = trigger[1]
        else:
            at += 1
    return _nodes_of_lists(_whole(named, words, lexicon), words, lexicon), marks


def _uptakes(text: str, words: Words, lexicon: Lexicon) -> Iterator[tuple[int, _Named]]:
    for start, end, id, negated in uptake_phrases(text):
        first, last = index_of(words.starts, start), index_of(words.starts, end - 1) + 1
        if id in lexicon.concepts:
            yield first, _Named(lexicon.concepts[id], first, last, negated)


def _without_numbers(text: str, quantities: Sequence[Quantity]) -> str:
    """Return a text without what is measured, which counts no bones: "SUVmax 6, 7th rib"."""
    signs = list(text)
    for one in quantities:
        if one.kind != "count":
            signs[one.start : one.end] = "#" * (one.end - one.start)
    return "".join(signs)


def _bones(text: str, words: Words, lexicon: Lexicon) -> Iterator[tuple[int, list[_Named]]]:
    for bones in numbered_bones(text):
        named = [
            _Named(lexicon.concepts[id], index_of(words.starts, start), index_of(words.starts, end - 1) + 1)
            for start, end, id in bones
            if id in lexicon.concepts
        ]
        if named:
            yield named[0].first, named


def _stages(text: str, words: Words, lexicon: Lexicon) -> Iterator[tuple[int, list[_Named]]]:
    """Read a TNM stage as one concept, a kind of the stages of its parts."""
    for match in _TNM.finditer(text):
        parts = [match.group(part) for part in (1, 2, 3) if match.group(part)]
        if len(parts) < 2:
            continue
        name = "".join(parts)
        wider = tuple(f"tnm_{part.lower()}" for part in parts if f"tnm_{part.lower()}" in lexicon.concepts)
        concept = Concept(f"tnm_{name.lower()}", "stage", (name,), (name,), broader=wider)
        first, end = index_of(words.starts, match.start()), index_of(words.starts, match.end() - 1) + 1
        yield first, [_Named(concept, first, end)]


def _whole(named: list[_Named], words: Words, lexicon: Lexicon) -> list[_Named]:
    """Join what names one thing: "metastatic melanoma", "level III cervical nodes"."""
    found: list[_Named] = []
    for one in named:
        last = found[-1] if found else None
        if last and last.end == one.first:
            id, other = last.concept.id, one.concept.id
            if last.concept.kind == "uptake" and words.words[one.first : one.end] == ["灶"]:
                continue
            if one.concept.kind == "disease" and id in _ADJECTIVES and id != other:
                found[-1] = _Named(one.concept, last.first, one.end)
                continue
            nodes = [
                concept
                for concept in (last.concept, one.concept)
                if "lymph_node" in lexicon.wider(concept.id)
            ]
            if (
                nodes
                and one.concept.kind == last.concept.kind == "anatomy"
                and (id.startswith("node_level") or other.startswith("node_level"))
            ):
                level = last.concept if id.startswith("node_level") else one.concept
                found[-1] = _Named(level, last.first, one.end)
                continue
        found.append(one)
    return found


def _nodes_of_lists(named: list[_Named], words: Words, lexicon: Lexicon) -> list[_Named]:
    """Read "hilar and mediastinal lymphadenopathy" and 肺门及纵隔多发肿大淋巴结 as two stations."""
    found = list(named)
    for index in range(len(found) - 2, -1, -1):
        one, following = found[index], found[index + 1]
        if one.concept.kind != "anatomy" or one.concept.id.startswith("node_"):
            continue
        is_listed = "lymph_node" in lexicon.wider(following.concept.id) and _listed(words, one, following)
        head = None if is_listed else _head(found, index, words)
        if head is None and not is_listed:
            continue
        for tail in _NODES:
            if station := lexicon.phrases.get([*words.words[one.first : one.end], *tail]):
                is_whole = head == index + 1 and following.concept.id == "lymph_node"
                found[index : index + 1 + is_whole] = [
                    _Named(station, one.first, following.end if is_whole else one.end)
                ]
                break
    return found


def _head(named: list[_Named], index: int, words: Words) -> int | None:
    """Return the nodes that a site stands before, with no more than what they are like between them."""
    for place in range(index + 1, len(named)):
        between = words.words[named[place - 1].end : named[place].first]
        if not _LIKE.issuperset(between):
            return None
        if named[place].concept.id in ("lymph_node", "lymphadenopathy"):
            is_adjective = words.words[named[place].first : named[place].end] == ["nodal"]
            return None if is_adjective else place
        if named[place].concept.kind != "uptake" and named[place].concept.id != "enlargement":
            return None
    return None


def _listed(words: Words, one: _Named, following: _Named) -> bool:
    between = words.words[one.end : following.first]
    return len(between) <= 5 and not _JOINED.isdisjoint(between) and (_JOINED | _SIDES).issuperset(between)
