"""The sites, sides and denials of a statement, looked up in what is known."""

import re
from collections.abc import Iterable, Sequence

from lib.report.entities import Entity
from lib.report.evidence import UNINVOLVED, Statement, sides_agree
from lib.report.facts import HISTORY, Evidence, SiteFact, holds, side_of
from lib.report.language import Language
from lib.report.lexicon import default_lexicon
from lib.report.marks import MIRROR, Mark, says_side, with_side
from lib.report.omissions import speaks_of
from lib.report.places import is_node, is_vague, is_within, places_of
from lib.report.reasons import reason, side_words

_RECOMMENDS = re.compile(
    r"\b(?:recommend\w*|suggest\w*|advis\w+|consider|correlat\w+|follow|biopsy|mri|ultraso\w+)\b|建议|随访|复查|活检|进一步",
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
#: What is left of a clause that says of its sites that they are normal, and nothing else ("normal uptake").
_ALL_NORMAL = re.compile(r"(?:the|is|are|both|and|normal|unremarkable|\W|正常|均|和|及)*", re.I)
_NODAL = re.compile(r"\bnod(?:e|es|al)\b|lymph|淋巴结", re.I)
#: What stands before an organ that uptake is compared with.
_COMPARES = re.compile(
    r"\b(?:than|above|below|over|exceed\w*|like|equal|similar|versus|vs|compared|relative|references?)\b[^.;]*$"
    r"|(?:高于|低于|超过|相当于|接近|类似|与|较|比|参考)[^。；]*$",
    re.I,
)
_TNM_T = re.compile(r"T[0-4][a-d]?")
_VAGUE_PLACES = frozenset(["lymph_node", "body"])
#: Words for anything abnormal: whether they are affirmed says nothing apart from their site.
_LESIONS = frozenset(["lesion", "disease", "tumor", "mass", "nodule", "lymphadenopathy"])
#: Diagnoses that are lesions as well, so that a denial of the one denies the other.
_COMMON = _LESIONS | {"recurrence", "residual_disease", "malignancy", "metastasis"}
#: What a denial is limited by, so that it denies no more than what a text limits likewise.
_LIMITED = re.compile(
    _REST.pattern
    + r"|\b(?:distant|local|locoregional|regional|nodal|biochemical|second)\b|远处|局部|区域|生化|第二",
    re.I,
)
_IN_THE_PAST = re.compile(r"\b(?:history of|known|previous\w*|prior|treated)\b|病史|既往", re.I)
#: Uptake that belies "no uptake"; that which is mild or diffuse, as of an active bone marrow, may be usual.
_LESION_UPTAKE = frozenset(["increased_uptake", "intense_uptake", "moderate_uptake", "focal_uptake"])


def site_mark(
    text: str, site: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    """Return a mark on a site, or on its side, that no lesion and no finding has."""
    name = text[site.start : site.end]
    start, end = with_side(text, site)
    if statement.others and not _COMPARES.search(text, statement.start, site.start):
        evidence = evidence.of_lesions
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
        if not says_side(text, site, start, end) or any(map(is_vague, places_of(site))):
            return None
        return Mark(start, end, "side", reason("side", language, known=known))
    if any(_is_all_known(fact, site, evidence) for fact in evidence.facts):
        return None
    mirrored = _mirrored(site.concept.id)
    if mirrored and any(is_within(fact.place, mirrored) and not fact.denied for fact in evidence.facts):
        known = side_words({MIRROR[str(site.concept.side)]}, language)
        return Mark(start, end, "side", reason("side", language, known=known))
    if _RECOMMENDS.search(clause) or HISTORY.search(clause):
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


def denial_mark(
    text: str,
    denied: Sequence[Entity],
    statement: Statement,
    said: Sequence[Statement],
    evidence: Evidence,
    language: Language,
) -> Mark | None:
    """Return a mark where a site is denied that has a lesion of which nothing else in the text speaks."""
    clause = text[statement.start : statement.end]
    if _REST.search(clause) or not (
        _OF_LESIONS.search(clause) or UNINVOLVED.search(clause) or _is_all_normal(text, statement)
    ):
        return None
    nodal = bool(_NODAL.search(clause))
    spoken = [one for one in said if one is not statement and not one.denies]
    for lesion in evidence.lesions:
        if nodal and not any(map(is_node, lesion.places)):
            continue
        site = next((site for site in denied if holds(site, lesion)), None)
        if site is None or any(speaks_of(text, one, lesion, evidence.lesions) for one in spoken):
            continue
        name = text[site.start : site.end]
        why = reason("affirmed", language, site=name)
        return Mark(statement.start, statement.end, "polarity", why)
    found = None if evidence.lesions else _found_at(denied, statement, spoken, evidence, nodal)
    if found:
        why = reason("affirmed", language, site=text[found.start : found.end])
        return Mark(statement.start, statement.end, "polarity", why)
    for site in denied if UNINVOLVED.search(clause) else ():
        facts = [fact for fact in evidence.of_lesions.facts if fact.place in places_of(site)]
        if facts and not any(fact.denied for fact in facts) and not any(map(is_vague, places_of(site))):
            why = reason("affirmed", language, site=text[site.start : site.end])
            return Mark(statement.start, statement.end, "polarity", why)
    return None


def _is_all_normal(text: str, statement: Statement) -> bool:
    """Whether a clause says that its sites are normal, and nothing else."""
    rest, at = "", statement.start
    for site in statement.sites:
        rest, at = rest + text[at : site.start], max(at, site.end)
    return statement.own_sites and bool(_ALL_NORMAL.fullmatch(rest + text[at : statement.end]))


def _found_at(
    denied: Sequence[Entity],
    statement: Statement,
    spoken: Sequence[Statement],
    evidence: Evidence,
    nodal: bool,
) -> Entity | None:
    """Return the denied site at which the findings affirm a lesion that the text speaks of nowhere else."""
    if any(one.concept.kind == "disease" and not _is_common(one) for one in statement.others):
        return None  # a denial of a cyst or a thrombus, not of a lesion
    of_uptake = any(one.concept.kind == "uptake" for one in statement.others)
    for site in denied:
        if any(_related([site], one.sites) for one in spoken):
            continue
        if any(fact.denied and fact.place in places_of(site) for fact in evidence.about(site)):
            continue  # the findings deny something there too
        for known in evidence.findings:
            is_past = HISTORY.search(evidence.text, known.start, known.end)
            if (
                _affirms(known, of_uptake)
                and not is_past
                and any(_is_at(one, site, nodal) for one in known.sites)
            ):
                return site
    return None


def _affirms(known: Statement, of_uptake: bool) -> bool:
    """Whether a statement of the findings affirms a lesion, and denies nothing of it, as its uptake.

    Uptake alone is no lesion: it only belies a denial `of_uptake`.
    """
    lesions = [
        one for one in known.others if _is_common(one) or (of_uptake and one.concept.id in _LESION_UPTAKE)
    ]
    return (
        any(one.polarity == "affirmed" for one in lesions)
        and not (known.denies or known.physiological)
        and all(one.polarity != "negated" for one in known.others)
    )


def _is_common(disease: Entity) -> bool:
    return disease.concept.id in _COMMON or "metastasis" in default_lexicon().wider(disease.concept.id)


def _is_at(known: Entity, site: Entity, nodal: bool) -> bool:
    """Whether a site of the findings is the one of a text or a part of it, its side known."""
    side = side_of(site)
    return (
        known.polarity != "negated"
        and (side is None or side_of(known) in (side, "bilateral"))
        and (not nodal or any(map(is_node, places_of(known))))
        and any(is_within(a, b) for a in places_of(known) for b in places_of(site))
    )


def disease_mark(
    text: str, disease: Entity, statement: Statement, evidence: Evidence, language: Language
) -> Mark | None:
    """Return a mark on a disease that the findings deny, or that they affirm where it is denied.

    Words for anything abnormal that are diagnoses, as recurrence, are compared only where neither text nor
    findings name a site.
    """
    said = disease.polarity == "negated"
    if disease.concept.id in _LESIONS or (said and _REST.search(text, statement.start, statement.end)):
        return None
    of_all = disease.concept.id in _COMMON
    if of_all and (said or _in_part(statement) or _IN_THE_PAST.search(text, statement.start, statement.end)):
        return None
    known = [
        entity.polarity == "negated"
        for other in evidence.findings
        for entity in other.others
        if entity.concept.id == disease.concept.id
        and (
            not (_in_part(other) or _limits(evidence.text, other) - _limits(text, statement))
            if of_all and entity.polarity == "negated"
            else not (statement.sites and other.sites) or _related(statement.sites, other.sites)
        )
    ]
    if not known or said in known:
        return None
    name = disease.concept.name(language)
    what = "disease_affirmed" if said else "disease_denied"
    return Mark(statement.start, statement.end, "polarity", reason(what, language, site=name))


def _in_part(statement: Statement) -> bool:
    """Whether a statement is of a part of the body."""
    return any(site.concept.kind == "anatomy" for site in statement.sites)


def _limits(text: str, statement: Statement) -> set[str]:
    return {match.group().lower() for match in _LIMITED.finditer(text, statement.start, statement.end)}


def _related(some: Iterable[Entity], others: Sequence[Entity]) -> bool:
    return any(
        sides_agree(one.laterality, other.laterality)
        and any(is_within(a, b) or is_within(b, a) for a in places_of(one) for b in places_of(other))
        for one in some
        for other in others
    )


def _mirrored(concept: str) -> str | None:
    """Return the same concept of the other side, where the lexicon has one for each."""
    for side, other in MIRROR.items():
        swapped = concept.replace(f"_{side}", f"_{other}")
        if f"_{side}" in concept and swapped in default_lexicon().concepts:
            return swapped
    return None


def _is_all_known(fact: SiteFact, site: Entity, evidence: Evidence) -> bool:
    """Whether a site is in a place of which nothing narrower is known, as the apex of a prostate."""
    if fact.denied or is_vague(fact.place) or not sides_agree(side_of(site), fact.side):
        return False
    return all(is_within(place, fact.place) for place in places_of(site)) and not any(
        is_within(other.place, fact.place) and not is_within(fact.place, other.place)
        for other in evidence.facts
    )
