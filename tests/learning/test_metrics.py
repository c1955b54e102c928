"""Metrics against values counted by hand, and against MONAI's where it has the metric."""

import warnings

import numpy as np
import pytest
import torch

from lib.learning.metrics import area_over_clicks, clicks_to_reach, dice, score, surface_dice
from lib.pet import Crop

SPACING = (2.0, 3.0, 4.0)
VOXEL_ML = 0.024


def cube(start, size):
    return Crop(start, np.ones(size, dtype=bool))


def union(*crops):
    mask = Crop.empty()
    for crop in crops:
        mask = mask.union(crop)
    return mask


def measured(truth, mask):
    return score(truth, mask, SPACING, VOXEL_ML, tolerance_mm=2.5)


def test_a_mask_equal_to_the_truth_has_no_error():
    lesion = cube((5, 5, 5), (3, 4, 5))
    assert measured(lesion, lesion) == {
        "dice": 1,
        "surface_dice": 1,
        "lesion_f1": 1,
        "fpv_ml": 0,
        "fnv_ml": 0,
        "tmtv_error_ml": 0,
        "tmtv_error_relative": 0,
    }


def test_volumes_are_those_of_parts_without_any_overlap():
    found, missed = cube((0, 0, 0), (2, 2, 2)), cube((10, 0, 0), (3, 1, 1))
    invented = cube((0, 10, 0), (1, 5, 1))
    half = cube((1, 0, 0), (4, 2, 2))  # 16 voxels, 4 of them in `found`: no false positive
    scores = measured(union(found, missed), union(half, invented))
    assert scores["fpv_ml"] == pytest.approx(5 * VOXEL_ML)
    assert scores["fnv_ml"] == pytest.approx(3 * VOXEL_ML)
    assert scores["dice"] == pytest.approx(2 * 4 / (11 + 21))
    # One match (IoU 4 / 20), one missed, one invented.
    assert scores["lesion_f1"] == pytest.approx(2 / 4)
    assert scores["tmtv_error_ml"] == pytest.approx(10 * VOXEL_ML)
    assert scores["tmtv_error_relative"] == pytest.approx(10 / 11)


def test_a_lesion_is_found_from_an_iou_of_one_tenth():
    lesion = cube((0, 0, 0), (2, 1, 1))
    assert measured(lesion, cube((0, 0, 0), (20, 1, 1)))["lesion_f1"] == 1  # 2 / 20
    assert measured(lesion, cube((0, 0, 0), (21, 1, 1)))["lesion_f1"] == 0  # 2 / 21


