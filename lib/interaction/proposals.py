"""Automatic seeds: the places in a study at which an annotator would probably click first.

A seed is a local maximum of uptake. What this cannot know:

* Without an organ map, normal uptake (brain, heart, kidneys, bladder, bowel) cannot be told from disease:
  each such organ that is hot enough gives seeds. Rules of size or height would not help: bulky lymphoma is as
  large as a brain, a metastasis as hot as a kidney.
* With a map and a tracer, a lesion inside an organ of the tracer's normal uptake gives no seed, but in the
  liver, where the threshold stands above the normal. An organ map that is out of place (breathing, a bladder
  that fills) lets normal uptake through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Index
from lib.pet import Crop, Volume
from lib.pet.organ_map import OrganMap
from lib.pet.references import Reference, liver_reference
from lib.pet.tracers import Tracer

#: Seeds are at least so far from each other.
APART_MM = 20.0
#: A peak is this many times hotter than the body's median; without an organ map normal uptake asks for more.
TIMES_BODY, TIMES_BODY_WITHOUT_MAP = 3.0, 4.0
#: Seeds of a study at most; a click at each takes the engine some seconds in all.
MOST_SEEDS = 64
#: The volume is searched in cells of about this edge, blurred by this FWHM: peaks, where noise has maxima.
CELL_MM, BLUR_FWHM_MM = 5.0, 6.0
#: A maximum is a seed of its own where uptake falls below this share of it on the way to every hotter one.
DIP = 0.6

#: A hotter maximum is looked for within this distance on the same hill.
HILL_MM = 200.0

_SAMPLE = 1_000_000
_MOST_MAXIMA = 4096
_ON_LINE = 41


@dataclass(frozen=True)
class Seed:
    """A place to click.

    Args:
        index: voxel (i, j, k) of the source image, 0-based.
        value: what the voxel holds, in the volume's unit.
    """

    index: Index
    value: float


class SeedRecall(NamedTuple):
    """How seeds meet a patient's lesions."""

    found: int
    """Lesions with at least one seed in them."""
    total: int
    """Lesions."""
    false: int
    """Seeds in no lesion."""


def propose_seeds(
    volume: Volume, organs: OrganMap | None = None, tracer: Tracer | None = None
) -> tuple[Seed, ...]:
    """Return local maxima of uptake that may be lesions, the hottest first, at most 64.

    A seed is the hottest voxel of a peak: a maximum of uptake averaged over about 8 mm, at least 20 mm from
    every hotter one and parted from it by a dip. A peak exceeds 4 times the body's median (`body_level`),
    near SUV 2 to 4 in FDG: this needs no unit, and holds in a part of a body.

    With an organ map the limit is 3 times the median, or PERCIST's (1.5 mean + 2 SD of the liver) where that
    is lower; in the liver always PERCIST's. Where the tracer is known too, peaks in the organs of its normal
    uptake are left out, and so is what lies on their slopes.

    Args:
        volume: the image.
        organs: on the volume's grid.
        tracer: whose normal uptake counts.
    """
    threshold = (TIMES_BODY if organs else TIMES_BODY_WITHOUT_MAP) * body_level(volume)
    liver = _liver(volume, organs) if organs else None
    if liver:
        threshold = min(threshold, liver.percist_limit)
    if not threshold > 0:
        return ()
    steps = [max(1, round(CELL_MM / mm)) for mm in volume.spacing]
    cells = _blurred_cells(volume, steps)
    # Peaks so far; those of normal uptake as well, for what lies on their slopes.
    tops, places = np.empty((0, 3)), np.empty((0, 3))
    seeds: list[Seed] = []
    for cell in _maxima(cells, threshold):
        seed = _hottest_voxel(volume.array, cell, steps)
        place = np.multiply(seed.index, volume.spacing)
        away = np.linalg.norm(places - place, axis=1)
        if (away < APART_MM).any() or _on_a_hotter_hill(cells, cell, tops[away < HILL_MM]):
            continue
        tops, places = np.vstack([tops, cell]), np.vstack([places, place])
        peak = float(cells[tuple(cell)])
        if organs is None or not _is_normal(seed.index, peak, organs, tracer, liver):
            seeds.append(seed)
        if len(seeds) == MOST_SEEDS:
            break
    return tuple(sorted(seeds, key=lambda seed: (-seed.value, seed.index)))


