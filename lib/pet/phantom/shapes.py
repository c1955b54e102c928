"""Analytic shapes, each with its distance to a point: what phantoms are made of.

All in millimetres. Distances are approximate away from a surface, good near it (which is where partial volume
is computed from them), and negative inside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Coordinates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
Triple = tuple[float, float, float]


class Shape(Protocol):
    """What can be painted."""

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest x, y, z that the shape reaches."""

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """Return mm from the surface to each point (arrays of x, y, z that broadcast), negative inside."""


def rotation(*degrees: float) -> NDArray[np.float64]:
    """Return the 3x3 rotation about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        a, b = [one for one in range(3) if one != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a] = np.sin(angle) * (-1 if axis == 1 else 1)
        turn[a, b] = -turn[b, a]
        matrix = turn @ matrix
    return matrix


@dataclass(frozen=True)
class Ellipsoid:
    """A superellipsoid: |x/a|^p + |y/b|^p + |z/c|^p = 1, turned, then moved.

    Args:
        centre: of the body.
        half_axes: a, b, c.
        turned: degrees about x, y, z.
        power: p, an even number; 2 is an ellipsoid, 4 nearly a box with round edges.
    """

    centre: Triple
    half_axes: Triple
    turned: Triple = (0.0, 0.0, 0.0)
    power: int = 2

    @cached_property
    def _rotation(self) -> NDArray[np.float64] | None:
        return rotation(*self.turned) if any(self.turned) else None

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        matrix = np.eye(3) if self._rotation is None else self._rotation
        # Of the ellipsoid; of the box around it for other powers, which holds every superellipsoid.
        half = np.array(self.half_axes)
        reach = np.sqrt((matrix * half) ** 2 @ np.ones(3)) if self.power == 2 else abs(matrix) @ half
        return self.centre - reach, self.centre + reach

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        x, y, z = (axis - np.float32(middle) for axis, middle in zip(at, self.centre, strict=True))
        a, b, c = (np.float32(1 / half) for half in self.half_axes)
        if self._rotation is not None:
            back = self._rotation.T.astype(np.float32)
            x, y, z = (row[0] * x + row[1] * y + row[2] * z for row in back)
        x, y, z = x * a, y * b, z * c
        if self.power != 2:
            norm = (x**self.power + y**self.power + z**self.power) ** np.float32(1 / self.power)
            return (norm - 1) * np.float32(min(self.half_axes))
        # The norm divided by the length of its gradient: exact to first order at the surface.
        squared = x * x + y * y + z * z
        slope = np.sqrt((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)
        return (squared - np.sqrt(squared)) / np.maximum(slope, np.float32(1e-6))


@dataclass(frozen=True)
class Capsule:
    """A cylinder with round ends whose radius changes evenly from one end to the other."""

    start: Triple
    end: Triple
    radius_start: float
    radius_end: float

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        ends = np.array([self.start, self.end])
        radii = np.array([[self.radius_start], [self.radius_end]])
        return (ends - radii).min(axis=0), (ends + radii).max(axis=0)

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        x, y, z = (axis - np.float32(middle) for axis, middle in zip(at, self.start, strict=True))
        along = np.subtract(self.end, self.start)
        u, v, w = (along / max(along @ along, 1e-6)).astype(np.float32)
        share = np.clip(u * x + v * y + w * z, 0, 1)
        dx, dy, dz = along.astype(np.float32)
        off = (x - share * dx) ** 2 + (y - share * dy) ** 2 + (z - share * dz) ** 2
        return np.sqrt(off) - (self.radius_start + share * np.float32(self.radius_end - self.radius_start))


@dataclass(frozen=True)
class Loft:
    """Ellipses stacked along z, interpolated between levels.

    Args:
        levels: rows of z, x, y of the middle, half width along x, half depth along y; z rises.
    """

    levels: tuple[tuple[float, float, float, float, float], ...]

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        z, x, y, a, b = np.array(self.levels).T
        low = np.array([(x - a).min(), (y - b).min(), z[0]])
        return low, np.array([(x + a).max(), (y + b).max(), z[-1]])

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        table = np.array(self.levels, dtype=np.float32).T
        height = at[2]
        x, y, a, b = (np.interp(height, table[0], column).astype(np.float32) for column in table[1:])
        radial = np.sqrt(((at[0] - x) / a) ** 2 + ((at[1] - y) / b) ** 2)
        aside = (radial - 1) * np.minimum(a, b)
        return np.maximum(aside, np.maximum(table[0][0] - height, height - table[0][-1]))


@dataclass(frozen=True)
class Half:
    """The half space of the points p with normal . p < offset."""

    normal: Triple
    offset: float

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        u, v, w = np.array(self.normal, np.float32) / np.float32(np.linalg.norm(self.normal))
        return u * at[0] + v * at[1] + w * at[2] - np.float32(self.offset / np.linalg.norm(self.normal))


class Common:
    """What several shapes have in common."""

    def __init__(self, *shapes: Shape) -> None:
        self.shapes = shapes

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        lows, highs = zip(*(shape.bounds for shape in self.shapes), strict=True)
        return np.max(lows, axis=0), np.min(highs, axis=0)

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        result = self.shapes[0].distance(at)
        for shape in self.shapes[1:]:
            result = np.maximum(result, shape.distance(at))
        return result


class Union:
    """Several shapes as one."""

    def __init__(self, *shapes: Shape) -> None:
        self.shapes = shapes

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        lows, highs = zip(*(shape.bounds for shape in self.shapes), strict=True)
        return np.min(lows, axis=0), np.max(highs, axis=0)

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        result = self.shapes[0].distance(at)
        for shape in self.shapes[1:]:
            result = np.minimum(result, shape.distance(at))
        return result


def tube(points: ArrayLike, radii: ArrayLike, step: float = 12.0) -> Iterator[Capsule]:
    """Yield the capsules of a smooth tube.

    Args:
        points: (n, 3), n at least 2; the tube runs through all of them along a Catmull-Rom spline.
        radii: n of them, or one number.
        step: mm between the ends of a capsule, about; short ones fit tight boxes.
    """
    path = np.asarray(points, dtype=np.float64)
    widths = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(path))
    padded = np.vstack([2 * path[0] - path[1], path, 2 * path[-1] - path[-2]])
    nodes: list[tuple[NDArray, float]] = [(path[0], float(widths[0]))]
    for at in range(len(path) - 1):
        before, start, end, after = padded[at : at + 4]
        count = max(1, round(float(np.linalg.norm(end - start)) / step))
        for share in np.arange(1, count + 1) / count:
            bend = 2 * before - 5 * start + 4 * end - after
            twist = -before + 3 * start - 3 * end + after
            point = 0.5 * (2 * start + (end - before) * share + bend * share**2 + twist * share**3)
            nodes.append((point, float(widths[at] + share * (widths[at + 1] - widths[at]))))
    for (start, radius), (end, other) in pairwise(nodes):
        yield Capsule(_triple(start), _triple(end), radius, other)


def _triple(values: NDArray) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
