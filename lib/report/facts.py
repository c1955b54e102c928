"""What is known of a patient, place by place."""

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lib.report.agreement import Known, is_of_all, known_numbers
from lib.report.entities import Entity, Laterality
from lib.report.evidence import Measured, Statement, sides_agree
from lib.report.places import is_within, places_of
from lib.report.quantities import Quantity

HISTORY = re.compile(
    r"\b(?:status post|s/p|history|post-?\w*|after|prior|previous\w*|known)\b"
    r"|术后|病史|既往|治疗后|化疗后|放疗后",
    re.I,
)
_GENERIC = re.compile(r"lymph|nod(?:es?|al)|\b(?:left|right|bilateral|both)\b|淋巴结|[左右双两]侧?")
#: How our own findings name a lesion.
NUMBERED = re.compile(r"(?:\blesion|病灶)\s?(?P<number>\d{1,3})(?!\d|\.\d|\s?[个枚处])", re.I)
#: How our own findings begin the line of the organs that uptake is compared with.
_REFERENCES = re.compile(r"^(?:References:|参考：).*", re.I | re.M)
DECIMAL = re.compile(r"(?<![\d.])\d+\.\d+(?!\d|\.\d)")


@dataclass(frozen=True)
class SiteFact:
    """What is known of one place, from one lesion or one statement of the findings.

    A `reference` is what uptake is compared with: its numbers are known, but not that a lesion is there.
    """

    place: str
    side: Laterality | None
    denied: bool
    numbers: tuple[Known, ...]
    counts: tuple[Quantity, ...]
    reference: bool = False


class Evidence:
    """All that is known of a patient.

    Args:
        lesions: of the lesion table.
        findings: statements of the findings, in order.
        patient: numbers of the patient.
        written: the findings as they are.
    """

    def __init__(
        self,
        lesions: Sequence[Measured],
        findings: Sequence[Statement],
        patient: Sequence[Known] = (),
        written: str = "",
    ) -> None:
        self.lesions = [lesion for lesion in lesions if not lesion.normal]
        self.numbered = dict(enumerate(lesions, start=1)) if NUMBERED.search(written) else {}
        self.findings = findings
        self.facts = [
            SiteFact(place, lesion.side, False, lesion.numbers, ())
            for lesion in lesions
            for place in lesion.places
        ]
        compared = [match.span() for match in _REFERENCES.finditer(written)]
        before: tuple[Entity, ...] = ()
        for statement in findings:
            # A number in a sentence without a site is that of the sentence before.
            sites = statement.sites or before
            before = sites
            is_past = HISTORY.search(written, statement.start, statement.end) and not statement.quantities
            if is_past and not statement.denies:
                continue  # what was once there, or was taken out, is no lesion
            numbers = tuple(known_numbers(one for one in statement.quantities if one.kind != "count"))
            counts = tuple(one for one in statement.quantities if one.kind == "count")
            is_reference = any(start <= statement.start < end for start, end in compared)
            self.facts += [
                SiteFact(place, side_of(site), is_denied(statement, site), numbers, counts, is_reference)
                for site in sites
                for place in places_of(site)
            ]
        self.facts = list(dict.fromkeys(self.facts))
        totals = (one for said in findings for one in said.quantities if is_of_all(written, one))
        self.totals = [*patient, *known_numbers(totals)]
        self.numbers = [*patient, *(known for lesion in lesions for known in lesion.numbers)]
        self.numbers += known_numbers(one for statement in findings for one in statement.quantities)
        self.counts = [one for statement in findings for one in statement.quantities if one.kind == "count"]
        self.written = set(DECIMAL.findall(written))
        self.text = _REFERENCES.sub(lambda line: " " * len(line[0]), written).lower()

    @cached_property
    def of_lesions(self) -> "Evidence":
        """What is known without the organs that uptake is only compared with."""
        evidence = copy.copy(self)
        evidence.facts = [fact for fact in self.facts if not fact.reference]
        return evidence

    def writes(self, name: str) -> bool:
        """Whether the findings have a site's name, apart from words for nodes and sides, as it is."""
        core = _GENERIC.sub("", name.lower()).strip(" -")
        return len(core) > 1 and core in self.text

    def within(self, site: Entity) -> list[SiteFact]:
        """Return the facts at a site and at parts of it, on any side."""
        places = places_of(site)
        return [fact for fact in self.facts if any(is_within(fact.place, place) for place in places)]

    def about(self, site: Entity) -> list[SiteFact]:
        """Return the facts at a site, at parts of it, and at what it is a part of, on no other side."""
        return [
            fact
            for fact in self.facts
            if sides_agree(side_of(site), fact.side)
            and any(is_within(fact.place, one) or is_within(one, fact.place) for one in places_of(site))
        ]


def side_of(site: Entity) -> Laterality | None:
    """Return the side that a text or the concept gives."""
    return site.laterality or site.concept.side


def is_denied(statement: Statement, site: Entity) -> bool:
    """Whether a statement denies anything abnormal at a site."""
    return statement.denies or site.polarity == "negated"


def held(sites: Iterable[Entity], evidence: Evidence) -> list[Measured]:
    """Return the lesions that are at one of these sites, whatever is said of them."""
    sites = list(sites)
    return [lesion for lesion in evidence.lesions if any(holds(site, lesion) for site in sites)]


def holds(site: Entity, lesion: Measured) -> bool:
    """Whether a lesion is at a site, whatever is said of it."""
    return sides_agree(side_of(site), lesion.side) and any(
        is_within(place, wide) for place in lesion.places for wide in places_of(site)
    )
