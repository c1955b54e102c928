"""Which side of the body an entity is on: a site by the words beside it, a finding by its site."""

from collections.abc import Sequence
from typing import Literal

from lib.report.lexicon import Concept, Lexicon

Laterality = Literal["left", "right", "bilateral"]
Span = tuple[int, int]
SideWord = tuple[int, int, Laterality]

_SIDES: dict[str, Laterality] = {
    **dict.fromkeys(["left", "leftward", "l", "lt", "左"], "left"),
    **dict.fromkeys(["right", "rightward", "r", "rt", "右"], "right"),
    **dict.fromkeys(["bilateral", "bilaterally", "both", "neither", "either", "双", "两"], "bilateral"),
}
#: What may follow 两, which else counts, and 双, as may the names of all paired sites.
_PAIRED_ZH = frozenset("侧肺肾腋颈肩髂股乳膝肱锁耳眼下上腹肝额颞顶枕")
_AND = frozenset(["and", "及", "和", "/", "、", "or", "与", "&"])
_STOPS = frozenset(
    [
        *",;:.()[]、，及和与伴见但至",
        "and",
        "or",
        "with",
        "in",
        "on",
        "at",
        "to",
        "is",
        "are",
        "was",
        "were",
        "shows",
        "from",
        "by",
        "near",
        "no",
        "not",
        "into",
        "than",
        "per",
        "without",
    ]
)
#: What may stand between a site that is not paired and the side after it ("trachea, right side").
_LEADS: tuple[list[str], ...] = (["on", "the"], ["on"], [","], ["("], [])
_LISTING = frozenset([*",、，及和与或/&以", "and", "or", "as", "well", "the"])
_MORE_ON = frozenset("为著重显明多高大甚主")
#: Diseases of the whole body have no side.
_SYSTEMIC = ("lymphoma", "leukemia", "multiple_myeloma", "sarcoidosis", "vasculitis", "transformation")
#: Sites of no place of their own: on the side of the others beside them.
_ANYWHERE = ("lymph_node", "brown_fat", "bone", "soft_tissue")


def sides_of(words: Sequence[str], first: int, end: int, lexicon: Lexicon) -> list[SideWord]:
    """Return the words that name a side: first, end, side; "left and right" is both."""
    found: list[SideWord] = []
    both = _PAIRED_ZH | lexicon.paired_begins
    at = first
    while at < end:
        word, after = words[at], list(words[at + 1 : min(at + 3, end)])
        side = _SIDES.get(word)
        length = 2 if word in ("lt", "rt") and after[:1] == ["."] else 1
        if word == "b" and after == ["/", "l"]:
            side, length = "bilateral", 3
        elif (
            (word in ("双", "两") and not (after and after[0] in (both if word == "双" else _PAIRED_ZH)))
            or (
                side == "bilateral"
                and after[:1] == ["side"]
                and list(words[at + 2 : at + 5]) == ["of", "the", "diaphragm"]
            )
            or (word in ("l", "r") and after and after[0].isdecimal())
            or (word == "neither" and "nor" in words[at:end])
        ):
            side = None
        elif side in ("left", "right"):
            opposite = "left" if side == "right" else "right"
            if len(after) == 2 and after[0] in _AND and _SIDES.get(after[1]) == opposite:
                side, length = "bilateral", 3
            elif after and _SIDES.get(after[0]) == opposite:
                side, length = "bilateral", 2
            elif (words[at - 1] in ("以", ">", "<") and at > first) or after[:1] in ([">"], ["<"]):
                side = None
        if side:
            found.append((at, at + length, side))
        at += length if side else 1
    return found


def lateralities(
    words: Sequence[str],
    first: int,
    end: int,
    spans: Sequence[Span],
    concepts: Sequence[Concept],
    clauses: Sequence[int],
    parts: Sequence[int],
    lexicon: Lexicon,
) -> list[Laterality | None]:
    """Return the side of each entity of a sentence.

    Args:
        words: of the text.
        first: the sentence's first word.
        end: the word after its last.
        spans: first and end word of each entity, in order.
        concepts: what each is.
        clauses: the number of the clause of each.
        parts: the number of the part between semicolons.
        lexicon: knows which site is part of which.
    """
    sides = sides_of(words, first, end, lexicon)
    found: list[Laterality | None] = [concept.side for concept in concepts]
    used: set[int] = set()
    of_findings: set[int] = set()
    for index, (span, concept) in enumerate(zip(spans, concepts, strict=True)):
        floor = spans[index - 1][1] if index else first
        if found[index] is None and concept.kind in ("anatomy", "disease", "uptake"):
            found[index] = _before(
                words, sides, span, floor, used if concept.kind == "anatomy" else of_findings
            )
        if found[index] is None and concept.kind == "anatomy":
            found[index] = _of_same_side(words, spans, concepts, found, index, floor, lexicon)
    sites = [index for index, concept in enumerate(concepts) if concept.kind == "anatomy"]
    diseases = [index for index, concept in enumerate(concepts) if concept.kind == "disease"]
    taken = used if sites else used | of_findings  # 心包积液，左侧胸腔积液
    _after(words, end, sides, spans, concepts, found, sites or diseases, taken, of_findings)
    for index in reversed(sites):  # "the peripheral zone of the prostate", 前列腺右侧外周带
        later = index + 1
        if found[index] is None and later < len(spans) and concepts[later].kind == "anatomy" and found[later]:
            between = words[spans[index][1] : spans[later][0]]
            if len(between) <= 2 and all(word in ("左", "右", "双", "侧") for word in between):
                found[index] = found[later]
    for index, concept in enumerate(concepts):
        if found[index] is None and (concept.kind in ("disease", "uptake") or concept.id in _ANYWHERE):
            found[index] = _of_sites(index, sites, clauses, concepts, found, parts)
        wider = lexicon.wider(concept.id)
        if concept.kind in ("response", "stage") or any(one in wider for one in _SYSTEMIC):
            found[index] = None
    return found


