"""Scenes drawn from formulas: a piece of body with organs, vessels and lesions, one of them the target.

They teach what the patients at hand cannot: targets of every kind and size, hot organs beside them, necrotic
cores, several lesions in a cube. All lengths in mm, SUVs before any augmentation.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from lib.learning.first_click import choose_click, region_offset
from lib.learning.textures import Field, noise_field, smooth_field

_FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
#: Kinds of things, and how often each is the target.
KINDS = {"lesion": 0.45, "mass": 0.2, "organ": 0.25, "tube": 0.1}

Point = NDArray[np.float64]


@dataclass(frozen=True)
class Body:
    """One thing with uptake: an ellipsoid whose surface and uptake may be irregular.

    Args:
        centre: (3,) from the middle of the cube.
        half_axes: (3,) before it is turned.
        turn: (3, 3) rotation.
        uptake: SUV.
        bumps: field added to the scaled distance from the centre, or None.
        texture: field that multiplies the uptake, or None.
        core: share of the half axes that has the uptake `core_uptake` (necrosis, a cavity); 0 for none.
        core_uptake: SUV there.
    """

    centre: Point
    half_axes: Point
    turn: Point
    uptake: float
    bumps: Field | None = None
    texture: Field | None = None
    core: float = 0.0
    core_uptake: float = 0.0

    def distance(self, axis: Point) -> Field:
        """Return the scaled distance from the centre on the grid `axis`^3: 1 on the surface."""
        matrix = (self.turn / self.half_axes).T  # rotate back, then scale
        shift = matrix @ self.centre
        parts = [
            (matrix[row, 0] * axis)[:, None, None]
            + (matrix[row, 1] * axis)[None, :, None]
            + (matrix[row, 2] * axis - shift[row])[None, None, :]
            for row in range(3)
        ]
        distance = np.sqrt(sum(part.astype(np.float32) ** 2 for part in parts))
        return distance if self.bumps is None else distance + self.bumps


def analytic_scene(
    side: int, spacing: float, random: np.random.Generator, kinds: Collection[str] = tuple(KINDS)
) -> tuple[Field, NDArray[np.bool_], NDArray[np.int64]]:
    """Draw a cube (side^3) with a target; return SUVs, the target's mask, and the first click's voxel.

    kinds: what the target may be, of KINDS; a lesion has at most some centimetres.
    """
    axis = _axis(side, spacing)
    chances = np.array([KINDS[name] for name in kinds])
    kind = str(random.choice(list(kinds), p=chances / chances.sum()))
    background = float(np.exp(random.uniform(np.log(0.25), np.log(1.6))))
    for _ in range(20):
        target = _draw(kind, side, background, random)
        mask = target.distance(axis) <= 1
        if mask.any():
            break
    # The target was drawn in the middle; what is clicked comes to where the region's rule puts it.
    click = choose_click(mask, random)
    wanted = side // 2 + region_offset(side, random)
    shift = (wanted - click) * spacing
    target = replace(
        target,
        centre=target.centre + shift,
        bumps=None if target.bumps is None else np.roll(target.bumps, wanted - click, (0, 1, 2)),
    )
    others = _surroundings(side, spacing, background, random)
    near = _neighbours(target, side, background, random)
    image = draw_body(side, background, random)
    for body in others:
        _paint(image, body, axis, spacing)
    mask = _paint(image, target, axis, spacing)
    for body in near:
        mask &= ~_paint(image, body, axis, spacing)
    if not mask[tuple(wanted)]:  # covered by a neighbour
        image = draw_body(side, background, random)
        mask = _paint(image, target, axis, spacing)
    return _scanned(image, spacing, random), mask, wanted


def background_scene(
    side: int, spacing: float, level: float, noise: float, random: np.random.Generator
) -> Field:
    """Draw a cube of tissue at a level (SUV) with noise (deviation), at times with other things in it."""
    image = draw_body(side, level, random)
    if random.random() < 0.5:
        axis = _axis(side, spacing)
        for body in _surroundings(side, spacing, level, random):
            _paint(image, body, axis, spacing)
        image = gaussian_filter(image, 6.0 * _FWHM_TO_SIGMA / spacing, truncate=3)
    texture = noise_field(side, spacing, random)
    return (image + noise * np.sqrt(np.maximum(image, 0.1 * level) / level) * texture).astype(np.float32)


def draw_body(side: int, level: float, random: np.random.Generator) -> Field:
    """Draw tissue at a level that varies slowly, in one of four scenes with air beyond the skin."""
    image = level * np.exp(random.uniform(0.0, 0.35) * smooth_field(side, 6.0, random))
    if random.random() < 0.25:
        normal = random.standard_normal(3)
        normal /= np.linalg.norm(normal)
        axis = np.arange(side) - (side - 1) / 2
        depth = sum(n * a for n, a in zip(normal, np.ix_(axis, axis, axis), strict=True))
        skin = random.uniform(0.2, 0.48) * side + 1.5 * smooth_field(side, 6.0, random)
        image *= np.clip(skin - depth, 0.01, 1)
    return image.astype(np.float32)


def _axis(side: int, spacing: float) -> Point:
    """Return the voxels' centres along an axis, from the middle of the cube, mm."""
    centres: Point = (np.arange(side, dtype=np.float64) - (side - 1) / 2) * spacing
    return centres


