"""What lesions look like: round, lumpy, of several lobes, or with a dead core."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.pet.phantom.shapes import Bounds, Coordinates, Ellipsoid, Shape, Union


@dataclass(frozen=True, eq=False)
class Bumpy:
    """An ellipsoid whose surface goes up and down in waves.

    Args:
        base: the ellipsoid.
        waves: (n, 4): for each wave its vector in radians per mm, and its phase.
        height_mm: of the waves together.
    """

    base: Ellipsoid
    waves: NDArray[np.float32]
    height_mm: float

    @property
    def bounds(self) -> Bounds:
        """See Shape."""
        low, high = self.base.bounds
        return low - self.height_mm, high + self.height_mm

    def distance(self, at: Coordinates) -> NDArray[np.float32]:
        """See Shape."""
        distance = self.base.distance(at)
        x, y, z = (axis - np.float32(middle) for axis, middle in zip(at, self.base.centre, strict=True))
        for u, v, w, phase in self.waves:
            distance = distance - np.float32(self.height_mm / len(self.waves)) * np.cos(
                u * x + v * y + w * z + phase
            )
        return distance


@dataclass(frozen=True)
class Look:
    """A lesion's form around a centre.

    Args:
        shape: all of it.
        core: the part that is dead, if any; it belongs to the lesion.
    """

    shape: Shape
    core: Ellipsoid | None = None


def look(kind: str, centre: NDArray[np.float64], diameter: float, random: np.random.Generator) -> Look:
    """Draw a lesion's form.

    Args:
        kind: "irregular", "lobulated", "necrotic" or "giant"; any other is nearly a sphere.
        centre: mm.
        diameter: the longest one, mm.
    """
    radius = diameter / 2
    if kind == "irregular":
        return Look(_bumpy(centre, radius, random))
    if kind == "lobulated":
        return Look(_lobes(centre, radius, random))
    if kind == "necrotic":
        shape = _bumpy(centre, radius, random)
        core = np.array(shape.base.half_axes) * random.uniform(0.4, 0.65)
        off = random.uniform(-0.12, 0.12, 3) * radius
        return Look(shape, Ellipsoid(_triple(centre + off), _triple(core), shape.base.turned))
    if kind == "giant":
        slim = random.uniform(0.4, 0.52, 2) * radius
        base = Ellipsoid(_triple(centre), (slim[0], slim[1], 0.97 * radius), _triple(random.normal(0, 6, 3)))
        shape = _waves(base, 0.03 * radius, 0.45 * radius, random)
        hollow = random.random() < 0.5
        core = np.array(base.half_axes) * random.uniform(0.3, 0.55)
        return Look(shape, Ellipsoid(base.centre, _triple(core), base.turned) if hollow else None)
    half = radius * random.uniform(0.85, 1, 3)
    return Look(Ellipsoid(_triple(centre), _triple(half)))


def _bumpy(centre: NDArray[np.float64], radius: float, random: np.random.Generator) -> Bumpy:
    height = random.uniform(0.1, 0.2) * radius
    half = (radius - height) * random.uniform(0.65, 1, 3)
    base = Ellipsoid(_triple(centre), _triple(half), _triple(random.uniform(0, 90, 3)))
    return _waves(base, height, radius, random)


def _waves(base: Ellipsoid, height: float, radius: float, random: np.random.Generator) -> Bumpy:
    vectors = random.normal(0, 2.2 / radius, (5, 3))
    phases = random.uniform(0, 2 * np.pi, (5, 1))
    return Bumpy(base, np.hstack([vectors, phases]).astype(np.float32), height)


def _lobes(centre: NDArray[np.float64], radius: float, random: np.random.Generator) -> Union:
    middle = radius * random.uniform(0.5, 0.65)
    lobes = [Ellipsoid(_triple(centre), (middle, middle, middle))]
    for _ in range(int(random.integers(3, 6))):
        direction = random.normal(size=3)
        direction /= np.linalg.norm(direction)
        lobe = radius * random.uniform(0.35, 0.5)
        lobes.append(Ellipsoid(_triple(centre + direction * (radius - lobe)), (lobe, lobe, lobe)))
    return Union(*lobes)


def _triple(values: NDArray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
