"""The evaluation's page: one HTML file that opens anywhere, offline, and names no patient."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lib.learning.curves import Curve, Point, chart, key
from lib.learning.gallery import Picture
from lib.learning.metrics import METRICS
from lib.learning.summary import seconds_title

#: Whatever is written into the page, a browser loads nothing for it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
UNIT_INTERVAL = ("dice", "surface_dice", "lesion_f1")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto;
  padding: 0 1rem; max-width: 76rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.said { color: #555; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; }
.chart { width: 100%; height: auto; } .chart text { font-size: 12px; fill: #444; }
.chart .title { font-size: 14px; fill: #222; font-weight: 600; } .chart .grid { stroke: #e4e4e4; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .2rem .45rem; text-align: right; vertical-align: top; border-bottom: 1px solid #e4e4e4; }
th { font-weight: 600; vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 6.5rem; }
td small { display: block; } small { color: #666; } tr.first td { border-top: 2px solid #bbb; }
figure { margin: 1rem 0; } figure img { max-width: 100%; border: 1px solid #ddd; }
.truth { color: #d55e00; } .mask { color: #0072b2; }
"""


def render(
    methods: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    worst: Sequence[Picture] = (),
    seeds: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        methods: what `lib.learning.summary.summarise` returned, the one that matters first.
        settings: how it was measured, as title and value.
        worst: pictures of cases, of the first method.
        seeds: what `lib.learning.summary.summarise_seeds` returned.
        notes: what must be said of single cases.
    """
    curves = [Curve(str(method["weights"]), style, ()) for style, method in enumerate(methods)]
    digests = [f"<small>digest {escape(str(method['digest'])[:12])}</small>" for method in methods]
    legend = "".join(
        f"<li>{key(curve)} {escape(curve.name)} {digest}</li>"
        for curve, digest in zip(curves, digests, strict=True)
    )
    charts = "".join(
        f"<div>{chart(metric.title, _curves(methods, name), name in UNIT_INTERVAL)}</div>"
        for name, metric in METRICS.items()
    )
    said = "; ".join(f"{escape(str(title))}: {escape(str(value))}" for title, value in settings.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Evaluation of PET segmentation</title><style>{_STYLE}</style></head><body>
<h1>Evaluation of PET segmentation</h1>
<p class="said">{said}</p>
{_notes(notes)}
<h2>Over clicks</h2>
<p>Means over cases; bands are 95 % bootstrap intervals.</p>
<ul class="legend">{legend}</ul>
<div class="charts">{charts}</div>
<h2>In numbers</h2>
<div class="wide">{_by_clicks(methods, seconds_title(settings))}</div>
<h2>Over all clicks</h2>
<p>Mean height of each curve over clicks; clicks until a Dice is reached (all clicks where it is not), and the
share of cases that reach it.</p>
<div class="wide">{_over_clicks(methods)}</div>
{_by_size(methods)}
{_seeds(seeds)}
{_pictures(worst, str(methods[0]["weights"]) if methods else "")}
</body></html>
"""


def _curves(methods: Sequence[Mapping[str, Any]], metric: str) -> list[Curve]:
    curves = []
    for style, method in enumerate(methods):
        means = [(int(clicks), at[metric]) for clicks, at in method["clicks"].items()]
        points = [Point(n, at["mean"], *at["ci95"]) for n, at in means if at["mean"] is not None]
        curves.append(Curve(str(method["weights"]), style, tuple(points)))
    return curves


def _by_clicks(methods: Sequence[Mapping[str, Any]], seconds: str) -> str:
    titles = ["method", "clicks", *(metric.short for metric in METRICS.values()), seconds]
    lines = []
    for method in methods:
        for place, (clicks, at) in enumerate(method["clicks"].items()):
            cells = [escape(str(method["weights"])) if place == 0 else "", clicks]
            cells += [_mean(at[name]) for name in METRICS]
            cells.append("" if at["seconds"] is None else f"{at['seconds']:.2f}")
            lines.append(_row(cells, first=place == 0))
    return _table(titles, lines)


def _over_clicks(methods: Sequence[Mapping[str, Any]]) -> str:
    goals = list(methods[0]["clicks_to_dice"]) if methods else []
    titles = ["method", "cases", *(metric.short for metric in METRICS.values())]
    titles += [title for goal in goals for title in (f"clicks to Dice {goal}", "reached")]
    lines = []
    for method in methods:
        cells = [escape(str(method["weights"])), str(method["cases"])]
        cells += [_mean(method["area_over_clicks"][name]) for name in METRICS]
        for goal in goals:
            to_reach = method["clicks_to_dice"][goal]
            share = to_reach["reached"]
            cells += [_mean(to_reach), "" if share is None else f"{100 * share:.0f} %"]
        lines.append(_row(cells, first=True))
    return _table(titles, lines)


def _notes(notes: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else ""


def _by_size(methods: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of single lesions, where there are any."""
    if not any(method["lesions"] for method in methods):
        return ""
    clicks = list(methods[0]["clicks"])
    lines = []
    for method in methods:
        for place, (size, group) in enumerate(method["lesions"].items()):
            cells = [escape(str(method["weights"])) if place == 0 else "", size, str(group["count"])]
            cells += [_mean(group["clicks"][n]["dice"]) for n in clicks]
            lines.append(_row(cells, first=place == 0))
    titles = ["method", "size", "lesions", *(f"Dice after {n}" for n in clicks)]
    return f'<h2>By lesion size</h2><div class="wide">{_table(titles, lines)}</div>'


def _seeds(seeds: Mapping[str, Any] | None) -> str:
    if seeds is None:
        return ""
    return (
        f"<h2>Automatic seeds</h2><p>{seeds['found']} of {seeds['lesions']} lesions have a seed. For each "
        f"patient: recall {_mean(seeds['recall'])}, false seeds {_mean(seeds['false'])}.</p>"
    )


def _pictures(worst: Sequence[Picture], method: str) -> str:
    if not worst:
        return ""
    figures = "".join(
        f'<figure><img alt="Case {picture.number}" '
        f'src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'
        f"<figcaption>Case {picture.number}: Dice {picture.dice:.2f}, clicks: {picture.clicks}"
        "</figcaption></figure>"
        for picture in worst
    )
    return (
        f"<h2>Where {escape(method)} did worst</h2>"
        f"<p>The lowest Dice of {escape(method)}, the first of the methods, after the last click. "
        'Outlines: <b class="truth">the truth</b> and <b class="mask">the mask</b>, in three planes and a '
        f"projection. cases.csv says which case a number is.</p>{figures}"
    )


def _mean(mean: Mapping[str, Any]) -> str:
    if mean["mean"] is None:
        return ""
    low, high = mean["ci95"]
    interval = "" if low is None else f" <small>{_short(low)} to {_short(high)}</small>"
    return f"{_short(mean['mean'])}{interval}"


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _row(cells: Sequence[str], first: bool) -> str:
    start = '<tr class="first">' if first else "<tr>"
    return start + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(titles: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
