import numpy as np
import pytest

from lib.pet.components import objects_of


@pytest.fixture
def mask():
    """Of value 3: a part of 4 voxels, and one of 8 with a ninth at its corner. Of value 7: two parts."""
    mask = np.zeros((12, 10, 9), np.uint8)
    mask[0, 0, 0:4] = 3
    mask[5:7, 5:7, 5:7] = 3
    mask[7, 7, 7] = 3
    mask[10, 1, 1] = mask[10, 8, 8] = 7
    return mask


def described(objects, mask):
    for value, crop in objects:
        assert (mask[crop.slices][crop.array] == value).all()
    return [(value, crop.count) for value, crop in objects]


def test_every_connected_part_is_an_object(mask):
    assert described(objects_of(mask, "parts"), mask) == [(3, 9), (3, 4), (7, 1), (7, 1)]


def test_every_value_is_an_object(mask):
    assert described(objects_of(mask, "values"), mask) == [(3, 13), (7, 2)]


def test_a_mask_of_one_value_has_parts_and_another_has_instances(mask):
    assert described(objects_of(mask), mask) == [(3, 13), (7, 2)]
    one = np.where(mask == 3, 300, 0).astype(np.uint16)
    assert described(objects_of(one), one) == [(300, 9), (300, 4)]


def test_parts_that_interlock_are_kept_apart():
    mask = np.zeros((9, 9, 3), np.uint8)
    mask[0, :, 1] = mask[8, :, 1] = mask[:, 0, 1] = 1  # a bracket around the other part
    mask[4, 4, 1] = 1
    assert described(objects_of(mask), mask) == [(1, 25), (1, 1)]


def test_an_empty_mask_has_no_objects():
    assert objects_of(np.zeros((3, 3, 3), np.uint8)) == []
