"""The numbers and counts of a statement, looked up in what is known."""

import re
from collections.abc import Sequence

from lib.report.agreement import is_of_all, same_kind, supported
from lib.report.entities import Entity
from lib.report.evidence import Measured, Statement
from lib.report.facts import DECIMAL, NUMBERED, Evidence, held, side_of
from lib.report.language import Language
from lib.report.marks import MIRROR, Mark, lone_side, side_said, with_side
from lib.report.places import is_vague, is_within, narrowest, places_of
from lib.report.quantities import Quantity
from lib.report.reasons import reason, side_words

_ONLY_ONE = re.compile(r"\b(?:solitary|single|only one|the only)\b|单发|唯一|孤立", re.I)
#: How far a site may stand from the count of its lesions.
_COUNT_REACH = 14
#: What follows a lesion's number that is none of its measures ("lesion 12 mm").
_NAME_ENDS = re.compile(
    r"\s?(?:$|[:：,，。;；)）\n]|\.(?!\d)|(?:at|in|beside|within|of|is|has|shows)\b|位于)"
)
_OPENS = re.compile(r"[:：(（]")
#: What may stand between a site and the SUV of the clause after it; "up to" is of a list.
_DIRECTLY = re.compile(
    r"(?: (?:lesion|metastasis|node|nodule|mass)|病灶|转移灶?|结节|肿块)?(?:\s?[(（][^()（）]*[)）])?"
    r"[\s,，;；:：)）]+"
    r"(?:with (?:an? )?)?(?:(?:maxim\w+ )?SUV[\s_-]?(?:max)?|最大SUV值?)?(?: (?:of|is|was))?[\s:：=为约]*",
    re.I,
)
_TOGETHER = re.compile(r"共|总|计|及|和|total|and", re.I)


def number_mark(
    text: str,
    said: Quantity,
    statement: Statement,
    statements: Sequence[Statement],
    evidence: Evidence,
    language: Language,
) -> Mark | None:
    """Return a mark on a number that is nowhere else, or on the site that it does not belong to."""
    written = text[said.start : said.end]
    is_total = is_of_all(text, said) and any(same_kind(kind, said.kind) for kind, _ in evidence.totals)
    if not supported(text, said, evidence.totals if is_total else evidence.numbers):
        return Mark(said.start, said.end, "number", reason("number", language, said=written))
    named = _named(text, said, evidence)
    if (
        named
        and not supported(text, said, named[1].numbers)
        and any(same_kind(kind, said.kind) for kind, _ in named[1].numbers)
    ):
        why = reason("number_of_another", language, said=written, site=named[0])
        return Mark(said.start, said.end, "number", why)
    measured = [lesion for lesion in evidence.lesions if lesion.has_suv(said.values or (said.low, said.high))]
    if len(measured) != 1 or said.kind not in ("suv_max", "suv"):
        return None
    lesion = measured[0]
    clause_side = lone_side(text, statement)
    if clause_side and lesion.side == MIRROR[str(side_said(clause_side[0]))]:
        known = side_words({str(lesion.side)}, language)
        return Mark(*clause_side[1], "side", reason("side", language, known=known))
    directly = _site_before(text, said, statement, statements)
    owner = directly or _owner(said, statement)
    if owner is None:
        return None
    side = side_of(owner)
    at_site = any(
        is_within(place, one) or is_within(one, place) for place in lesion.places for one in places_of(owner)
    )
    if at_site and side in MIRROR and lesion.side == MIRROR[side]:
        start, end = with_side(text, owner)
        known = side_words({MIRROR[side]}, language)
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
        and (directly or (statement.own_sites and len(statement.sites) == 1))
        and len(statement.suvs) == 1
        and any(fact.numbers for fact in evidence.about(owner))
    ):
        name = text[owner.start : owner.end]
        return Mark(
            said.start, said.end, "number", reason("number_elsewhere", language, said=written, site=name)
        )
    return None


def _named(text: str, said: Quantity, evidence: Evidence) -> tuple[str, Measured] | None:
    """Return the lesion that a number's sentence names by its number, where the findings number them so."""
    begin = max(text.rfind(end, 0, said.start) for end in ("\n", "。", ". "))
    names = list(NUMBERED.finditer(text, begin + 1, said.start))
    lesion = evidence.numbered.get(int(names[-1]["number"])) if names else None
    return (names[-1].group(), lesion) if lesion else None


def lesion_marks(text: str, evidence: Evidence, language: Language) -> list[Mark]:
    """Return marks on lesions that are named by a number which none has, where the findings number them."""
    return [
        Mark(*name.span(), "number", reason("no_such_lesion", language, said=name.group()))
        for name in NUMBERED.finditer(text)
        if evidence.numbered
        and int(name["number"]) not in evidence.numbered
        and _NAME_ENDS.match(text, name.end())
    ]


