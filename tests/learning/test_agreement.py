import numpy as np
import pytest

from lib.learning.agreement import agreements
from lib.learning.metrics import match, score
from lib.pet import Crop, write_mask
from lib.store import LabelVersions

SHAPE = (20, 20, 20)
AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])  # 0.02 ml a voxel


def cube(start, side):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(at, at + side) for at in start)] = True
    return Crop.from_grid(mask)


@pytest.fixture
def labels(tmp_path):
    return LabelVersions(tmp_path / "labels")


@pytest.fixture
def read(labels, tmp_path):
    """Save a reading of lesions, by their numbers; 9 is a liver."""

    def save(author, lesions, status="submitted", independent=True):
        grid = np.zeros(SHAPE, np.uint16)
        for number, mask in lesions.items():
            grid[mask.slices][mask.array] = number
        write_mask(tmp_path / "grid.nii.gz", grid, AFFINE)
        objects = [{"id": number, "label": "liver" if number == 9 else "lesion"} for number in lesions]
        file = tmp_path / "grid.nii.gz"
        labels.save("s", file, {"objects": objects}, author, status, file, independent)

    return save


def test_lesions_are_matched_by_overlap_and_the_rest_was_seen_by_one(labels, read):
    read("b", {3: cube((1, 1, 0), 4), 5: cube((8, 0, 0), 2), 9: cube((0, 10, 10), 5)})
    read("a", {1: cube((0, 1, 0), 4), 2: cube((15, 15, 15), 3)})
    (one,) = agreements(labels, "s")
    (lesion,) = one.matched
    assert (one.readers, one.versions, one.only) == (("a", "b"), (2, 1), ((2,), (5,)))
    assert (lesion.first, lesion.second, lesion.iou, lesion.dice) == (1, 3, 48 / 80, 2 * 48 / 128)
    assert lesion.volumes_ml == pytest.approx((1.28, 1.28))
    assert one.tmtv_ml == pytest.approx(((64 + 27) * 0.02, (64 + 8) * 0.02))
    assert (one.dice, one.f1) == (0.75, 0.5)
    assert one.tmtv_difference_ml == pytest.approx(-19 * 0.02)


def test_only_the_newest_submitted_version_that_was_begun_without_a_label_is_a_reading(labels, read):
    read("a", {1: cube((0, 0, 0), 4)})
    read("a", {1: cube((0, 0, 0), 2)})
    read("a", {1: cube((9, 9, 9), 2)}, "draft")
    read("b", {1: cube((0, 0, 0), 2)}, "draft")
    read("c", {1: cube((0, 0, 0), 2)}, "final", independent=False)
    assert agreements(labels, "s") == []
    read("b", {1: cube((0, 0, 0), 2)}, "final")
    (one,) = agreements(labels, "s")
    assert (one.readers, one.versions, one.f1, one.dice) == (("a", "b"), (2, 6), 1.0, 1.0)


def test_readings_without_a_lesion_agree_in_volume_and_have_no_dice(labels, read):
    read("a", {})
    read("b", {9: cube((0, 0, 0), 2)})
    (one,) = agreements(labels, "s")
    assert (one.dice, one.f1, one.tmtv_difference_ml, one.only) == (None, None, 0.0, ((), ()))


def test_three_readers_are_compared_two_by_two(labels, read):
    for author in "cab":
        read(author, {1: cube((0, 0, 0), 3)})
    assert [one.readers for one in agreements(labels, "s")] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_f1_is_the_one_of_the_evaluation_where_lesions_do_not_touch():
    random = np.random.default_rng(0)
    for _ in range(20):
        first = [cube((at + int(random.integers(0, 3)), 2, 2), 3) for at in (0, 6, 12)]
        second = [cube((at, 2, 2), 3) for at in (1, 7, 13)]
        union = [masks[0].union(masks[1]).union(masks[2]) for masks in (first, second)]
        matched = match(first, second)
        assert 2 * len(matched) / 6 == score(*union, (1.0, 1.0, 1.0), 1.0)["lesion_f1"]
