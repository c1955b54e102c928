"""How true a generated text is: what it covers of the reader's, and what nothing supports."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lib.report.entities import Entity, Quantity

#: Two numbers agree when they differ by no more than this share of the greater.
TOLERANCE = 0.05


@dataclass(frozen=True)
class EntityCounts:
    """What ECR, UER and FCR are made of, in concepts; sums over reports give the corpus's micro averages.

    Args:
        reference: concepts of the reference, |E(ref)|.
        covered: those that the hypothesis has too.
        hypothesis: concepts of the hypothesis, |E(hyp)|.
        unsupported: those that neither reference nor findings have.
        shared: those that reference or findings have.
        consistent: the shared ones whose laterality, polarity and quantities agree.
    """

    reference: int
    covered: int
    hypothesis: int
    unsupported: int
    shared: int
    consistent: int

    @property
    def ecr(self) -> float:
        """Entity coverage rate; NaN where the reference has no concept."""
        return share(self.covered, self.reference)

    @property
    def uer(self) -> float:
        """Unsupported entity rate; NaN where the hypothesis has no concept."""
        return share(self.unsupported, self.hypothesis)

    @property
    def fcr(self) -> float:
        """Factual consistency rate; NaN where no concept is shared."""
        return share(self.consistent, self.shared)


@dataclass(frozen=True)
class Comparison:
    """A hypothesis beside its reference and findings.

    Args:
        counts: in concepts.
        covered: entities of the reference whose concept the hypothesis has.
        uncovered: the others.
        unsupported: entities of the hypothesis whose concept nothing supports.
        inconsistent: entities of the hypothesis that differ in side, polarity or a number.
    """

    counts: EntityCounts
    covered: tuple[Entity, ...]
    uncovered: tuple[Entity, ...]
    unsupported: tuple[Entity, ...]
    inconsistent: tuple[Entity, ...]


def compare(
    hypothesis: Sequence[Entity], reference: Sequence[Entity], findings: Sequence[Entity]
) -> Comparison:
    """Compare the entities of three texts.

    A concept is consistent when each of its mentions in the hypothesis has a mention of it in reference or
    findings with the same laterality and polarity, and each number of it has one of the same kind within
    5 % at a mention of it there. A number that the hypothesis leaves out is no disagreement.
    """
    known = _by_concept([*reference, *findings])
    said, wanted = _by_concept(hypothesis), _by_concept(reference)
    inconsistent = tuple(
        entity
        for entity in hypothesis
        if entity.concept.id in known and not _agrees(entity, known[entity.concept.id])
    )
    shared = said.keys() & known.keys()
    counts = EntityCounts(
        reference=len(wanted),
        covered=len(wanted.keys() & said.keys()),
        hypothesis=len(said),
        unsupported=len(said.keys() - known.keys()),
        shared=len(shared),
        consistent=len(shared - {entity.concept.id for entity in inconsistent}),
    )
    return Comparison(
        counts=counts,
        covered=tuple(entity for entity in reference if entity.concept.id in said),
        uncovered=tuple(entity for entity in reference if entity.concept.id not in said),
        unsupported=tuple(entity for entity in hypothesis if entity.concept.id not in known),
        inconsistent=inconsistent,
    )


def share(part: float, whole: float) -> float:
    """Return part / whole; NaN where 0 / 0."""
    return part / whole if whole else float("nan")


def same_quantity(one: Quantity, other: Quantity, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers measure the same and agree within a tolerance at both ends."""
    return (
        one.kind == other.kind
        and _close(one.low, other.low, tolerance)
        and _close(one.high, other.high, tolerance)
    )


def _agrees(entity: Entity, supports: Iterable[Entity]) -> bool:
    supports = list(supports)
    known = [quantity for support in supports for quantity in support.quantities]
    alike = any(
        support.laterality == entity.laterality and support.polarity == entity.polarity
        for support in supports
    )
    return alike and all(any(same_quantity(said, one) for one in known) for said in entity.quantities)


def _close(one: float, other: float, tolerance: float) -> bool:
    return one == other or abs(one - other) <= tolerance * max(abs(one), abs(other)) < float("inf")


def _by_concept(entities: Iterable[Entity]) -> dict[str, list[Entity]]:
    found: dict[str, list[Entity]] = defaultdict(list)
    for entity in entities:
        found[entity.concept.id].append(entity)
    return dict(found)