def _before(
    words: Sequence[str], sides: Sequence[SideWord], span: Span, floor: int, used: set[int]
) -> Laterality | None:
    for first, end, side in reversed(sides):
        if span[0] <= first and end <= span[1]:
            used.add(first)
            return side
        if floor <= first and end <= span[0]:
            if span[0] - end > 5 or any(word in _STOPS for word in words[end : span[0]]):
                return None
            used.add(first)
            return side
    return None


def _of_same_side(
    words: Sequence[str],
    spans: Sequence[Span],
    concepts: Sequence[Concept],
    found: Sequence[Laterality | None],
    index: int,
    floor: int,
    lexicon: Lexicon,
) -> Laterality | None:
    """Return the side of a site that is listed after one with a side, or is part of it."""
    between = words[floor : spans[index][0]]
    earlier = [at for at in range(index) if concepts[at].kind in ("anatomy", "disease")]
    if "ipsilateral" in between or list(between[-2:]) == ["同", "侧"]:
        return next((found[at] for at in reversed(earlier) if found[at]), None)
    contralateral = "contralateral" in between or list(between[-2:]) == ["对", "侧"]
    if contralateral:
        known = next((found[at] for at in reversed(earlier) if found[at]), None)
        return {"left": "right", "right": "left"}.get(known or "")  # type: ignore[return-value]
    if not earlier:
        return None
    last = earlier[-1]
    if concepts[last].id.startswith("rib_") and concepts[index].id.startswith("rib_"):
        joining = _LISTING | {*",~～至到", "to", "through"}  # "right 3rd, 4th and 6th to 8th ribs"
    else:
        joining = _LISTING - {","}
    listed = last == index - 1 and joining.issuperset(between)
    if listed and concepts[index].paired and found[last]:
        return found[last]
    for at in reversed(earlier):
        mine, its = lexicon.wider(concepts[index].id), lexicon.wider(concepts[at].id)
        same = "bone" not in (concepts[at].id, concepts[index].id) and (
            concepts[at].id in mine or concepts[index].id in its
        )
        if same and found[at] and concepts[at].id != concepts[index].id:
            return found[at]
    if last == index - 1 and found[last] and not (set(between) - {"of", "the"}):
        return found[last]
    return None


def _after(
    words: Sequence[str],
    end: int,
    sides: Sequence[SideWord],
    spans: Sequence[Span],
    concepts: Sequence[Concept],
    found: list[Laterality | None],
    sites: Sequence[int],
    used: set[int],
    of_findings: set[int],
) -> None:
    """Give sides that stand before no entity to the paired site before: "hilar nodes (left)".

    To another site, or to a disease where there is no site ("effusion on the left"), only what directly
    follows it; that may be a finding's too: "气管右侧病灶".
    """
    for number, index in enumerate(sites):
        if found[index] is not None:
            continue
        begin = spans[index][1]
        ceiling = spans[sites[number + 1]][0] if number + 1 < len(sites) else end
        after = [one for one in sides if begin <= one[0] < ceiling and one[0] not in used]
        if concepts[index].paired:
            free = {side for first, _, side in after if first not in of_findings}
        else:
            free = {
                side
                for first, stop, side in after[:1]
                if (side != "bilateral" or list(words[stop : stop + 1]) == ["side"])
                and list(words[begin:first]) in _LEADS
                and (stop >= end or words[stop] in ("side", "侧") or words[stop] in _STOPS)
            }
        if free:
            found[index] = free.pop() if len(free) == 1 else "bilateral"


def _of_sites(
    index: int,
    sites: Sequence[int],
    clauses: Sequence[int],
    concepts: Sequence[Concept],
    found: Sequence[Laterality | None],
    parts: Sequence[int],
) -> Laterality | None:
    """Return the side of a finding's sites.

    They are those of its clause and of the bare lists that go on from it; else of the last clause before
    with any; else the side is that of the finding before.
    """
    clause = clauses[index]
    if not any(clauses[at] == clause for at in sites):
        before = [clauses[at] for at in sites if clauses[at] < clause]
        if not before:
            return next(
                (found[at] for at in range(index - 1, -1, -1) if found[at] and parts[at] == parts[index]),
                None,
            )
        clause = max(before)
    known = {found[at] for at in sites if clauses[at] == clause} - {None}
    if not known:
        busy = {clauses[at] for at, concept in enumerate(concepts) if concept.kind != "anatomy"}
        onward = clause + 1
        while not known and onward in clauses and onward not in busy:
            known = {found[at] for at in sites if clauses[at] == onward} - {None}
            onward += 1
    return "bilateral" if len(known) > 1 else next(iter(known), None)
