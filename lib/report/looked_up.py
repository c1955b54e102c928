"""One statement of a text, looked up in what is known."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lib.report.agreement import Known, known_numbers, same_kind, supported
from lib.report.entities import Entity, Laterality
from lib.report.evidence import Measured, Statement, sides_agree
from lib.report.language import Language
from lib.report.lexicon import default_lexicon
from lib.report.omissions import speaks_of
from lib.report.places import is_node, is_vague, is_within, narrowest, places_of
from lib.report.quantities import Quantity
from lib.report.reasons import reason, side_words

MarkKind = Literal["number", "site", "side", "count", "polarity"]

_SIDE_WORD = re.compile(r"\b(?:left|right|bilateral|both|l|r)\b|[左右双两]侧?", re.I)
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
    r"activity|expression|摄取|代谢|病灶|转移|恶性|肿瘤|复发|浸润|侵犯|受累|活性|浓聚|异常|表达|显像剂|累及|侵|癌|栓|结节|肿块|占位|thromb|cancer|carcinoma|mass|nodul|infiltrat|affected|invad|growth",
    re.I,
)
_ONLY_ONE = re.compile(r"\b(?:solitary|single|only one|the only)\b|单发|唯一|孤立", re.I)
_NODAL = re.compile(r"\bnod(?:e|es|al)\b|lymph|淋巴结", re.I)
_TNM_T = re.compile(r"T[0-4][a-d]?")
_GENERIC = re.compile(r"lymph|nod(?:es?|al)|\b(?:left|right|bilateral|both)\b|淋巴结|[左右双两]侧?")
_VAGUE_PLACES = frozenset(["lymph_node", "body"])
_DECIMAL = re.compile(r"(?<![\d.])\d+\.\d+(?!\d|\.\d)")
#: Words for anything abnormal: whether they are affirmed says nothing apart from their site.
_COMMON = frozenset(
    [
        "lesion",
        "disease",
        "recurrence",
        "tumor",
        "mass",
        "nodule",
        "malignancy",
        "metastasis",
        "lymphadenopathy",
    ]
)
_MIRROR: dict[str, Laterality] = {"left": "right", "right": "left"}


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
    """What is known of one place, from one lesion or one statement of the findings."""

    place: str
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
        self.findings = findings
        self.facts = [
            SiteFact(place, lesion.side, False, lesion.numbers, ())
            for lesion in lesions
            for place in lesion.places
        ]
        before: tuple[Entity, ...] = ()
        for statement in findings:
            # A number in a sentence without a site is that of the sentence before.
            sites = statement.sites or before
            before = sites
            is_past = _HISTORY.search(written, statement.start, statement.end) and not statement.quantities
            if is_past and not statement.denies:
                continue  # what was once there, or was taken out, is no lesion
            numbers = tuple(known_numbers(one for one in statement.quantities if one.kind != "count"))
            counts = tuple(one for one in statement.quantities if one.kind == "count")
            self.facts += [
                SiteFact(place, side_of(site), _denied(statement, site), numbers, counts)
                for site in sites
                for place in places_of(site)
            ]
        self.numbers = [*patient, *(known for lesion in lesions for known in lesion.numbers)]
        self.numbers += known_numbers(one for statement in findings for one in statement.quantities)
        self.counts = [one for statement in findings for one in statement.quantities if one.kind == "count"]
        self.written = set(_DECIMAL.findall(written))
        self.text = written.lower()

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


def _denied(statement: Statement, site: Entity) -> bool:
    return statement.denies or site.polarity == "negated"


def statement_marks(
    text: str, statement: Statement, said: Sequence[Statement], evidence: Evidence, language: Language
) -> tuple[list[Mark], int]:
    """Return what nothing supports in a statement, and how many things were looked up.

    Args:
        text: the statement's.
        statement: a clause of it.
        said: all of its clauses.
        evidence: what is known.
        language: of the reasons.
    """
    marks: list[Mark | None] = []
    for quantity in statement.quantities:
        if quantity.kind == "count":
            marks.append(_count_mark(text, quantity, statement, said, evidence, language))
        else:
            marks.append(_number_mark(text, quantity, statement, evidence, language))
    marks += _single_marks(text, statement, evidence, language)
    marks += _stray_marks(text, statement, evidence, language)
    if statement.own_sites:
        denied = [site for site in statement.sites if _denied(statement, site)]
        if denied:
            marks.append(_denial_mark(text, denied, statement, said, evidence, language))
        marks += [
            _site_mark(text, site, statement, evidence, language)
            for site in statement.sites
            if site not in denied
        ]
    for disease in statement.others:
        if disease.concept.kind == "disease":
            marks.append(_disease_mark(text, disease, statement, evidence, language))
    return [mark for mark in marks if mark], len(marks)


def _number_mark(
    text: str, said: Quantity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    written = text[said.start : said.end]
    if not supported(text, said, evidence.numbers):
        return Mark(said.start, said.end, "number", reason("number", language, said=written))
    owner = _owner(said, statement)
    if owner is None or said.kind not in ("suv_max", "suv"):
        return None
    measured = [lesion for lesion in evidence.lesions if lesion.has_suv(said.values or (said.low, said.high))]
    if len(measured) != 1:
        return None
    lesion, side = measured[0], side_of(owner)
    at_site = any(
        is_within(place, one) or is_within(one, place) for place in lesion.places for one in places_of(owner)
    )
    if at_site and side in _MIRROR and lesion.side == _MIRROR[side]:
        start, end = _with_side(text, owner)
        known = side_words({_MIRROR[side]}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    vague = any(is_vague(place) for place in places_of(owner)) or not lesion.places
    elsewhere = (
        not at_site
        and not vague
        and not any(
            same_kind(kind, said.kind) and supported(text, said, [(kind, value)])
            for fact in evidence.about(owner)
            for kind, value in fact.numbers
        )
    )
    if (
        elsewhere
        and statement.own_sites
        and len(statement.sites) == 1
        and any(fact.numbers for fact in evidence.about(owner))
    ):
        name = text[owner.start : owner.end]
        return Mark(
            said.start, said.end, "number", reason("number_elsewhere", language, said=written, site=name)
        )
    return None


def _owner(said: Quantity, statement: Statement) -> Entity | None:
    """Return the site in a number's clause that it follows, else the one that follows it."""
    if not statement.own_sites:
        return statement.sites[0] if len(statement.sites) == 1 else None
    before = [site for site in statement.sites if site.end <= said.start]
    return before[-1] if before else statement.sites[0]