def _site_before(
    text: str, said: Quantity, statement: Statement, statements: Sequence[Statement]
) -> Entity | None:
    """Return the site of the clause before that a number directly follows: "T4 vertebra, SUVmax 5.8".

    A semicolon may part them. There is none where several sites share the number, nor where numbers stand
    before their sites.
    """
    if statement.own_sites:
        return None
    parts = (statement.sentence, statement.sentence - 1)
    before = [one for one in statements if one.sentence in parts and one.end <= said.start]
    last = max((at for one in before for _, at in one.suvs), default=-1)
    sites = [site for one in before if one.own_sites for site in one.sites]
    if not sites or any(at < sites[0].start for one in before for _, at in one.suvs):
        return None
    since = narrowest(text, [site for site in sites if site.start > last])
    is_one = len(since) == 1 and _DIRECTLY.fullmatch(text, since[0].end, said.start)
    return since[0] if is_one else None


def _owner(said: Quantity, statement: Statement) -> Entity | None:
    """Return the site in a number's clause that it follows, else the one that follows it."""
    if not statement.own_sites:
        return statement.sites[0] if len(statement.sites) == 1 else None
    before = [site for site in statement.sites if site.end <= said.start]
    return before[-1] if before else statement.sites[0]


def count_mark(
    text: str,
    said: Quantity,
    statement: Statement,
    statements: Sequence[Statement],
    evidence: Evidence,
    language: Language,
) -> Mark | None:
    """Return a mark on a count that neither table nor findings have for its sites."""
    if said.low == said.high == 1 or text[max(0, said.start - 1) : said.start] in ("/", "-"):
        return None  # "one" is also a pronoun; what says that there is no other is looked at apart
    counted = _counted(text, said, statement)
    here = held(counted, evidence)
    known = {len(here), *(len(held([site], evidence)) for site in counted)} - {0}
    listed = [one for one in statements if one.sentence == statement.sentence]
    sites = {place for site in narrowest(text, counted) for place in places_of(site)}
    ranges = [(float(n), float(n)) for n in known]
    ranges += [
        (one.low, one.high) for site in counted for fact in evidence.about(site) for one in fact.counts
    ]
    if not ranges:
        ranges = [(float(len(evidence.lesions)),) * 2] if evidence.lesions else []
        ranges += [(one.low, one.high) for one in evidence.counts]
    in_sentence = len({lesion.id for one in listed for lesion in held(one.sites, evidence)})
    allowed = [*ranges, (float(len(sites)),) * 2] if len(sites) > 1 else ranges
    if not statement.own_sites:
        allowed = [*allowed, (float(in_sentence),) * 2]
    if not ranges or any(low <= said.high and said.low <= high for low, high in allowed):
        return None
    words = ", ".join(sorted({f"{low:g}" if low == high else f"≥ {low:g}" for low, high in ranges}))
    return Mark(said.start, said.end, "count", reason("count", language, known=words))


def _counted(text: str, said: Quantity, statement: Statement) -> Sequence[Entity]:
    """Return the sites of what a count counts ("two splenic deposits", "胸膜转移（4枚结节）"), else all."""
    following = [
        site
        for site in statement.sites
        if 0 <= site.start - said.end <= _COUNT_REACH and not _OPENS.search(text, said.end, site.start)
    ]
    if following:
        return following[:1]
    before = [site for site in statement.sites if site.end <= said.start]
    near = before and not _TOGETHER.search(text, before[-1].end, said.start + 1)
    if near and said.start - before[-1].end <= _COUNT_REACH and "、" not in text[before[0].end : said.start]:
        return before[-1:]
    return statement.sites


def single_marks(
    text: str, statement: Statement, evidence: Evidence, language: Language
) -> list[Mark | None]:
    """Return a mark on what says that a lesion is the only one of its site, where there are more."""
    if not statement.own_sites or statement.denies:
        return []
    marks: list[Mark | None] = []
    for match in _ONLY_ONE.finditer(text, statement.start, statement.end):
        there = [len(held([site], evidence)) for site in statement.sites]
        if there and min(there) > 1:
            words = ", ".join(map(str, sorted(set(there))))
            marks.append(Mark(match.start(), match.end(), "count", reason("count", language, known=words)))
    return marks


def stray_marks(text: str, statement: Statement, evidence: Evidence, language: Language) -> list[Mark | None]:
    """Return marks on decimal numbers of no known meaning that are nowhere else."""
    inside = [(one.start, one.end) for one in statement.quantities]
    inside += [(one.start, one.end) for one in (*statement.others, *statement.sites)]
    marks: list[Mark | None] = []
    for match in DECIMAL.finditer(text, statement.start, statement.end):
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
