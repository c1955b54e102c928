"""The page of scored impressions: one HTML file that opens anywhere, offline."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lib.report.entities import Entity
from lib.report.scoring import TITLES, ScoredCase

#: Whatever is written into the page, a browser loads nothing for it, and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.6 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto;
  padding: 0 1rem; max-width: 76rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; overflow-wrap: anywhere; } .said, h4 { color: #555; }
h4 { font-size: .85rem; margin: 0; font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child { text-align: left; } td small { color: #666; }
.texts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
.texts p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: .2em; padding: 0 .15em; }
.covered { background: #d7f0df; } .uncovered { background: #fff1c2; border-bottom: 2px dotted #b8860b; }
.unsupported { background: #fbd9d3; border-bottom: 2px solid #c0392b; }
.inconsistent { background: #e6dcf5; border-bottom: 2px dashed #6c3fb0; }
"""
_LEGEND = {
    "covered": "covered: the hypothesis has it too",
    "uncovered": "uncovered: only the reference has it",
    "unsupported": "unsupported: neither reference nor findings have it",
    "inconsistent": "inconsistent: side, polarity or a number differs",
}


def render(summary: Mapping[str, Any], scored: Sequence[ScoredCase], settings: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        summary: of `lib.report.scoring.score`.
        scored: the cases.
        settings: how it was measured, as title and value.
    """
    said = "; ".join(f"{escape(str(title))}: {escape(str(value))}" for title, value in settings.items())
    legend = ", ".join(f'<mark class="{kind}">{text}</mark>' for kind, text in _LEGEND.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Evaluation of impressions</title><style>{_STYLE}</style></head><body>
<h1>Evaluation of impressions</h1>
<p class="said">{said}</p>
<h2>In numbers</h2>
<p>Means over reports with 95 % bootstrap intervals; "corpus" is BLEU-4 of all text, and the micro average of
ECR, UER and FCR. Of UER less is better.</p>
<div class="wide">{_numbers(summary)}</div>
<h2>Reports</h2>
<p>{legend}</p>
{"".join(map(_report, scored))}
</body></html>
"""


def marked(text: str, marks: Iterable[tuple[Entity, str]]) -> str:
    """Return a text as HTML with its entities marked; of overlapping ones the first counts."""
    parts, at = [], 0
    for entity, kind in sorted(marks, key=lambda one: (one[0].start, -one[0].end)):
        if entity.start < at:
            continue
        inside = escape(text[entity.start : entity.end])
        parts += [
            escape(text[at : entity.start]),
            f'<mark class="{kind}" title="{escape(_title(entity))}">{inside}</mark>',
        ]
        at = entity.end
    return "".join([*parts, escape(text[at:])])


def _title(entity: Entity) -> str:
    return ", ".join(filter(None, [entity.concept.name("en"), entity.laterality, entity.polarity]))


def _report(one: ScoredCase) -> str:
    found = one.comparison
    unsupported, inconsistent = set(found.unsupported), set(found.inconsistent)
    reference = [(entity, "covered") for entity in found.covered]
    reference += [(entity, "uncovered") for entity in found.uncovered]
    hypothesis = [(entity, "unsupported") for entity in unsupported]
    hypothesis += [(entity, "inconsistent") for entity in inconsistent]
    texts = {
        "Reference": marked(one.case.reference, reference),
        "Hypothesis": marked(one.case.hypothesis, hypothesis),
        "Findings": escape(one.case.findings),
    }
    scores = ", ".join(f"{TITLES[key]} {_short(value)}" for key, value in one.scores.items())
    columns = "".join(f"<div><h4>{title}</h4><p>{text}</p></div>" for title, text in texts.items() if text)
    return f'<h3>{escape(one.case.id)}</h3><p class="said">{scores}</p><div class="texts">{columns}</div>'


def _numbers(summary: Mapping[str, Any]) -> str:
    lines = []
    for name, group in summary["corpus"].items():
        for key, title in TITLES.items():
            if key not in group:
                continue
            cells = [name, str(group["cases"]), title, _estimate(group[key]["mean"])]
            cells += [_estimate(group[key].get("corpus")), str(group[key]["undefined"])]
            lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = ("reports", "count", "score", "mean", "corpus", "undefined (0/0)")
    head = "".join(f"<th>{title}</th>" for title in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _estimate(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return ""
    interval = estimate["ci95"]
    within = f" <small>{interval[0]:.3f} to {interval[1]:.3f}</small>" if interval else ""
    return f"{estimate['value']:.3f}{within}"


def _short(value: float) -> str:
    return f"{value:.2f}" if value == value else "–"
