"""Curves over clicks as SVG: small, readable, told apart by colour and by mark, without any library."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

#: Okabe and Ito's colours, which colour-blind people can tell apart; each has a mark and a dash of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
DASHES = ("", "7 4", "2 4", "9 3 2 3")
WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 38


@dataclass(frozen=True)
class Point:
    """A mean over cases at a number of clicks, with its interval; None where there is none."""

    clicks: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """One method's points; `style` is its place in the report, which gives colour, mark and dash."""

    name: str
    style: int
    points: tuple[Point, ...]


def chart(title: str, curves: Sequence[Curve], unit_interval: bool, along: str = "clicks") -> str:
    """Return curves with their intervals as bands, as an SVG element for an HTML page.

    Args:
        title: what is shown, with its unit.
        curves: one a method.
        unit_interval: the values lie between 0 and 1, and the axis shows all of it.
        along: what the other axis counts.
    """
    points = [point for curve in curves for point in curve.points]
    most = max((point.clicks for point in points), default=1) or 1
    highest = max((max(point.mean, point.high or 0) for point in points), default=1)
    step = 0.2 if unit_interval else _step(highest)
    top = 1.0 if unit_interval else max(step, math.ceil(highest / step - 1e-9) * step)

    def x(clicks: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * clicks / most

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(value / top, 0), 1)

    parts = [f'<text class="title" x="{LEFT}" y="17">{escape(title)}</text>']
    for number in range(round(top / step) + 1):
        value = number * step
        at = f"{y(value):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for clicks in _ticks({point.clicks for point in points}, most):
        parts.append(_text(x(clicks), HEIGHT - BOTTOM + 16, str(clicks)))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, along))
    for curve in curves:
        parts += _drawn(curve, x, y)
    label = escape(f"{title}: " + "; ".join(_said(curve) for curve in curves), quote=True)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return f"{head}{''.join(parts)}</svg>"


def key(curve: Curve) -> str:
    """Return a short piece of a curve's line with its mark, as SVG for a legend."""
    colour, dash = _style(curve.style)
    line = f'<line x1="0" x2="36" y1="8" y2="8" stroke="{colour}" stroke-width="2"{dash}/>'
    mark = _mark(curve.style, 18, 8)
    return f'<svg class="key" width="36" height="16" aria-hidden="true">{line}{mark}</svg>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{text}</text>'


def _drawn(curve: Curve, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """Return the band, the line and the marks of one curve."""
    colour, dash = _style(curve.style)
    upper = [(x(point.clicks), y(point.high)) for point in curve.points if point.high is not None]
    lower = [(x(point.clicks), y(point.low)) for point in curve.points if point.low is not None]
    line = [(x(point.clicks), y(point.mean)) for point in curve.points]
    band = f'<polygon points="{_joined([*upper, *lower[::-1]])}" fill="{colour}" opacity="0.13"/>'
    path = f'<polyline points="{_joined(line)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
    return [band, path, *(_mark(curve.style, *at) for at in line)]


def _mark(style: int, x: float, y: float) -> str:
    """Return a circle, square, triangle or diamond around a point."""
    colour, r = COLOURS[style % len(COLOURS)], 3.6
    shapes: tuple[list[tuple[float, float]], ...] = (
        [],
        [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        [(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)],
        [(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)],
    )
    if corners := shapes[style % len(shapes)]:
        return f'<polygon points="{_joined(corners)}" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'


def _style(style: int) -> tuple[str, str]:
    dash = DASHES[style % len(DASHES)]
    return COLOURS[style % len(COLOURS)], f' stroke-dasharray="{dash}"' if dash else ""


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _said(curve: Curve) -> str:
    """Return a curve in words, for those who cannot see it."""
    return f"{curve.name} " + ", ".join(f"{point.mean:.3g} after {point.clicks}" for point in curve.points)


def _step(highest: float) -> float:
    """Return the distance of about five lines from 0 to the highest value: 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return 0.2
    power = 10 ** math.floor(math.log10(highest / 5))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= highest / 5.001)


def _ticks(clicks: set[int], most: int) -> list[int]:
    """Return the numbers of clicks to write below the axis, none nearer to the next than a digit's room."""
    kept: list[int] = []
    for number in sorted(clicks):
        if not kept or (number - kept[-1]) / most > 0.05:
            kept.append(number)
    return kept