def test_one_mask_over_two_lesions_finds_one_of_them():
    lesions = union(cube((0, 0, 0), (3, 3, 3)), cube((5, 0, 0), (3, 3, 3)))
    assert measured(lesions, cube((0, 0, 0), (8, 3, 3)))["lesion_f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("neighbour", "parts"), [((1, 1, 0), 1), ((1, 1, 1), 2)])
def test_parts_are_connected_by_edges_but_not_by_corners(neighbour, parts):
    voxel = cube((0, 0, 0), (1, 1, 1))
    scores = measured(union(voxel, cube(neighbour, (1, 1, 1))), voxel)
    assert scores["fnv_ml"] == pytest.approx((parts - 1) * VOXEL_ML)


def test_without_a_lesion_only_false_positives_are_measured():
    scores = measured(Crop.empty(), cube((2, 2, 2), (1, 2, 3)))
    assert scores["fpv_ml"] == pytest.approx(6 * VOXEL_ML)
    assert scores["tmtv_error_ml"] == pytest.approx(6 * VOXEL_ML)
    assert all(np.isnan(scores[key]) for key in ("dice", "surface_dice", "lesion_f1", "fnv_ml"))


def test_an_empty_mask_misses_everything():
    scores = measured(cube((2, 2, 2), (1, 2, 3)), Crop.empty())
    assert scores["dice"] == scores["surface_dice"] == scores["lesion_f1"] == scores["fpv_ml"] == 0
    assert scores["fnv_ml"] == pytest.approx(6 * VOXEL_ML)
    assert scores["tmtv_error_relative"] == 1


def test_surface_dice_counts_surface_voxels_near_the_other_surface():
    # Two plates one voxel thick, 4 x 4 along i and j, 4 mm apart along k: all surface, no inside.
    truth, mask = cube((0, 0, 0), (4, 4, 1)), cube((0, 0, 1), (4, 4, 1))
    assert surface_dice(truth, mask, SPACING, 3.9) == 0
    assert surface_dice(truth, mask, SPACING, 4.0) == 1
    # Beside each other along i: of 16 voxels each the 2 nearest rows (2 and 4 mm away) lie within 4 mm.
    assert surface_dice(truth, cube((4, 0, 0), (4, 4, 1)), SPACING, 4.0) == pytest.approx(16 / 32)


def test_many_lesions_have_the_values_that_are_counted_by_hand():
    # Cubes of 27 voxels: found exactly, found shifted by one (18 of 36 in common), one mask over two that
    # are a voxel apart (63 voxels), two missed, one touched by too little (3 of 54); two are invented.
    size = (3, 3, 3)
    truth = [cube((6 * n, 0, 0), size) for n in (0, 1)]
    truth += [cube((0, 8, 0), size), cube((4, 8, 0), size)]
    truth += [cube((0, 16, 0), size), cube((6, 16, 0), size), cube((12, 16, 0), size)]
    mask = [cube((0, 0, 0), size), cube((7, 0, 0), size), cube((0, 8, 0), (7, 3, 3))]
    mask += [cube((14, 16, 0), (10, 3, 1))]
    mask += [cube((0, 30, 0), (2, 2, 2)), cube((9, 30, 0), (1, 2, 5))]
    scores = measured(union(*truth), union(*mask))
    common, wanted, there = 27 + 18 + 54 + 3, 7 * 27, 27 + 27 + 63 + 30 + 8 + 10
    assert scores["dice"] == pytest.approx(2 * common / (wanted + there))
    assert scores["fpv_ml"] == pytest.approx(18 * VOXEL_ML)
    assert scores["fnv_ml"] == pytest.approx(2 * 27 * VOXEL_ML)
    # Matched: the exact one, the shifted one, one of the two under one mask.
    assert scores["lesion_f1"] == pytest.approx(2 * 3 / (7 + 6))
    assert scores["tmtv_error_ml"] == pytest.approx((wanted - there) * VOXEL_ML)
    same_as_monais(union(*truth), union(*mask), 2.5)


def same_as_monais(truth, mask, tolerance):
    from monai.metrics import compute_dice, compute_surface_dice

    shape = np.maximum(truth.stop, mask.stop) + 1
    grids = [torch.from_numpy(crop.to_grid(shape)).float()[None, None] for crop in (mask, truth)]
    assert dice(truth, mask) == pytest.approx(compute_dice(*grids).item(), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = compute_surface_dice(*grids, [tolerance], include_background=True, spacing=SPACING)
    assert surface_dice(truth, mask, SPACING, tolerance) == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [0.0, 2.0, 5.0])
def test_dice_and_surface_dice_are_monais(seed, tolerance):
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    grids = [gaussian_filter(random.standard_normal((18, 20, 22)), 2) > 0.05 for _ in range(2)]
    same_as_monais(*map(Crop.from_grid, grids), tolerance)


def test_the_area_is_the_mean_height_of_the_curve():
    assert area_over_clicks([0, 1, 3, 5], [0, 0.6, 0.8, 0.8]) == pytest.approx((0.3 + 1.4 + 1.6) / 5)
    assert np.isnan(area_over_clicks([5], [0.8]))


def test_clicks_are_counted_until_a_value_is_reached():
    assert clicks_to_reach(0.8, [0, 1, 2, 3], [0, 0.7, 0.8, 0.75]) == 2
    assert clicks_to_reach(0.85, [0, 1, 2, 3], [0, 0.7, 0.8, 0.75]) is None