def body_level(volume: Volume) -> float:
    """Return the median of what is no air, that is, of values above half the mean of the positive ones.

    Half the mean parts air from tissue where air is quiet; the median does not heed how hot the hottest are.
    Of large volumes every n-th voxel along each axis counts. 0 where nothing is positive.
    """
    step = max(1, round((volume.array.size / _SAMPLE) ** (1 / 3)))
    values = volume.array[::step, ::step, ::step]
    values = values[values > 0]  # leaves NaN out as well
    if not values.size:
        return 0.0
    return float(np.median(values[values > values.mean() / 2]))


def _liver(volume: Volume, organs: OrganMap) -> Reference | None:
    """Measure the liver where it is not hot: a metastasis must not raise the limit that is to find it."""
    liver = organs.mask("liver")
    values = volume.array[liver.slices]
    if not (known := values[liver.array & ~np.isnan(values)]).size:
        return None
    hot = Crop(liver.start, liver.array & (values > 1.5 * np.median(known)))
    return liver_reference(volume, organs, [hot])


def seed_recall(seeds: Sequence[Seed], lesions: Sequence[Crop]) -> SeedRecall:
    """Count the lesions that have a seed in them, and the seeds that are in none.

    Args:
        seeds: of one patient.
        lesions: the patient's lesions on the same grid. A seed beside a lesion is not in it.
    """
    found = sum(any(lesion.contains(seed.index) for seed in seeds) for lesion in lesions)
    false = sum(not any(lesion.contains(seed.index) for lesion in lesions) for seed in seeds)
    return SeedRecall(found, len(lesions), false)


def _blurred_cells(volume: Volume, steps: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean of each cell of steps[0] x steps[1] x steps[2] voxels, blurred; NaN counts as 0."""
    edges = [np.arange(0, size, step) for size, step in zip(volume.shape, steps, strict=True)]
    sizes = [np.diff(edge, append=size) for edge, size in zip(edges, volume.shape, strict=True)]
    cells = np.empty([len(edge) for edge in edges], dtype=np.float32)
    # Slab by slab: the volume may be larger than the memory that is left.
    for at, start in enumerate(edges[2]):
        slab = np.nan_to_num(volume.array[:, :, start : start + steps[2]])
        plane = np.add.reduceat(slab.mean(axis=2), edges[1], axis=1)
        cells[:, :, at] = np.add.reduceat(plane, edges[0], axis=0)
    cells /= np.multiply.outer(sizes[0], sizes[1])[:, :, np.newaxis]
    sigma = BLUR_FWHM_MM / np.sqrt(8 * np.log(2)) / np.multiply(steps, volume.spacing)
    return ndimage.gaussian_filter(cells, sigma, output=cells, truncate=3, mode="nearest")


def _maxima(cells: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Return the cells that no neighbour exceeds, the hottest first; of equals, the first in index order."""
    hot = np.argwhere((cells > threshold) & (cells == ndimage.maximum_filter(cells, 3)))
    order = np.argsort(-cells[tuple(hot.T)], kind="stable")
    return hot[order[:_MOST_MAXIMA]]


def _on_a_hotter_hill(cells: NDArray[np.float32], cell: NDArray[np.int64], tops: NDArray) -> bool:
    """Whether uptake stays above the dip all along a straight line to one of the hotter maxima."""
    shares = np.linspace(0, 1, _ON_LINE)[:, np.newaxis, np.newaxis]
    line = np.rint(cell + shares * (tops - cell)).astype(int)
    lowest = cells[tuple(np.moveaxis(line, -1, 0))].min(axis=0)
    return bool((lowest >= DIP * cells[tuple(cell)]).any())


def _hottest_voxel(array: NDArray[np.float32], cell: NDArray[np.int64], steps: Sequence[int]) -> Seed:
    """Return the hottest voxel of a cell and its neighbours."""
    start = np.maximum((cell - 1) * steps, 0)
    box = array[tuple(map(slice, start, (cell + 2) * steps))]
    local = np.unravel_index(int(np.nanargmax(box)), box.shape)
    i, j, k = (start + local).tolist()
    return Seed((i, j, k), float(array[i, j, k]))


def _is_normal(
    index: Index, peak: float, organs: OrganMap, tracer: Tracer | None, liver: Reference | None
) -> bool:
    """Whether a peak is in an organ where it means nothing by itself."""
    organ = organs.names.get(int(organs.labels[index]), "")
    if organ == "liver" and liver:
        return peak <= liver.percist_limit
    return tracer is not None and any(fnmatchcase(organ, name) for name in tracer.normal_uptake)
