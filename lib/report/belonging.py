"""What belongs together in a sentence: a number and what it measures, a site and what is said of it."""

from collections.abc import Sequence

from lib.report.lexicon import Concept, Lexicon
from lib.report.polarity import Polarity
from lib.report.quantities import Quantity

Span = tuple[int, int]
_FINDINGS = ("disease", "uptake")
_RANK: tuple[Polarity, ...] = ("affirmed", "uncertain", "negated")


def owner(
    quantity: Quantity,
    text: str,
    places: Sequence[Span],
    concepts: Sequence[Concept],
    polarity: Sequence[Polarity],
    parts: Sequence[int],
    part: int,
    lexicon: Lexicon,
) -> int | None:
    """Return the index of the entity that a number belongs to.

    The lesion before it, else after it; else an uptake, else a site; of the same part of the sentence between
    semicolons. A count belongs to the lesion after it.

    Args:
        quantity: the number.
        text: the whole one.
        places: first and end character of each entity.
        concepts: what each is.
        polarity: of each; what is negated has no numbers.
        parts: which part of the sentence each is in.
        part: which one the number is in.
        lexicon: knows which disease is a lymphoma.
    """
    inside = [index for index in range(len(places)) if parts[index] == part]
    diseases = [
        index for index in inside if concepts[index].kind == "disease" and polarity[index] != "negated"
    ]
    responses = [
        index for index in inside if concepts[index].kind == "response" and concepts[index].id != "new_lesion"
    ]
    if quantity.kind == "deauville":
        local = [index for index in diseases if "lymphoma" not in lexicon.wider(concepts[index].id)]
        diseases = local or responses
    for group in (
        diseases,
        [index for index in inside if concepts[index].kind == "uptake" and polarity[index] != "negated"],
        [index for index in inside if concepts[index].kind == "anatomy"],
        inside,
    ):
        if group:
            return _nearest(quantity, text, places, group)
    return None


def _nearest(quantity: Quantity, text: str, places: Sequence[Span], group: Sequence[int]) -> int:
    # Also what lies over it: "4 L" of "Deauville 4 L3" is read as a place.
    before = [index for index in group if places[index][0] < quantity.end]
    after = [index for index in group if places[index][0] >= quantity.end]
    counts = quantity.kind == "count" and text[quantity.start] not in "x×"
    if after and (counts or _attributive(text, quantity.end, places[after[0]][0])):
        return after[0]
    return before[-1] if before else after[0]


def _attributive(text: str, end: int, start: int) -> bool:
    """Whether a number stands right before a noun: "a 12 mm hypermetabolic nodule"."""
    between = text[end:start]
    return (
        len(between) < 60
        and between[:1] in (" ", "-")
        and all(
            word.replace("-", "").isalpha()
            and word
            not in (
                "in",
                "of",
                "with",
                "and",
                "at",
                "on",
                "or",
                "to",
                "is",
                "are",
                "has",
                "vs",
                "from",
                "for",
            )
            for word in between.split()
        )
    )


def of_sites(
    concepts: Sequence[Concept], polarity: list[Polarity], clauses: Sequence[int], chinese: bool
) -> None:
    """Give each site the polarity of what is said of it: affirmed if anything is, else uncertain."""
    findings = [
        index
        for index, concept in enumerate(concepts)
        if concept.kind in _FINDINGS or concept.id == "new_lesion"  # "a new axillary node"
    ]
    with_sites = {clauses[index] for index, concept in enumerate(concepts) if concept.kind == "anatomy"}
    of_clause: dict[int, list[int]] = {}
    for index in findings:
        of_clause.setdefault(clauses[index], []).append(index)
    if not findings:
        return
    for index, concept in enumerate(concepts):
        if concept.kind != "anatomy":
            continue
        here = clauses[index]
        if here not in of_clause:
            earlier = [clause for clause in of_clause if clause < here]
            later = [clause for clause in of_clause if clause > here]
            here = (
                max(earlier)
                if earlier and not (chinese and later)
                else min(later, default=max(earlier, default=here))
            )
        said = list(of_clause[here])
        for clause in sorted(of_clause):
            if clause > here:
                if clause in with_sites:
                    break
                said += of_clause[clause]
        held = {polarity[at] for at in said}
        polarity[index] = next(one for one in _RANK if one in held)
