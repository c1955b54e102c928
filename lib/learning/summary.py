"""What many cases say about a method: means with their intervals, by the number of clicks."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lib.interaction import SeedRecall
from lib.learning.bootstrap import Mean, bootstrap_mean
from lib.learning.evaluation import Run
from lib.learning.metrics import GOOD_DICE, METRICS, area_over_clicks, clicks_to_reach

#: Groups of lesions by volume, ml: up to the first, between two, above the last.
SIZES_ML = (1.0, 5.0, 20.0, 100.0)


def summarise(name: str, digest: str, runs: Sequence[Run], seed: int = 0) -> dict[str, Any]:
    """Return the numbers of one method over its cases, ready for JSON; null is a number without a value.

    `clicks` holds for each number of clicks every one of METRICS as `{"mean", "ci95", "cases"}` (95 %
    bootstrap interval over cases; cases without a value are left out) and `seconds`, the mean time of that
    click (autoPET's: of that step, a click of each kind) over the cases in which there was something to do.
    `area_over_clicks` is the mean height of the curve. `clicks_to_dice` is the mean number of clicks
    to a Dice, the most clicks made where it is not reached (NoC), and the share of cases that `reached` it.
    `lesions` holds by size the mean Dice of the lesions, where each was clicked on its own. `without_lesion`
    counts the cases that have none: they have values where something was clicked or proposed.

    Args:
        name: the method's.
        digest: of its weights.
        runs: one a case.
        seed: of the intervals.
    """
    clicks = [state.clicks for state in runs[0].states if state.scores] if runs else []
    scored = [[state for state in run.states if state.scores] for run in runs]
    by_clicks = {}
    for at, n in enumerate(clicks):
        means = {key: _mean([states[at].scores[key] for states in scored], seed) for key in METRICS}
        seconds = bootstrap_mean([states[at].seconds for states in scored], seed).value
        by_clicks[str(n)] = {**means, "seconds": _number(seconds)}
    return {
        "weights": name,
        "digest": digest,
        "cases": len(runs),
        "without_lesion": sum(not run.lesions for run in runs),
        "clicks": by_clicks,
        "area_over_clicks": {
            key: _mean(
                [area_over_clicks(clicks, [state.scores[key] for state in states]) for states in scored], seed
            )
            for key in METRICS
        },
        "clicks_to_dice": {f"{good:g}": _to_reach(good, runs, seed) for good in GOOD_DICE},
        "lesions": _by_size(runs, clicks, seed),
    }


def seconds_title(settings: Mapping[str, Any]) -> str:
    """Return the head of a column of seconds: a step of autoPET's protocol has a click of each kind."""
    return "s a step" if settings.get("protocol") == "autopet" else "s a click"


def summarise_seeds(seeds: Sequence[SeedRecall], seed: int = 0) -> dict[str, Any]:
    """Return how automatic seeds met the lesions: recall and false seeds, means over patients and counts.

    Args:
        seeds: one a patient; one without lesions has no recall.
        seed: of the intervals.
    """
    return {
        "recall": _mean([one.found / one.total if one.total else float("nan") for one in seeds], seed),
        "false": _mean([float(one.false) for one in seeds], seed),
        "found": sum(one.found for one in seeds),
        "lesions": sum(one.total for one in seeds),
    }


def _by_size(runs: Sequence[Run], clicks: Sequence[int], seed: int) -> dict[str, Any]:
    groups = {}
    for low, high in itertools.pairwise((0.0, *SIZES_ML, float("inf"))):
        lesions = [lesion for run in runs for lesion in run.each if low < lesion.volume_ml <= high]
        if lesions:
            name = f"up to {high:g} ml" if low == 0 else f"above {low:g} ml"
            name = name if low == 0 or np.isinf(high) else f"{low:g} to {high:g} ml"
            dices = {str(n): {"dice": _mean([lesion.dice[n] for lesion in lesions], seed)} for n in clicks}
            groups[name] = {"count": len(lesions), "clicks": dices}
    return groups


def _to_reach(threshold: float, runs: Sequence[Run], seed: int) -> dict[str, Any]:
    needed, reached = [], []
    for run in runs:
        if run.lesions:
            clicks = [state.clicks for state in run.states]
            least = clicks_to_reach(threshold, clicks, [state.dice for state in run.states])
            needed.append(float(clicks[-1] if least is None else least))
            reached.append(least is not None)
    return {**_mean(needed, seed), "reached": _number(float(np.mean(reached))) if reached else None}


def _mean(values: Sequence[float], seed: int) -> dict[str, Any]:
    mean: Mean = bootstrap_mean(values, seed)
    return {
        "mean": _number(mean.value),
        "ci95": [_number(mean.low), _number(mean.high)],
        "cases": mean.count,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)
