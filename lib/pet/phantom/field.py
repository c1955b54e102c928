"""The field of view: which part of the body the voxels cover, and how their axes lie."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from lib.pet.phantom.canvas import Grid
from lib.pet.phantom.shapes import rotation
from lib.pet.volume import VolumeError

Orientation = Literal["straight", "odd"]

#: Voxels of real reconstructions, mm: Siemens mCT, GE (256 and 128), Philips, Siemens Vision.
SCANNER_VOXELS_MM = (
    (4.07, 4.07, 3.0), (2.73, 2.73, 3.27), (5.47, 5.47, 3.27), (4.0, 4.0, 4.0), (1.65, 1.65, 1.65),
)  # fmt: skip
_TRUNK_MIDDLE = 0.655  # of the body's length, from the soles: between chin and crotch
_ABOVE_VERTEX_MM = 25.0
_HANDS_UP_MM = 170.0
_MOST_VOXELS = 1 << 29


def check_field(shape: Sequence[int], spacing: Sequence[float]) -> None:
    """Refuse what is no field.

    Args:
        shape: voxels along i, j, k.
        spacing: mm.

    Raises:
        VolumeError: no grid, or one too large.
    """
    # One by one: what the smallest of several numbers is when one of them is NaN depends on their order.
    if (
        len(shape) != 3
        or len(spacing) != 3
        or not all(number >= 1 for number in shape)
        or not all(0.5 <= step <= 20 for step in spacing)
    ):
        raise VolumeError(
            "A phantom's field needs three numbers of voxels and three spacings of 0.5 to 20 mm."
        )
    if math.prod(shape) > _MOST_VOXELS:
        raise VolumeError(
            "A phantom's field may have 500 million voxels at most; give it fewer or larger ones."
        )


def field_grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], length_mm: float, arms: str
) -> Grid:
    """Return a grid with i to the left, j to posterior and k up.

    Args:
        shape: voxels along i, j, k.
        spacing: mm.
        length_mm: of the body, whose soles are at z = 0.
        arms: "up" or "down": whether there is something above the vertex.
    """
    size = np.multiply(shape, spacing)
    top = length_mm + (_HANDS_UP_MM if arms == "up" else 0) + _ABOVE_VERTEX_MM
    if size[2] >= top + _ABOVE_VERTEX_MM:
        middle = top / 2
    else:
        # Scans that show less end above the vertex; short ones show the trunk.
        middle = min(_TRUNK_MIDDLE * length_mm, length_mm + _ABOVE_VERTEX_MM - size[2] / 2)
        middle = max(middle, size[2] / 2 - _ABOVE_VERTEX_MM)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array([0.0, -4.0, middle]) - (size - spacing) / 2
    return Grid(shape, affine)


def tilted(grid: Grid, random: np.random.Generator) -> Grid:
    """Return the field turned by up to 8 degrees about its middle, its axes in any of the 48 orders."""
    turn = np.eye(4)
    turn[:3, :3] = rotation(*random.uniform(-8, 8, 3))
    middle = grid.affine @ [*(np.subtract(grid.shape, 1) / 2), 1]
    turn[:3, 3] = middle[:3] - turn[:3, :3] @ middle[:3]
    order, flips = random.permutation(3), random.random(3) < 0.5
    swap = np.zeros((4, 4))
    swap[3, 3] = 1
    shape = tuple(int(grid.shape[axis]) for axis in order)
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        swap[old, new] = -1 if flip else 1
        swap[old, 3] = grid.shape[old] - 1 if flip else 0
    return Grid((shape[0], shape[1], shape[2]), turn @ grid.affine @ swap)
