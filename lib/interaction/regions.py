"""Regions: where a network's cubes lie, and where an object must grow into the next one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Index

#: A region is reused for clicks within this share of its edge from its centre, along each axis.
INNER = 0.25
#: An object reaches out of its region where it fills a block of so many cells along each side at a face: an
#: organ or a spine does, speckle does not.
SOLID = 3
#: An object that reaches more of a cube's six faces is a leak, not an organ: growing would make it worse.
LEAK_FACES = 4


def in_inner_part(point: NDArray[np.float64], start: Index, size: int) -> bool:
    """Whether a lattice point lies in the inner part of the cube that begins at `start`."""
    return bool(np.all(np.abs(point - np.add(start, size // 2)) <= INNER * size))


def in_cube(point: NDArray[np.float64], start: Index, size: int) -> bool:
    """Whether the lattice voxel nearest to a point belongs to the cube that begins at `start`."""
    voxel = voxel_of_cube(point, start)
    return bool(np.all((voxel >= 0) & (voxel < size)))


def voxel_of_cube(point: NDArray[np.float64], start: Index) -> NDArray[np.int64]:
    """Return the voxel of the cube that is nearest to a lattice point."""
    return np.floor(point - start + 0.5).astype(np.int64)


def component_with(mask: NDArray[np.bool_], cells: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Return the parts of a mask (connected by faces) that hold one of the given cells."""
    parts, _ = ndimage.label(mask)
    wanted = {int(parts[tuple(cell)]) for cell in cells} - {0}
    return np.isin(parts, list(wanted))


def faces_reached(component: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the faces of the cube, as (axis, -1 or +1), through which the object goes on as a solid body."""
    # What is left of the object's core half a block below a face is where a whole block lies against it.
    core = ndimage.binary_erosion(component, np.ones((SOLID,) * 3))
    depth = SOLID // 2
    return [
        (axis, side)
        for axis in range(3)
        for side in (-1, 1)
        if np.take(core, depth if side < 0 else -1 - depth, axis=axis).any()
    ]


def neighbour(
    component: NDArray[np.bool_], face: tuple[int, int], start: Index, size: int
) -> tuple[Index, Index]:
    """Return the cube into which an object grows through a face, and the click that goes with it.

    The new cube is centred on the object's cross-section with the face, so that it follows an oblique organ;
    half of it overlaps the old one. The click is the object's deepest cell in the overlap.

    Args:
        component: the object in the old cube's cells (L, L, L).
        face: axis and side.
        start: the old cube's first lattice voxel.
        size: edge of a cube in lattice voxels.

    Returns:
        First lattice voxel of the new cube, and the lattice voxel of the click.
    """
    axis, side = face
    voxels_per_cell = size / component.shape[0]
    section = np.argwhere(_face(component, axis, side)).mean(axis=0)
    centre = np.insert(section, axis, component.shape[0] - 0.5 if side > 0 else -0.5)
    centre_voxel = np.add(start, np.floor((centre + 0.5) * voxels_per_cell)).astype(int)
    new_start = centre_voxel - size // 2

    depth = ndimage.distance_transform_edt(component)
    cell_centres = [start[a] + (np.arange(component.shape[a]) + 0.5) * voxels_per_cell for a in range(3)]
    for a, centres in enumerate(cell_centres):
        outside = (centres < new_start[a]) | (centres >= new_start[a] + size)
        depth[(slice(None),) * a + (outside,)] = 0
    deepest = np.unravel_index(int(np.argmax(depth)), depth.shape)
    click = [int(cell_centres[a][deepest[a]]) for a in range(3)]
    r, a, s = new_start.tolist()
    return (r, a, s), (click[0], click[1], click[2])


def _face(component: NDArray[np.bool_], axis: int, side: int) -> NDArray[np.bool_]:
    face: NDArray[np.bool_] = np.take(component, -1 if side > 0 else 0, axis=axis)
    return face