def _count_mark(
    text: str,
    said: Quantity,
    statement: Statement,
    statements: Sequence[Statement],
    evidence: Evidence,
    language: Language,
) -> Mark | None:
    if said.low == said.high == 1 or text[max(0, said.start - 1) : said.start] in ("/", "-"):
        return None  # "one" is also a pronoun; what says that there is no other is looked at apart
    here = _held(statement.sites, evidence)
    known = {len(here), *(len(_held([site], evidence)) for site in statement.sites)} - {0}
    listed = [one for one in statements if one.sentence == statement.sentence]
    sites = {place for site in narrowest(statement.sites) for place in places_of(site)}
    ranges = [(float(n), float(n)) for n in known]
    ranges += [
        (one.low, one.high)
        for site in statement.sites
        for fact in evidence.about(site)
        for one in fact.counts
    ]
    if not ranges:
        ranges = [(float(len(evidence.lesions)),) * 2] if evidence.lesions else []
        ranges += [(one.low, one.high) for one in evidence.counts]
    in_sentence = len({lesion.id for one in listed for lesion in _held(one.sites, evidence)})
    allowed = [*ranges, (float(len(sites)),) * 2] if len(sites) > 1 else ranges
    if not statement.own_sites:
        allowed = [*allowed, (float(in_sentence),) * 2]
    if not ranges or any(low <= said.high and said.low <= high for low, high in allowed):
        return None
    words = ", ".join(sorted({f"{low:g}" if low == high else f"≥ {low:g}" for low, high in ranges}))
    return Mark(said.start, said.end, "count", reason("count", language, known=words))


def _single_marks(
    text: str, statement: Statement, evidence: Evidence, language: Language
) -> list[Mark | None]:
    """Return a mark on what says that a lesion is the only one of its site, where there are more."""
    if not statement.own_sites or statement.denies:
        return []
    marks: list[Mark | None] = []
    for match in _ONLY_ONE.finditer(text, statement.start, statement.end):
        held = [len(_held([site], evidence)) for site in statement.sites]
        if held and min(held) > 1:
            words = ", ".join(map(str, sorted(set(held))))
            marks.append(Mark(match.start(), match.end(), "count", reason("count", language, known=words)))
    return marks


def _stray_marks(
    text: str, statement: Statement, evidence: Evidence, language: Language
) -> list[Mark | None]:
    """Return marks on decimal numbers of no known meaning that are nowhere else."""
    inside = [(one.start, one.end) for one in statement.quantities]
    inside += [(one.start, one.end) for one in (*statement.others, *statement.sites)]
    marks: list[Mark | None] = []
    for match in _DECIMAL.finditer(text, statement.start, statement.end):
        if any(start < match.end() and match.start() < end for start, end in inside):
            continue
        value = float(match.group())
        is_suv = "suv" in text[statement.start : match.start()].lower()
        known = match.group() in evidence.written or any(
            abs(value - one) < 0.05 for kind, one in evidence.numbers if not is_suv or kind == "suv_max"
        )
        said = reason("number", language, said=match.group())
        marks.append(None if known else Mark(match.start(), match.end(), "number", said))
    return marks


