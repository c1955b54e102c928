"""How well a mask agrees with the truth: overlap, surface, lesions found, volumes; and how clicks help.

Masks are crops of one grid. A measure that has no value in a case (a Dice without a lesion) is NaN, and is
left out of means.

Connected parts, erosion, search trees and matching are SciPy's. MONAI has Dice and surface Dice, but wants
float tensors [batch, class, i, j, k] on one grid and fills them with distances: three times slower, and large
where a body's lesions lie far apart. A test holds both to MONAI's values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from lib.pet import Crop

#: Connectivity of autoPET's lesions: neighbours by face or edge.
FACES_AND_EDGES = ndimage.generate_binary_structure(3, 2)
#: A lesion is found where a part of the mask overlaps it with this intersection over union (autoPET V).
MATCHING_IOU = 0.1
#: Surfaces agree within this distance, about a PET voxel and a scanner's resolution.
TOLERANCE_MM = 5.0
#: Dice that is good enough, for the number of clicks that it takes.
GOOD_DICE = (0.8, 0.85)


@dataclass(frozen=True)
class Metric:
    """One measure of a mask: its title with the unit, and a short one for the heads of tables."""

    title: str
    short: str


METRICS = {
    "dice": Metric("Dice", "Dice"),
    "surface_dice": Metric("surface Dice", "surface Dice"),
    "lesion_f1": Metric("lesion F1 (connected parts)", "lesion F1"),
    "fpv_ml": Metric("false-positive volume (FPV), ml", "FPV, ml"),
    "fnv_ml": Metric("false-negative volume (FNV), ml", "FNV, ml"),
    "tmtv_error_ml": Metric("TMTV error, ml", "TMTV error, ml"),
    "tmtv_error_relative": Metric("TMTV error, relative", "TMTV error, rel."),
}


def score(
    truth: Crop,
    mask: Crop,
    spacing: tuple[float, float, float],
    voxel_ml: float,
    tolerance_mm: float = TOLERANCE_MM,
) -> dict[str, float]:
    """Return every one of METRICS for a case's mask.

    * `dice`: 2 |A and B| / (|A| + |B|); `surface_dice`: `surface_dice`.
    * `fpv_ml`, `fnv_ml`: volume of the mask's parts that overlap no truth, and of the truth's parts that the
      mask leaves out altogether; parts are connected by faces or edges (18), as in autoPET's own code.
    * `lesion_f1`: 2 TP / (2 TP + FP + FN) over these parts, matched one to one at an intersection over union
      of at least 0.1. Lesions that touch are one part, and so are masks that do.
    * `tmtv_error_ml`: |volume of mask - volume of truth|; `tmtv_error_relative`: the same over the truth's.

    Without a truth only `fpv_ml` and `tmtv_error_ml` have values (autoPET's rule).

    Args:
        truth: all that is lesion.
        mask: all that was segmented.
        spacing: voxel size in mm along i, j, k.
        voxel_ml: volume of a voxel.
        tolerance_mm: of `surface_dice`.
    """
    wanted, there = _in_one_box(truth, mask)
    true_parts, true_sizes = _parts(wanted)
    mask_parts, mask_sizes = _parts(there)
    both = wanted & there
    pairs = true_parts[both] * (mask_sizes.size + 1) + mask_parts[both]
    shape = (true_sizes.size + 1, mask_sizes.size + 1)
    common = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)[1:, 1:]
    error = abs(int(mask_sizes.sum()) - int(true_sizes.sum()))
    scores = dict.fromkeys(METRICS, float("nan"))
    scores["fpv_ml"] = float(mask_sizes[~common.any(axis=0)].sum() * voxel_ml)
    scores["tmtv_error_ml"] = error * voxel_ml
    if true_sizes.size:
        scores["dice"] = dice(truth, mask)
        scores["surface_dice"] = surface_dice(truth, mask, spacing, tolerance_mm)
        scores["lesion_f1"] = _matched_f1(common, true_sizes, mask_sizes)
        scores["fnv_ml"] = float(true_sizes[~common.any(axis=1)].sum() * voxel_ml)
        scores["tmtv_error_relative"] = error / int(true_sizes.sum())
    return scores


def dice(truth: Crop, mask: Crop) -> float:
    """Return 2 |A and B| / (|A| + |B|), as MONAI's `compute_dice`; NaN where both are empty."""
    wanted, there = _in_one_box(truth, mask)
    total = truth.count + mask.count
    return 2 * int(np.count_nonzero(wanted & there)) / total if total else float("nan")


def surface_dice(
    truth: Crop, mask: Crop, spacing: tuple[float, float, float], tolerance_mm: float = TOLERANCE_MM
) -> float:
    """Return the share of both surfaces' voxels that lie within a tolerance of the other surface.

    The normalised surface Dice (Nikolov 2018) as MONAI's `compute_surface_dice` counts it: a surface is the
    voxels with a face neighbour outside, distances are those of voxel centres. A search tree over surface
    voxels gives MONAI's values without distance maps of a whole body.

    Args:
        truth: the object as it should be.
        mask: the object as it is.
        spacing: voxel size in mm along i, j, k.
        tolerance_mm: the distance that is still right.

    Returns:
        0 to 1; NaN where both are empty.
    """
    surfaces = [_surface(crop) * spacing for crop in (truth, mask)]
    total = sum(len(surface) for surface in surfaces)
    if not all(len(surface) for surface in surfaces):
        return 0.0 if total else float("nan")
    near = 0
    for here, other in (surfaces, surfaces[::-1]):
        # The bound only saves time; beyond it the distance is infinite.
        distance, _ = cKDTree(other).query(here, distance_upper_bound=tolerance_mm * 1.01 + 1e-6)
        near += int(np.count_nonzero(distance <= tolerance_mm))
    return near / total


def match(first: Sequence[Crop], second: Sequence[Crop]) -> list[tuple[int, int, int]]:
    """Match masks one to one at an intersection over union of at least 0.1, as `lesion_f1` does.

    Returns:
        Of each match the places in `first` and in `second`, and the voxels in common.
    """
    common = np.array([[a.count - a.minus(b).count for b in second] for a in first], np.int64)
    common = common.reshape(len(first), len(second))
    sizes = [np.array([mask.count for mask in masks], np.int64) for masks in (first, second)]
    return [(int(at), int(to), int(common[at, to])) for at, to in _matches(common, *sizes)]


def area_over_clicks(clicks: Sequence[int], values: Sequence[float]) -> float:
    """Return the mean height of a curve over clicks (trapezoids); NaN for fewer than two points.

    autoPET's own figure is not divided by the width: over 0 to 10 clicks it is ten times this one.
    """
    width = clicks[-1] - clicks[0] if len(clicks) > 1 else 0
    return float(np.trapezoid(values, clicks)) / width if width else float("nan")


def clicks_to_reach(threshold: float, clicks: Sequence[int], values: Sequence[float]) -> int | None:
    """Return the least number of clicks with which a value is reached; None where it never is."""
    return next((n for n, value in zip(clicks, values, strict=True) if value >= threshold), None)


def _in_one_box(a: Crop, b: Crop) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    both = a.union(b)
    return a.to_grid(both.stop)[both.slices], b.to_grid(both.stop)[both.slices]


def _parts(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the connected parts of a mask, numbered from 1, and the voxels in each."""
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.int64), np.zeros(0, dtype=np.int64)
    parts, count = ndimage.label(mask, structure=FACES_AND_EDGES)
    return parts, np.bincount(parts[mask], minlength=count + 1)[1:]


def _matched_f1(
    common: NDArray[np.int64], true_sizes: NDArray[np.int64], mask_sizes: NDArray[np.int64]
) -> float:
    found = len(_matches(common, true_sizes, mask_sizes))
    return 2 * found / (true_sizes.size + mask_sizes.size)


def _matches(
    common: NDArray[np.int64], sizes: NDArray[np.int64], other_sizes: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Return the places of what is matched, of voxels in common and the sizes of both."""
    iou = common / (sizes[:, None] + other_sizes[None, :] - common)
    matches = iou >= MATCHING_IOU
    # Most matches first; among these, the best overlaps.
    pairs = linear_sum_assignment(matches + iou / (iou.size + 1), maximize=True)
    return [(at, to) for at, to in zip(*pairs, strict=True) if matches[at, to]]


def _surface(crop: Crop) -> NDArray[np.int64]:
    """Return the voxels (N, 3) of the grid that have a face neighbour outside of the mask."""
    inside = ndimage.binary_erosion(crop.array) if crop.array.size else crop.array
    return np.argwhere(crop.array & ~inside) + crop.start
