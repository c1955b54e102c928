"""What is known of a patient, from the lesion table and the findings, as statements that can be compared."""

import re
from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from lib.report.counts import with_counts
from lib.report.entities import Entity, Laterality, find_entities
from lib.report.language import ReportError
from lib.report.lexicon import default_lexicon
from lib.report.places import is_vague, is_within, nodes_beside, places_of
from lib.report.quantities import Quantity, find_quantities
from lib.report.text import sentences

#: Numbers of the lesion table: key -> what a text calls it. Lengths in mm, volumes in ml, TLG in g.
MEASURES = {
    "suv_max": "suv_max",
    "suv_mean": "suv_mean",
    "suv_peak": "suv_peak",
    "mtv_ml": "volume",
    "volume_ml": "volume",
    "tmtv_ml": "volume",
    "tlg_g": "tlg",
    "total_tlg_g": "tlg",
    "feret_mm": "size",
    "dmax_mm": "size",
    "size_mm": "size",
    "deauville": "deauville",
}
#: Half of the last digit of an SUV as it is written.
_SUV_DIGIT = 0.051
#: Words that deny, whatever else a clause says.
UNINVOLVED = re.compile(
    r"\bnot (?:\w+ly )?(?:involved|infiltrated|affected|avid|increased|enlarged|impaired|invaded|compressed)"
    r"|uninvolved|unaffected|(?:未|无)(?:明显)?(?:受|累|侵)",
    re.I,
)
#: How near a word for its side stands to a site that is as wide as all bones, in characters.
_NEAR = 16
#: A clause with more sites is no report's; the time to compare them grows with their square.
_MOST_SITES = 64
_COMPARED = re.compile(r"\b(?:above|below|than|over|exceeding)(?: the)?\s*$|[高低]于\s*$", re.I)
_A_SIDE = re.compile(
    r"left|right|bilat|both|either|lateral|\bbi|\b[lr]t?\b|\b[LR][UML]L|[左右双两同对]", re.I
)
_PHYSIOLOGICAL = re.compile(r"\bphysiolog|\burin|\bexcret|生理性|尿液|排泄", re.I)
_FURTHER = re.compile(
    r"(?:\s*(?:[、，,/]|and|和|及|左|右|侧|left|right)+\s*\d+\.\d+(?![\d.]|\s*[cm]m))+", re.I
)
_DECIMAL = re.compile(r"\d+\.\d+")
_CLAUSE_END = re.compile(r"[,，：:](?!\d)|\b(?:but|while|whereas|however)\b|但|而")
_NORMAL = re.compile(
    r"\b(?:physiologic\w*|normal|unremarkable|negative|no longer|resolved|clear|free|quiet|"
    r"inconspicuous|unsuspicious|uninvolved|spared|intact|patent|without|unaffected|silent|slim|symmetric\w*|"
    r"not|no|neither|nor|none|symmetrical)\b"
    r"|生理性|(?<!不)正常|未见|未发现|无明显|阴性|未受|未累|完整|光滑|不大|均匀|无",
    re.I,
)


@dataclass(frozen=True)
class Statement:
    """A clause of a text.

    Args:
        start: its first character.
        end: the character after its last.
        sentence: the sentence's number in the text.
        sites: the anatomy that it speaks of; that of the clause before where it names none itself.
        own_sites: whether it names it itself.
        others: its other entities.
        quantities: its numbers.
        denies: whether it says that there is nothing abnormal.
        physiological: whether it, or what follows on it, calls its uptake physiological.
        suvs: the SUVs of its lesions, each with its character; of "SUVmax 5.9, 5.1 and 4.8" all.
    """

    start: int
    end: int
    sentence: int
    sites: tuple[Entity, ...]
    own_sites: bool
    others: tuple[Entity, ...]
    quantities: tuple[Quantity, ...]
    denies: bool
    physiological: bool = False
    suvs: tuple[tuple[float, int], ...] = ()

    @property
    def suv_values(self) -> tuple[float, ...]:
        """The SUVs alone."""
        return tuple(value for value, _ in self.suvs)

    def sites_of(self, place: int) -> tuple[Entity, ...]:
        """Return the sites that its SUV number `place` belongs to.

        As many sites as SUVs belong together in their order; else those that stand between it and the SUV
        before it; else all.
        """
        anatomy = tuple(site for site in self.sites if site.concept.kind == "anatomy")
        if len(anatomy) == len(self.suvs):
            return (anatomy[place],)
        after = self.suvs[place - 1][1] if place else self.start
        between = tuple(site for site in self.sites if after <= site.start < self.suvs[place][1])
        return between or self.sites


