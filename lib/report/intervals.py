"""Values of a corpus from sums over its texts, with the interval in which they lie."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
#: Resamples made at a time, so that memory does not grow with their number.
_AT_ONCE = 100

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where it has none.

    Args:
        value: of all texts.
        low: lower end of the interval; NaN for fewer than two texts.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | list[float] | None]:
        """Return what JSON can hold: `value` and `ci95`, None where there is none."""
        known = self.low == self.low
        return {
            "value": self.value if self.value == self.value else None,
            "ci95": [self.low, self.high] if known else None,
        }


def bootstrap(rows: Rows, statistic: Callable[[Rows], Rows], seed: int = 0) -> Estimate:
    """Return a statistic of sums over texts with its percentile bootstrap interval (Efron 1979).

    Args:
        rows: (texts, k), what each text adds to the k sums.
        statistic: of (m, k) sums, m values; NaN where one has none.
        seed: of the resampling; the same seed gives the same interval.
    """
    nothing = float("nan")
    if not len(rows):
        return Estimate(nothing, nothing, nothing)
    value = float(statistic(rows.sum(axis=0, keepdims=True))[0])
    if len(rows) < 2:
        return Estimate(value, nothing, nothing)
    random = np.random.default_rng(seed)
    even = np.full(len(rows), 1 / len(rows))
    drawn = np.concatenate(
        [
            statistic(random.multinomial(len(rows), even, size=_AT_ONCE) @ rows)
            for _ in range(RESAMPLES // _AT_ONCE)
        ]
    )
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn.size else (nothing, nothing)
    return Estimate(value, float(low), float(high))


def ratio(sums: Rows) -> Rows:
    """Return the first of two sums over the second; NaN where that is 0."""
    whole = sums[:, 1]
    quotient: Rows = np.divide(sums[:, 0], whole, out=np.full(len(sums), np.nan), where=whole != 0)
    return quotient
