"""One statement of a text, looked up in what is known."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lib.report.agreement import Known, known_numbers, same_kind, supported
from lib.report.entities import Entity, Laterality
from lib.report.evidence import Measured, Statement, is_within, sides_agree
from lib.report.language import Language
from lib.report.lexicon import default_lexicon
from lib.report.quantities import Quantity
from lib.report.reasons import reason, side_words

MarkKind = Literal["number", "site", "side", "count", "polarity"]

_SIDE_WORD = re.compile(r"\b(?:left|right|bilateral|both|l|r)\b|[左右双两]侧?", re.I)
#: How far from a site the word for its side may stand, in characters.
_SIDE_REACH = 24
_RECOMMENDS = re.compile(
    r"\b(?:recommend\w*|suggest\w*|advis\w+|consider|correlat\w+|follow|biopsy|mri|ultraso\w+)\b|建议|随访|复查|活检|进一步",
    re.I,
)
_HISTORY = re.compile(
    r"\b(?:status post|s/p|history|post-?\w*|after|prior|previous\w*|known)\b"
    r"|术后|病史|既往|治疗后|化疗后|放疗后",
    re.I,
)
_REST = re.compile(
    r"\b(?:other|otherwise|else|elsewhere|additional|further|new|remaining|remainder|rest)\b|其余|其他|其它|另|余|新发|新增|更多",
    re.I,
)
_OF_LESIONS = re.compile(
    r"uptake|avid|hypermetabol|lesion|metasta|malignan|tumou?r|neoplas|disease|recurren|lymphoma|involve|deposit|"
    r"activity|expression|摄取|代谢|病灶|转移|恶性|肿瘤|复发|浸润|侵犯|受累|活性|浓聚|异常|表达|显像剂",
    re.I,
)
_MIRROR = {"left": "right", "right": "left"}


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


@dataclass(frozen=True)
class SiteFact:
    """What is known of one site, from one lesion or one statement of the findings."""

    concept: str
    side: Laterality | None
    denied: bool
    numbers: tuple[Known, ...]
    counts: tuple[Quantity, ...]


class Evidence:
    """All that is known of a patient.

    Args:
        lesions: of the lesion table.
        findings: statements of the findings, in order.
        patient: numbers of the patient.
    """

    def __init__(
        self, lesions: Sequence[Measured], findings: Sequence[Statement], patient: Sequence[Known] = ()
    ) -> None:
        self.lesions = [lesion for lesion in lesions if not lesion.normal]
        self.findings = findings
        self.facts = [
            SiteFact(lesion.concept, lesion.side, False, lesion.numbers, ())
            for lesion in lesions
            if lesion.concept
        ]
        before: tuple[Entity, ...] = ()
        for statement in findings:
            # A number in a sentence without a site is that of the sentence before.
            sites = statement.sites or before
            before = sites
            numbers = tuple(known_numbers(one for one in statement.quantities if one.kind != "count"))
            counts = tuple(one for one in statement.quantities if one.kind == "count")
            self.facts += [
                SiteFact(
                    site.concept.id,
                    site.laterality or site.concept.side,
                    statement.denies or site.polarity == "negated",
                    numbers,
                    counts,
                )
                for site in sites
            ]
        self.numbers = [*patient, *(known for lesion in lesions for known in lesion.numbers)]
        self.numbers += known_numbers(one for statement in findings for one in statement.quantities)
        self.counts = [one for statement in findings for one in statement.quantities if one.kind == "count"]

    def about(self, sites: Iterable[Entity], any_side: bool = False) -> list[SiteFact]:
        """Return the facts at these sites, at parts of them, and at what they are parts of."""
        return [
            fact
            for fact in self.facts
            if any(
                (is_within(fact.concept, site.concept.id) or is_within(site.concept.id, fact.concept))
                and (any_side or sides_agree(site.laterality or site.concept.side, fact.side))
                for site in sites
            )
        ]


def statement_marks(
    text: str, statement: Statement, sites: Sequence[Entity], evidence: Evidence, language: Language
) -> tuple[list[Mark], int]:
    """Return what nothing supports in a statement, and how many things were looked up.

    Args:
        text: the statement's.
        statement: a clause of it.
        sites: the anatomy of its sentence.
        evidence: what is known.
        language: of the reasons.
    """
    marks: list[Mark | None] = []
    for quantity in statement.quantities:
        if quantity.kind == "count":
            marks.append(_count_mark(quantity, statement, evidence, language))
        else:
            marks.append(_number_mark(text, quantity, sites, evidence, language))
    if statement.own_sites:
        if statement.denies:
            marks.append(_denial_mark(text, statement, evidence, language))
        else:
            marks += [_site_mark(text, site, statement, evidence, language) for site in statement.sites]
    for disease in statement.others:
        if disease.concept.kind == "disease":
            marks.append(_disease_mark(disease, statement, evidence, language))
    return [mark for mark in marks if mark], len(marks)


def _number_mark(
    text: str, said: Quantity, sites: Sequence[Entity], evidence: Evidence, language: Language
) -> Mark | None:
    written = text[said.start : said.end]
    here = [known for fact in evidence.about(sites) for known in fact.numbers]
    if supported(text, said, here):
        return None
    if not supported(text, said, evidence.numbers):
        return Mark(said.start, said.end, "number", reason("number", language, said=written))
    if not any(same_kind(kind, said.kind) for kind, _ in here):
        return None
    other_side = [known for fact in evidence.about(sites, any_side=True) for known in fact.numbers]
    site = min(sites, key=lambda one: abs(one.start - said.start))
    if supported(text, said, other_side) and site.laterality in _MIRROR:
        start, end = _with_side(text, site)
        known = side_words({_MIRROR[site.laterality]}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    name = text[site.start : site.end]
    return Mark(said.start, said.end, "number", reason("number_elsewhere", language, said=written, site=name))


def _count_mark(said: Quantity, statement: Statement, evidence: Evidence, language: Language) -> Mark | None:
    here = [len([one for one in evidence.lesions if _holds(site, one)]) for site in statement.sites]
    together = len([one for one in evidence.lesions if any(_holds(site, one) for site in statement.sites)])
    counts = [count for fact in evidence.about(statement.sites) for count in fact.counts]
    known = [(n, n) for n in (*here, together) if n] + [(int(one.low), one.high) for one in counts]
    if not known:
        known = [(len(evidence.lesions), len(evidence.lesions))] if evidence.lesions else []
        known += [(int(one.low), one.high) for one in evidence.counts]
    if not known or any(low <= said.high and said.low <= high for low, high in known):
        return None
    words = ", ".join(sorted({str(low) if low == high else f"≥ {low}" for low, high in known}))
    return Mark(said.start, said.end, "count", reason("count", language, known=words))


def _site_mark(
    text: str, site: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    if site.polarity == "negated":
        return None
    name = text[site.start : site.end]
    start, end = _with_side(text, site)
    at = [fact for fact in evidence.facts if is_within(fact.concept, site.concept.id)]
    supports = [fact for fact in at if not fact.denied]
    side = site.laterality or site.concept.side
    if supports:
        sides = {fact.side for fact in supports if fact.side}
        agrees = (
            side is None or not sides or side in sides or "bilateral" in sides or sides == {"left", "right"}
        )
        if agrees:
            return None
        known = side_words({str(one) for one in sides}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    mirrored = _mirrored(site.concept.id)
    if mirrored and any(is_within(fact.concept, mirrored) and not fact.denied for fact in evidence.facts):
        known = side_words({_MIRROR[str(site.concept.side)]}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    clause = text[statement.start : statement.end]
    if not site.concept.broader or _RECOMMENDS.search(clause) or _HISTORY.search(clause):
        return None
    if at:
        return Mark(start, end, "polarity", reason("denied", language, site=name))
    return Mark(start, end, "site", reason("site", language, site=name))


def _denial_mark(text: str, statement: Statement, evidence: Evidence, language: Language) -> Mark | None:
    clause = text[statement.start : statement.end]
    if _REST.search(clause) or not _OF_LESIONS.search(clause):
        return None
    nodes = (
        [site for site in statement.sites if is_within(site.concept.id, "lymph_node")] if _has_nodes() else []
    )
    among = nodes or statement.sites
    denied = {fact.concept for fact in evidence.facts if fact.denied}
    for site in among:
        if any(_holds(site, lesion) and lesion.concept not in denied for lesion in evidence.lesions):
            return Mark(
                statement.start,
                statement.end,
                "polarity",
                reason("affirmed", language, site=text[site.start : site.end]),
            )
    return None


def _disease_mark(
    disease: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    said = disease.polarity == "negated"
    known = [
        entity.polarity == "negated"
        for other in evidence.findings
        if not (statement.sites and other.sites) or _related(statement.sites, other.sites)
        for entity in other.others
        if entity.concept.id == disease.concept.id
    ]
    if not known or said in known:
        return None
    name = disease.concept.name(language)
    what = "disease_affirmed" if said else "disease_denied"
    return Mark(statement.start, statement.end, "polarity", reason(what, language, site=name))


def _related(some: Iterable[Entity], others: Sequence[Entity]) -> bool:
    return any(
        (is_within(one.concept.id, other.concept.id) or is_within(other.concept.id, one.concept.id))
        and sides_agree(one.laterality, other.laterality)
        for one in some
        for other in others
    )


def _holds(site: Entity, lesion: Measured) -> bool:
    side = site.laterality or site.concept.side
    return (
        bool(lesion.concept)
        and is_within(str(lesion.concept), site.concept.id)
        and sides_agree(side, lesion.side)
    )


def _mirrored(concept: str) -> str | None:
    """Return the same concept of the other side, where the lexicon has one for each."""
    for side, other in _MIRROR.items():
        if f"_{side}" in concept and (swapped := concept.replace(f"_{side}", f"_{other}")) in _concepts():
            return swapped
    return None


def _concepts() -> Iterable[str]:
    return default_lexicon().concepts.keys()


def _has_nodes() -> bool:
    return "lymph_node" in _concepts()


def _with_side(text: str, site: Entity) -> tuple[int, int]:
    """Return a site's characters, with the word for its side where one stands near."""
    if site.laterality is None:
        return site.start, site.end
    before = max(0, site.start - _SIDE_REACH)
    for match in reversed(list(_SIDE_WORD.finditer(text, before, site.end))):
        return min(match.start(), site.start), site.end
    after = _SIDE_WORD.search(text, site.end, site.end + _SIDE_REACH)
    return (site.start, after.end()) if after else (site.start, site.end)