@dataclass(frozen=True)
class Measured:
    """A lesion of the lesion table.

    Args:
        id: as the table has it.
        places: ids of the anatomy of its site, and of the findings' statements that have its SUVmax.
        side: of the patient.
        numbers: kind of quantity and value, in mm, ml, g.
        text: its site in words.
        normal: it lies in normal uptake, or the findings call it physiological.
        is_described: whether the findings say where it is.
    """

    id: Any
    places: tuple[str, ...]
    side: Laterality | None
    numbers: tuple[tuple[str, float], ...]
    text: str
    normal: bool
    is_described: bool = False

    def has_suv(self, values: Iterable[float]) -> bool:
        """Whether its SUVmax is one of these, as far as they were written out."""
        return any(
            kind == "suv_max" and abs(value - one) <= _SUV_DIGIT
            for kind, value in self.numbers
            for one in values
        )


def read_statements(text: str) -> list[Statement]:
    """Return the clauses of a text."""
    found_entities = _as_followed(text, find_entities(text))
    entities = [_with_own_side(text, one) for one in found_entities if not _is_measure(text, one)]
    entities.sort(key=lambda one: one.start)
    quantities = with_counts(text, find_quantities(text))
    joined = {at for entity in entities for at in range(entity.start + 1, entity.end)}
    starts = [entity.start for entity in entities]
    found = []
    for number, (start, end) in enumerate(_parts(text)):
        before: tuple[Entity, ...] = ()
        for clause_start, clause_end in _clauses(text, start, end, joined):
            inside = entities[bisect_left(starts, clause_start) : bisect_left(starts, clause_end)]
            own = tuple(entity for entity in inside if places_of(entity))[:_MOST_SITES]
            clause = text[clause_start:clause_end]
            found.append(
                Statement(
                    clause_start,
                    clause_end,
                    number,
                    own or before,
                    bool(own),
                    tuple(entity for entity in inside if entity.concept.kind != "anatomy"),
                    tuple(one for one in quantities if clause_start <= one.start < clause_end),
                    _denies(clause, inside),
                    bool(_PHYSIOLOGICAL.search(clause)),
                    _suvs(text, clause_start, clause_end, quantities),
                )
            )
            before = own or before
    for place, (one, following) in enumerate(pairwise(found)):
        if following.physiological and following.sentence == one.sentence and not following.own_sites:
            found[place] = replace(one, physiological=True)
    for place in range(len(found) - 2, -1, -1):
        one, following = found[place], found[place + 1]
        is_listed = one.own_sites and not one.others and not one.quantities  # "lungs, bone and liver clear"
        if is_listed and following.sentence == one.sentence and following.denies:
            found[place] = replace(one, denies=True)
    return found


def _as_followed(text: str, entities: Sequence[Entity]) -> list[Entity]:
    """Return entities with sites as the word that follows on them has it.

    "Iliac" in "iliac nodal metastasis" are the nodes of that name, not the bone; the liver of "no liver
    metastasis" is denied, whatever else its sentence says of it.
    """
    concepts = default_lexicon().concepts
    read = list(entities)
    for place, (one, following) in enumerate(pairwise(entities)):
        if one.concept.kind != "anatomy" or text[one.end : following.start].strip():
            continue
        if following.concept.kind == "disease" and following.polarity == "negated":
            read[place] = one = replace(one, polarity="negated")
        named = concepts.get(f"node_{text[one.start : one.end].lower()}")
        is_nodal = following.concept.id in ("lymph_node", "lymphadenopathy")
        if named and is_nodal:
            read[place] = replace(one, concept=named)
    return read


def _is_measure(text: str, entity: Entity) -> bool:
    """Whether a site is what uptake is compared with: "above the blood pool", "高于肝脏"."""
    return entity.concept.kind == "anatomy" and bool(
        _COMPARED.search(text[max(0, entity.start - 16) : entity.start])
    )


def _with_own_side(text: str, entity: Entity) -> Entity:
    """Return an entity without a side for which no word stands in its sentence."""
    if entity.laterality is None or entity.concept.side:
        return entity
    begin = max(text.rfind(mark, 0, entity.start) for mark in (". ", "。", "\n", "；")) + 1
    if text[max(0, begin - 3) : begin].lower() in ("rt.", "lt."):  # ends no sentence, but says the side
        begin -= 3
    ends = [at for mark in (". ", "。", "\n", "；") if (at := text.find(mark, entity.end)) >= 0]
    stop = min(ends, default=len(text))
    if any(map(is_vague, places_of(entity))):  # of all bones, the side is that of some of them
        begin, stop = max(begin, entity.start - _NEAR), min(stop, entity.end)
    if _A_SIDE.search(text, begin, stop):
        return entity
    return replace(entity, laterality=None)


def _denies(clause: str, entities: Iterable[Entity]) -> bool:
    """Whether a clause says that there is nothing abnormal."""
    if UNINVOLVED.search(clause):
        return True
    if any(entity.concept.kind == "disease" and entity.polarity != "negated" for entity in entities):
        return False
    return any(entity.polarity == "negated" for entity in entities) or bool(_NORMAL.search(clause))


def _parts(text: str) -> list[tuple[int, int]]:
    """Return the sentences, and of those with semicolons the parts: each has sites of its own."""
    parts = []
    for start, end in sentences(text):
        for match in re.finditer(r"[^;；]+[;；]?", text[start:end]):
            if match.group().strip(" ;；\n"):
                parts.append((start + match.start(), start + match.end()))
    return parts


