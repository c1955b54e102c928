"""The parts of a body and the means to vary them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lib.pet.phantom.shapes import Capsule, Ellipsoid, Shape, Triple, tube

SIDES: tuple[tuple[str, int], ...] = (("left", 1), ("right", -1))  # x runs to the left


@dataclass(frozen=True)
class Patient:
    """Whom a phantom shows.

    Args:
        sex: "F" or "M".
        height_m: length of the body.
        weight_kg: with the height it says how much fat there is.
        arms: "up" beside the head, or "down".
    """

    sex: Literal["F", "M"]
    height_m: float
    weight_kg: float
    arms: Literal["up", "down"]

    @property
    def fat_mm(self) -> float:
        """Thickness of the fat under the skin of the belly."""
        return float(np.clip(4 + 2.0 * (self.weight_kg / self.height_m**2 - 18), 4, 50))


@dataclass(frozen=True)
class Part:
    """One shape of the standard body: 1750 mm long, soles at z = 0, x left, y posterior, z up.

    Args:
        shape: where.
        tissue: a row of the tracers' uptake tables.
        organ: a class's name; None where it has none and leaves what it covers its class, "" where it
            belongs to no class.
        factor: times the tissue's uptake.
    """

    shape: Shape
    tissue: str
    organ: str | None
    factor: float = 1.0


class Variation:
    """Draws how one body differs from the standard one."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def size(self, spread: float = 0.07) -> float:
        """Return a factor near 1."""
        return float(np.clip(self.random.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))

    def ellipsoid(
        self,
        centre: Triple,
        half_axes: Triple,
        turned: Triple = (0.0, 0.0, 0.0),
        power: int = 2,
        shift: float = 2.5,
        spread: float = 0.06,
    ) -> Ellipsoid:
        """Return an ellipsoid moved by some mm, turned by some degrees, and a little larger or smaller."""
        at = np.add(centre, np.clip(self.random.normal(0, shift, 3), -2 * shift, 2 * shift))
        half = np.array(half_axes) * [self.size(spread) for _ in range(3)]
        angles = np.add(turned, self.random.normal(0, 3, 3))
        return Ellipsoid(tuple(at), tuple(half), tuple(angles), power)

    def tube(
        self, points: ArrayLike, radii: ArrayLike, shift: float = 2.0, step: float = 12.0
    ) -> list[Capsule]:
        """Return a tube whose points and radius vary."""
        path = np.asarray(points, dtype=np.float64)
        path = path + np.clip(self.random.normal(0, shift, path.shape), -2 * shift, 2 * shift)
        return list(tube(path, np.asarray(radii) * self.size(), step))


def mirrored(points: ArrayLike, sign: int) -> np.ndarray:
    """Return points with x turned over where the sign is -1."""
    return np.asarray(points, dtype=np.float64) * (sign, 1, 1)


def parts(shapes: Iterable[Shape], tissue: str, organ: str | None, factor: float = 1.0) -> Iterator[Part]:
    """Yield shapes as parts of one tissue."""
    for shape in shapes:
        yield Part(shape, tissue, organ, factor)
