"""The simulated annotator: the next click that a person would make, given the truth and the mask so far.

Used by tests, training and evaluation in place of a person. Three ways to choose:

* `centre`: the deepest voxel of the largest error (connected by faces, edges or corners), as careful people
click; * `random`: any error voxel with equal chance (SAM-Med3D's training clicks);
* `human`: the deepest voxel of the largest error, missed by a normally distributed distance.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Click
from lib.pet import Crop

Annotator = Literal["centre", "random", "human"]

#: Standard deviation, along each axis, of the distance by which `human` misses the middle.
JITTER_MM = 4.0


def next_click(
    truth: Crop,
    mask: Crop,
    spacing: tuple[float, float, float],
    annotator: Annotator = "centre",
    rng: np.random.Generator | None = None,
) -> Click | None:
    """Return the next click, positive where the mask misses the truth and negative where it exceeds it.

    Args:
        truth: the object as it should be, on the source grid.
        mask: the object as it is; empty at first.
        spacing: voxel size in mm along i, j, k.
        annotator: how the voxel is chosen.
        rng: source of chance for `random` and `human`; needed by these.

    Returns:
        The click, or None where the mask equals the truth.

    Raises:
        ValueError: an unknown annotator, or no source of chance where one is needed.
    """
    if annotator not in get_args(Annotator):
        raise ValueError(f"The annotator must be one of {', '.join(get_args(Annotator))}.")
    if annotator != "centre" and rng is None:
        raise ValueError(f"The annotator {annotator} needs a random generator.")
    start, wanted, there = _in_one_box(truth, mask)
    error = wanted ^ there
    if not error.any():
        return None
    if annotator == "random":
        assert rng is not None
        local = rng.choice(np.argwhere(error))
    else:
        part = _largest([wanted & ~there, there & ~wanted])
        # Beyond the box nothing is in error, so the box's edge bounds the part.
        depth = ndimage.distance_transform_edt(np.pad(part, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
        local = np.array(np.unravel_index(int(np.argmax(depth)), depth.shape))
        if annotator == "human":
            assert rng is not None
            local = _missed(local, part, spacing, rng)
    i, j, k = (local + start).tolist()
    return Click((i, j, k), positive=bool(wanted[tuple(local)]))


def _in_one_box(a: Crop, b: Crop) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the first voxel of the box that holds both masks, and both masks in it."""
    both = a.union(b)
    start, stop = np.array(both.start), np.array(both.stop)
    return start, a.window(start, stop), b.window(start, stop)


def _largest(errors: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return the largest connected part among the missed and the excess voxels; the missed ones win a tie."""
    best, size = errors[0], 0
    for error in errors:
        parts, _ = ndimage.label(error, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        if sizes.size and sizes.max() > size:
            best, size = parts == int(np.argmax(sizes)) + 1, int(sizes.max())
    return best


def _missed(
    target: NDArray[np.int64],
    part: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the voxel of the part nearest to where a hand that aims at the target lands."""
    aim = target * np.array(spacing) + rng.normal(0.0, JITTER_MM, 3)
    voxels = np.argwhere(part)
    nearest: NDArray[np.int64] = voxels[int(np.argmin(((voxels * spacing - aim) ** 2).sum(axis=1)))]
    return nearest