def _suvs(text: str, start: int, end: int, quantities: Iterable[Quantity]) -> tuple[tuple[float, int], ...]:
    """Return the SUVs of a clause with where each stands; of "SUVmax 5.9 and 5.1" both."""
    values: list[tuple[float, int]] = []
    for one in quantities:
        if start <= one.start < end and one.kind in ("suv", "suv_max"):
            values += [(value, one.start) for value in dict.fromkeys((*one.values, one.low, one.high))]
            if further := _FURTHER.match(text, one.end):
                values += [
                    (float(number.group()), number.start())
                    for number in _DECIMAL.finditer(text, further.start(), further.end())
                ]
    return tuple(values)


def _clauses(text: str, start: int, end: int, joined: Container[int]) -> list[tuple[int, int]]:
    """Return the parts of a sentence; what joins the words of an entity parts nothing, nor does a bracket."""
    parts, at = [], start
    for match in _CLAUSE_END.finditer(text, start, end):
        if match.start() in joined:
            continue
        opened = text.count("(", at, match.start()) + text.count("（", at, match.start())
        if opened > text.count(")", at, match.start()) + text.count("）", at, match.start()):
            continue
        parts.append((at, match.end()))
        at = match.end()
    return [*parts, (at, end)]


def measured_lesions(table: Mapping[str, Any] | None, findings: Sequence[Statement] = ()) -> list[Measured]:
    """Return the lesions of a lesion table as `lib.pet.lesion_table.lesion_table` makes it.

    Args:
        table: the table; None is one without lesions.
        findings: statements with a lesion's SUVmax say where it is, too: "right hilar node" for what lies
            "beside the trachea".

    Raises:
        ReportError: it is no such table.
    """
    if table is None:
        return []
    lesions = table.get("lesions") if isinstance(table, Mapping) else None
    if not isinstance(lesions, list) or not all(isinstance(lesion, Mapping) for lesion in lesions):
        raise ReportError(
            "The lesion table needs a list `lesions` of objects, as `segpet quantify --json` writes it."
        )
    return [_described(_measured(lesion, place), findings) for place, lesion in enumerate(lesions, start=1)]


def _described(lesion: Measured, findings: Sequence[Statement]) -> Measured:
    side, places, normal = lesion.side, list(lesion.places), lesion.normal
    before: tuple[Entity, ...] = ()
    for statement in findings:
        sites = statement.sites or before
        before = sites
        here = any(is_within(a, b) for site in sites for a in places_of(site) for b in lesion.places)
        is_its = lesion.has_suv(statement.suv_values)
        if statement.physiological and (is_its or (here and not statement.suvs)):
            normal = True
        if statement.denies or not is_its:
            continue
        at = next(n for n, (value, _) in enumerate(statement.suvs) if lesion.has_suv([value]))
        named = (statement.sites_of(at) if statement.sites else ()) or sites
        for site in named:
            if sides_agree(site.laterality, lesion.side):
                places += places_of(site)
                side = side or (site.laterality if len(named) == 1 else None)
    return replace(
        lesion,
        places=tuple(dict.fromkeys(places)),
        side=side,
        normal=normal,
        is_described=any(
            is_within(one, known) and one != known
            for one in places[len(lesion.places) :]
            for known in lesion.places
        ),
    )


def _measured(lesion: Mapping[str, Any], number: int) -> Measured:
    lexicon = default_lexicon()
    organ, text = lesion.get("organ"), str(lesion.get("site") or "")
    side = lesion.get("side")
    concept = lexicon.of_organ.get(organ) if isinstance(organ, str) else None
    places: tuple[str, ...] = (concept.id,) if concept else ()
    if concept is None:
        named = _sites_in(text)
        places = tuple(dict.fromkeys(entity.concept.id for entity in named))
        side = side or next((entity.laterality for entity in named if entity.laterality), None)
    side = side or (concept.side if concept else None)
    if lesion.get("relation") == "beside" or not organ:  # as lymph nodes are, which no organ map has
        places += tuple(node for place in places for node in nodes_beside(place))
    return Measured(
        id=lesion.get("id", number),
        places=places,
        side=side if side in ("left", "right", "bilateral") else None,
        numbers=numbers_of(lesion),
        text=text,
        normal=bool(lesion.get("normal_uptake")),
    )


@lru_cache(maxsize=4096)
def _sites_in(text: str) -> tuple[Entity, ...]:
    return tuple(entity for entity in find_entities(text) if entity.concept.kind == "anatomy")


def numbers_of(entry: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the numbers of a lesion or patient in the lesion table: kind and value."""
    return tuple(
        (kind, float(entry[key]))
        for key, kind in MEASURES.items()
        if isinstance(entry.get(key), int | float) and not isinstance(entry[key], bool)
    )


def sides_agree(one: Laterality | None, other: Laterality | None) -> bool:
    """Whether two sides can be the same place; an unknown one can be any."""
    return one is None or other is None or one == other or "bilateral" in (one, other)
