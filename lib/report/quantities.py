"""Numbers of a report: SUV, size, volume, count, Deauville, percent, with their units and ranges."""

from dataclasses import dataclass
from typing import Literal

QuantityKind = Literal[
    "suv_max", "suv_mean", "suv_peak", "suv", "size", "volume", "tlg", "count", "deauville", "percent"
]
Unit = Literal["g/mL", "mm", "ml", "g", "%"]


@dataclass(frozen=True)
class Quantity:
    """A number of a text, or several that belong together ("2.1 x 1.8 cm", "SUVmax 3.2-5.4").

    Args:
        kind: what is measured.
        low: the least of the numbers, in `unit`; 0 of "less than 5".
        high: the greatest; infinite of "more than 5".
        unit: None of a count and a Deauville score.
        start: first character of the number.
        end: the character after the number and its unit.
        values: the numbers as written, in `unit`.
    """

    kind: QuantityKind
    low: float
    high: float
    unit: Unit | None
    start: int
    end: int
    values: tuple[float, ...] = ()


def find_quantities(text: str) -> list[Quantity]:
    """Return all numbers of a text with a known meaning, in their order."""
    raise NotImplementedError
