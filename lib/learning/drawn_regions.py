"""Regions of a labelled study: cubes with one object and its first click, as the engine would open them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.interaction.lattice import Lattice
from lib.interaction.prompts import Index
from lib.interaction.regions import in_cube, voxel_of_cube
from lib.learning.cases import Case, number_of
from lib.learning.first_click import choose_click, region_offset
from lib.network.protocol import NetworkConfig
from lib.pet import Crop, Volume

#: Deviation of the logarithm of a factor on all intensities: scanners and their calibrations differ.
_SCALE = 0.15


@dataclass(frozen=True, eq=False)
class Region:
    """A cube of S^3 voxels with one object.

    Args:
        image: (S, S, S) float32, intensities in the image's unit.
        target: (S, S, S) bool, the object; not empty.
        point: (3,) voxel of the first click, in the object.
    """

    image: Tensor
    target: NDArray[np.bool_]
    point: NDArray[np.int64]


def draw_regions(case: Case, config: NetworkConfig, each: int, most: int, seed: int) -> Iterator[Region]:
    """Yield regions of a case's objects; the same arguments give the same ones.

    A region lies about its click as the engine's do. Of an object that is small enough for the engine's
    second look at the fine spacing, three regions of four are of that spacing. The first two regions of an
    object show it as it is, the others flipped and with other intensities.

    Args:
        case: a labelled study.
        config: of the network that will see them.
        each: regions of an object.
        most: objects of the case; of more, these are drawn by chance.
        seed: of all chance.
    """
    order = np.random.default_rng([seed, number_of(case.name)]).permutation(len(case.objects))
    for place in sorted(order[:most].tolist()):
        mask = _as_volume(case.volume, case.objects[place])
        spacings = _spacings(case, case.objects[place], config)
        for number in range(each):
            random = np.random.default_rng([seed, number_of(case.name), place, number])
            spacing = spacings[number % len(spacings)]
            region = _region(case, case.objects[place], mask, spacing, config, random)
            yield region if number < 2 else _varied(region, random)


def _spacings(case: Case, truth: Crop, config: NetworkConfig) -> tuple[float, ...]:
    """Return the spacings at which the engine may look at an object."""
    extent = np.array(truth.array.shape) * case.volume.spacing
    fine = config.fine_spacing
    is_small = fine and (extent <= config.image_size * fine / 2).all()
    # The second look decides on a small object's mask; the first only on whether there is a second.
    return (fine, fine, fine, config.spacing) if is_small else (config.spacing,)


def _region(
    case: Case,
    truth: Crop,
    mask: Volume,
    spacing: float,
    config: NetworkConfig,
    random: np.random.Generator,
) -> Region:
    size = config.image_size
    lattice = Lattice(case.volume, spacing, size)
    i, j, k = (choose_click(truth.array, random) + truth.start).tolist()
    point = lattice.from_source((i, j, k))
    start = np.array(lattice.cube_at((i, j, k)))
    if spacing == config.spacing:  # the second look is always centred
        start = start - region_offset(size, random)
    where: Index = (int(start[0]), int(start[1]), int(start[2]))
    assert in_cube(point, where, size)
    target = Lattice(mask, spacing, size).cut(where).numpy() > 0.5
    voxel = voxel_of_cube(point, where)
    target[tuple(voxel)] = True  # of an object smaller than a voxel nothing else may be left
    return Region(lattice.cut(where), target, voxel)


def _varied(region: Region, random: np.random.Generator) -> Region:
    axes = [axis for axis in range(3) if random.random() < 0.5]
    last = len(region.target) - 1
    point = region.point.copy()
    point[axes] = last - point[axes]
    scale = float(np.exp(_SCALE * random.standard_normal()))
    return Region(torch.flip(region.image, axes) * scale, np.flip(region.target, tuple(axes)), point)


def _as_volume(volume: Volume, truth: Crop) -> Volume:
    return replace(volume, array=truth.to_grid(volume.shape).astype(np.float32), preflight=None)
