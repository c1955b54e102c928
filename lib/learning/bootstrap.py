"""Means over cases with the interval in which they lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 5000


@dataclass(frozen=True)
class Mean:
    """A mean over cases with its interval; NaN where it has no value.

    Args:
        value: the mean.
        low: lower end of the interval; NaN for fewer than two cases.
        high: upper end.
        count: cases that had a value.
    """

    value: float
    low: float
    high: float
    count: int


def bootstrap_mean(values: Sequence[float], seed: int = 0, confidence: float = 0.95) -> Mean:
    """Return the mean over cases with its percentile bootstrap interval (Efron 1979).

    Args:
        values: one a case; NaN is a case in which the measure has no value, and is left out.
        seed: of the resampling; the same seed gives the same interval.
        confidence: of the interval.
    """
    kept = np.array(values, dtype=np.float64)
    kept = kept[~np.isnan(kept)]
    nothing = float("nan")
    if kept.size < 2:
        return Mean(float(kept[0]) if kept.size else nothing, nothing, nothing, int(kept.size))
    interval = stats.bootstrap(
        (kept,), np.mean, confidence_level=confidence, n_resamples=RESAMPLES,
        method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Mean(float(kept.mean()), float(interval.low), float(interval.high), int(kept.size))
