"""What campaigns came to: means over seeds with their intervals, as a table and as curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.learning.bootstrap import Mean, bootstrap_mean
from lib.learning.campaign import Result
from lib.learning.curves import COLOURS, Curve, Point, chart, key
from lib.learning.promotion import CLICKS

_STYLE = "text{font:12px sans-serif;fill:#444}.title{font-size:14px;font-weight:600}.grid{stroke:#e4e4e4}"


def summarise_campaigns(results: Sequence[Result], clicks: int = 1) -> dict[str, Any]:
    """Return for each strategy and number of labels the mean over seeds, ready for JSON.

    `gain` is over the base of the same seed, `against_random` over random with as many labels in that seed,
    `old` the gain on phantoms of what was known; each as `{"mean", "ci95", "seeds"}`.

    Args:
        results: of any number of campaigns.
        clicks: after how many clicks Dice counts.
    """
    at = {(one.strategy, one.seed, one.labels): one for one in results}
    summary: dict[str, Any] = {}
    for strategy in dict.fromkeys(one.strategy for one in results):
        rows: dict[str, Any] = {}
        for labels in sorted({one.labels for one in results if one.strategy == strategy}):
            mine = [one for one in results if (one.strategy, one.labels) == (strategy, labels)]
            base = [at[one.strategy, one.seed, 0] for one in mine]
            random = [at.get(("random", one.seed, labels)) for one in mine]
            dice = [one.dice[str(clicks)] for one in mine]
            rows[str(labels)] = {
                "dice": _mean(dice),
                "gain": _mean([a - b.dice[str(clicks)] for a, b in zip(dice, base, strict=True)]),
                "against_random": _mean(
                    [a - b.dice[str(clicks)] for a, b in zip(dice, random, strict=True) if b]
                ),
                "old": _mean(
                    [
                        one.old[str(clicks)] - b.old[str(clicks)]
                        for one, b in zip(mine, base, strict=True)
                        if one.old
                    ]
                ),
                "seconds": round(float(np.mean([one.seconds for one in mine]))),
            }
        summary[strategy] = rows
    return summary


def table(results: Sequence[Result]) -> str:
    """Return a table in Markdown: Dice after 1, 3 and 5 clicks, means over seeds with 95 % intervals."""
    lines = [
        "| strategy | labels | "
        + " | ".join(f"Dice @{n}" for n in CLICKS)
        + " | gain @1 | old tracers @1 | s |",
        "|---|---|" + "---|" * (len(CLICKS) + 3),
    ]
    by_clicks = {n: summarise_campaigns(results, n) for n in CLICKS}
    for strategy, rows in by_clicks[CLICKS[0]].items():
        for labels, row in rows.items():
            dices = [_cell(by_clicks[n][strategy][labels]["dice"]) for n in CLICKS]
            rest = [_cell(row["gain"], "+"), _cell(row["old"], "+"), str(row["seconds"])]
            lines.append("| " + " | ".join([strategy, labels, *dices, *rest]) + " |")
    return "\n".join(lines) + "\n"


def plot(results: Sequence[Result], title: str) -> str:
    """Return curves of Dice after one click over labels as an SVG file, one a strategy.

    Bands are 95 % intervals.
    """
    summary = summarise_campaigns(results)
    curves = [
        Curve(
            strategy,
            style,
            tuple(
                Point(int(labels), row["dice"]["mean"], *row["dice"]["ci95"]) for labels, row in rows.items()
            ),
        )
        for style, (strategy, rows) in enumerate(summary.items())
    ]
    drawn = chart(title, curves, unit_interval=True, along="labels")
    drawn = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    legend = "".join(
        f'<g transform="translate(60 {44 + 18 * place})">{_inner(key(curve))}'
        f'<text x="44" y="12" fill="{COLOURS[curve.style % len(COLOURS)]}">{curve.name}</text></g>'
        for place, curve in enumerate(curves)
    )
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    start = drawn.index(">") + 1
    return f"{drawn[:start]}<style>{_STYLE}</style>{background}{drawn[start:-6]}{legend}</svg>\n"


def _inner(svg: str) -> str:
    return svg[svg.index(">") + 1 : -len("</svg>")]


def _mean(values: Sequence[float]) -> dict[str, Any]:
    mean: Mean = bootstrap_mean(values)
    return {
        "mean": None if np.isnan(mean.value) else round(mean.value, 4),
        "ci95": [None if np.isnan(end) else round(end, 4) for end in (mean.low, mean.high)],
        "seeds": mean.count,
    }


def _cell(mean: dict[str, Any], sign: str = "") -> str:
    if mean["mean"] is None:
        return ""
    low, high = mean["ci95"]
    interval = "" if low is None else f" ({low:{sign}.3f} to {high:{sign}.3f})"
    return f"{mean['mean']:{sign}.3f}{interval}"