def _scanned(image: Field, spacing: float, random: np.random.Generator) -> Field:
    """Blur by the scanner's point spread (4 to 7 mm FWHM) and add counting noise."""
    blurred = gaussian_filter(image, random.uniform(4.0, 7.0) * _FWHM_TO_SIGMA / spacing, truncate=3)
    texture = noise_field(len(image), spacing, random)
    return blurred + random.uniform(0.02, 0.15) * np.sqrt(np.maximum(blurred, 0.02)) * texture


def _draw(kind: str, side: int, background: float, random: np.random.Generator) -> Body:
    """Draw a thing of a kind in the middle of the cube."""
    turn = Rotation.random(random_state=random).as_matrix()
    bumps = texture = None
    core = core_uptake = 0.0
    if kind == "lesion":
        radius = np.exp(random.uniform(np.log(4.0), np.log(25.0)))
        half_axes = radius * random.uniform(0.6, 1.3, 3)
        uptake = background * np.exp(random.uniform(np.log(1.6), np.log(12.0)))
        if radius > 9 and random.random() < 0.6:
            bumps = random.uniform(0.1, 0.3) * smooth_field(side, 2.5, random)
    elif kind == "mass":
        radius = np.exp(random.uniform(np.log(22.0), np.log(75.0)))
        half_axes = radius * random.uniform(0.6, 1.6, 3)
        uptake = background * np.exp(random.uniform(np.log(1.5), np.log(10.0)))
        bumps = random.uniform(0.08, 0.35) * smooth_field(side, float(random.choice((2.5, 6.0))), random)
        texture = np.exp(
            random.uniform(0.1, 0.6) * smooth_field(side, float(random.choice((1.5, 2.5))), random)
        )
    elif kind == "organ":
        radius = np.exp(random.uniform(np.log(18.0), np.log(110.0)))
        half_axes = radius * random.uniform(0.6, 1.4, 3)
        factor = (
            random.uniform(0.15, 0.7)
            if random.random() < 0.12
            else np.exp(random.uniform(np.log(1.35), np.log(15.0)))
        )
        uptake = background * factor
        if random.random() < 0.6:
            bumps = random.uniform(0.04, 0.2) * smooth_field(side, 6.0, random)
        texture = np.exp(random.uniform(0.0, 0.2) * smooth_field(side, 2.5, random))
        if radius < 55 and random.random() < 0.2:  # a ventricle's cavity, a renal pelvis
            core, core_uptake = random.uniform(0.35, 0.7), uptake * random.choice((0.4, 2.0))
    else:
        half_axes = np.array((*random.uniform(7.0, 22.0, 2), random.uniform(60.0, 350.0)))
        uptake = background * np.exp(random.uniform(np.log(1.4), np.log(6.0)))
        bumps = random.uniform(0.0, 0.25) * smooth_field(side, 2.5, random)
    if kind in ("lesion", "mass") and radius > 10 and random.random() < 0.3:
        core, core_uptake = random.uniform(0.4, 0.8), uptake * random.uniform(0.1, 0.5)
    return Body(np.zeros(3), half_axes, turn, float(uptake), bumps, texture, float(core), float(core_uptake))


def _surroundings(side: int, spacing: float, background: float, random: np.random.Generator) -> list[Body]:
    """Draw what lies about: organs and vessels, then lesions."""
    reach = side * spacing / 2
    kinds = ["organ"] * random.integers(0, 3) + ["tube"] * random.integers(0, 2)
    kinds += ["lesion"] * int(random.integers(0, 5) * (random.random() < 0.6))
    return [
        replace(_draw(kind, side, background, random), centre=random.uniform(-1.1, 1.1, 3) * reach)
        for kind in kinds
    ]


def _neighbours(target: Body, side: int, background: float, random: np.random.Generator) -> list[Body]:
    """Draw at times one thing that touches or nearly touches the target, often hotter than it."""
    if random.random() > 0.4:
        return []
    body = _draw(str(random.choice(("lesion", "mass", "organ"), p=(0.5, 0.1, 0.4))), side, background, random)
    direction = random.standard_normal(3)
    direction /= np.linalg.norm(direction)
    distance = float(np.mean(target.half_axes) + np.mean(body.half_axes)) * random.uniform(0.95, 1.4)
    return [replace(body, centre=target.centre + distance * direction)]


def _paint(image: Field, body: Body, axis: Point, spacing: float) -> NDArray[np.bool_]:
    """Set the uptake in a body, its edge voxels in part; return the body's mask."""
    distance = body.distance(axis)
    sharpness = float(np.min(body.half_axes)) / spacing
    share = np.clip(0.5 + (1 - distance) * sharpness, 0, 1)
    uptake: Field | float = body.uptake if body.texture is None else body.uptake * body.texture
    if body.core:
        inner = np.clip(0.5 + (body.core - distance) * sharpness, 0, 1)
        uptake = uptake * (1 - inner) + body.core_uptake * inner
    image += share * (uptake - image)
    return distance <= 1
