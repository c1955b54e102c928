"""What is known of a patient, from the lesion table and the findings, as statements that can be compared."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lib.report.entities import Entity, Laterality, find_entities
from lib.report.language import ReportError
from lib.report.lexicon import Lexicon, default_lexicon
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
_CLAUSE_END = re.compile(r"[,，：:](?!\d)|\b(?:but|while|whereas|however)\b|但|而")
_NORMAL = re.compile(
    r"\b(?:physiologic\w*|normal|unremarkable|within normal limits|negative|no longer|resolved|clear of)\b"
    r"|生理性|(?<!不)正常|未见|未发现|无明显|阴性",
    re.I,
)
_ABNORMAL = re.compile(r"\babnormal|异常", re.I)


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
    """

    start: int
    end: int
    sentence: int
    sites: tuple[Entity, ...]
    own_sites: bool
    others: tuple[Entity, ...]
    quantities: tuple[Quantity, ...]
    denies: bool


@dataclass(frozen=True)
class Measured:
    """A lesion of the lesion table.

    Args:
        id: as the table has it.
        concept: id of the concept of its site; None where that has no name.
        side: of the patient.
        numbers: kind of quantity and value, in mm, ml, g.
        text: its site in words.
        normal: it lies in normal uptake.
    """

    id: Any
    concept: str | None
    side: Laterality | None
    numbers: tuple[tuple[str, float], ...]
    text: str
    normal: bool


def read_statements(text: str) -> list[Statement]:
    """Return the clauses of a text."""
    entities, quantities = find_entities(text), find_quantities(text)
    found = []
    for number, (start, end) in enumerate(sentences(text)):
        before: tuple[Entity, ...] = ()
        for clause_start, clause_end in _clauses(text, start, end, entities):
            inside = [entity for entity in entities if clause_start <= entity.start < clause_end]
            own = tuple(entity for entity in inside if entity.concept.kind == "anatomy")
            others = tuple(entity for entity in inside if entity.concept.kind != "anatomy")
            clause = text[clause_start:clause_end]
            negated = any(entity.polarity == "negated" for entity in inside)
            normal = bool(_NORMAL.search(clause)) and not _ABNORMAL.search(clause)
            found.append(
                Statement(
                    clause_start,
                    clause_end,
                    number,
                    own or before,
                    bool(own),
                    others,
                    tuple(one for one in quantities if clause_start <= one.start < clause_end),
                    negated or normal,
                )
            )
            before = own or before
    return found


def _clauses(text: str, start: int, end: int, entities: Iterable[Entity]) -> list[tuple[int, int]]:
    """Return the parts of a sentence; what joins the words of an entity parts nothing, nor does a bracket."""
    within = [(entity.start, entity.end) for entity in entities]
    parts, at = [], start
    for match in _CLAUSE_END.finditer(text, start, end):
        if any(first < match.start() < last for first, last in within):
            continue
        opened = text.count("(", at, match.start()) + text.count("（", at, match.start())
        if opened > text.count(")", at, match.start()) + text.count("）", at, match.start()):
            continue
        parts.append((at, match.end()))
        at = match.end()
    return [*parts, (at, end)]


def measured_lesions(table: Mapping[str, Any] | None) -> list[Measured]:
    """Return the lesions of a lesion table as `lib.pet.lesion_table.lesion_table` makes it.

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
    return [_measured(lesion, place) for place, lesion in enumerate(lesions, start=1)]


def _measured(lesion: Mapping[str, Any], place: int) -> Measured:
    lexicon = default_lexicon()
    organ, text = lesion.get("organ"), str(lesion.get("site") or "")
    side = lesion.get("side")
    concept = lexicon.of_organ.get(organ) if isinstance(organ, str) else None
    if concept is None:
        named = [entity for entity in find_entities(text) if entity.concept.kind == "anatomy"]
        most = max(named, key=lambda entity: len(lexicon.wider(entity.concept.id)), default=None)
        concept = most.concept if most else None
        side = side or next((entity.laterality for entity in named if entity.laterality), None)
    side = side or (concept.side if concept else None)
    return Measured(
        id=lesion.get("id", place),
        concept=concept.id if concept else None,
        side=side if side in ("left", "right", "bilateral") else None,
        numbers=numbers_of(lesion),
        text=text,
        normal=bool(lesion.get("normal_uptake")),
    )


def numbers_of(entry: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the numbers of a lesion or patient in the lesion table: kind and value."""
    return tuple(
        (kind, float(entry[key]))
        for key, kind in MEASURES.items()
        if isinstance(entry.get(key), int | float) and not isinstance(entry[key], bool)
    )


def is_within(narrow: str, wide: str, lexicon: Lexicon | None = None) -> bool:
    """Whether a concept is another one, or a part or kind of it."""
    return wide in (lexicon or default_lexicon()).wider(narrow)


def sides_agree(one: Laterality | None, other: Laterality | None) -> bool:
    """Whether two sides can be the same place; an unknown one can be any."""
    return one is None or other is None or one == other or "bilateral" in (one, other)