def _site_mark(
    text: str, site: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    name = text[site.start : site.end]
    start, end = _with_side(text, site)
    at = evidence.within(site)
    supports = [fact for fact in at if not fact.denied]
    side = side_of(site)
    clause = text[statement.start : statement.end]
    if supports:
        sides = {fact.side for fact in supports if fact.side}
        agrees = (
            side is None or not sides or side in sides or "bilateral" in sides or sides == {"left", "right"}
        )
        if agrees:
            return None
        known = side_words({str(one) for one in sides}, language)
        if not _says_side(text, site, start, end) or any(map(is_vague, places_of(site))):
            return None
        return Mark(start, end, "side", reason("side", language, known=known))
    mirrored = _mirrored(site.concept.id)
    if mirrored and any(is_within(fact.place, mirrored) and not fact.denied for fact in evidence.facts):
        known = side_words({_MIRROR[str(site.concept.side)]}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    if _RECOMMENDS.search(clause) or _HISTORY.search(clause):
        return None
    is_plain = not _VAGUE_PLACES.intersection(places_of(site))
    if at and is_plain and (statement.others or _OF_LESIONS.search(clause)):
        return Mark(start, end, "polarity", reason("denied", language, site=name))
    is_diagnosis = site.concept.kind == "disease" and "metastasis" not in default_lexicon().wider(
        site.concept.id
    )
    if at or is_diagnosis or any(map(is_vague, places_of(site))) or evidence.writes(name):
        return None
    if _TNM_T.fullmatch(name) and text[max(0, site.start - 1) : site.start] in ("(", "（"):
        return None
    return Mark(start, end, "site", reason("site", language, site=name))


def _denial_mark(
    text: str,
    denied: Sequence[Entity],
    statement: Statement,
    said: Sequence[Statement],
    evidence: Evidence,
    language: Language,
) -> Mark | None:
    """Return a mark where a site is denied that has a lesion of which nothing else in the text speaks."""
    clause = text[statement.start : statement.end]
    if _REST.search(clause) or not _OF_LESIONS.search(clause):
        return None
    nodal = bool(_NODAL.search(clause))
    spoken = [one for one in said if one is not statement and not one.denies]
    for lesion in evidence.lesions:
        if nodal and not any(map(is_node, lesion.places)):
            continue
        site = next((site for site in denied if _holds(site, lesion)), None)
        if site is None or any(speaks_of(text, one, lesion, evidence.lesions) for one in spoken):
            continue
        name = text[site.start : site.end]
        why = reason("affirmed", language, site=name)
        return Mark(statement.start, statement.end, "polarity", why)
    return None


def _disease_mark(
    text: str, disease: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    said = disease.polarity == "negated"
    if disease.concept.id in _COMMON or (said and _REST.search(text, statement.start, statement.end)):
        return None
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
        sides_agree(one.laterality, other.laterality)
        and any(is_within(a, b) or is_within(b, a) for a in places_of(one) for b in places_of(other))
        for one in some
        for other in others
    )


def _held(sites: Iterable[Entity], evidence: Evidence) -> list[Measured]:
    sites = list(sites)
    return [lesion for lesion in evidence.lesions if any(_holds(site, lesion) for site in sites)]


def _holds(site: Entity, lesion: Measured) -> bool:
    """Whether a lesion is at a site, whatever is said of it."""
    return sides_agree(side_of(site), lesion.side) and any(
        is_within(place, wide) for place in lesion.places for wide in places_of(site)
    )


def _mirrored(concept: str) -> str | None:
    """Return the same concept of the other side, where the lexicon has one for each."""
    for side, other in _MIRROR.items():
        swapped = concept.replace(f"_{side}", f"_{other}")
        if f"_{side}" in concept and swapped in default_lexicon().concepts:
            return swapped
    return None


def _says_side(text: str, site: Entity, start: int, end: int) -> bool:
    """Whether the words at a site say the side that it was read to have; it may come from far away."""
    if site.concept.side:
        return True
    words = {match.group().lower() for match in _SIDE_WORD.finditer(text, start, end)}
    return any(_SIDES_SAID.get(word[0]) == site.laterality for word in words)


def _with_side(text: str, site: Entity) -> tuple[int, int]:
    """Return a site's characters, with the word for its side where one stands near."""
    if site.laterality is None:
        return site.start, site.end
    before = max(0, site.start - _SIDE_REACH)
    for match in reversed(list(_SIDE_WORD.finditer(text, before, site.end))):
        return min(match.start(), site.start), site.end
    after = _SIDE_WORD.search(text, site.end, site.end + _SIDE_REACH)
    return (site.start, after.end()) if after else (site.start, site.end)
