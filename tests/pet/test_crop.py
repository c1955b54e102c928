import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from lib.pet import Crop, VolumeError

SHAPE = (9, 8, 7)
REPEATABLE = settings(derandomize=True, deadline=None)


@st.composite
def crops(draw):
    """A crop somewhere in a grid of SHAPE, any voxels in it; its box may be larger than its content."""
    start = [draw(st.integers(0, size)) for size in SHAPE]
    box = [draw(st.integers(0, size - first)) for size, first in zip(SHAPE, start, strict=True)]
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    filled = draw(st.sampled_from([0, 0.02, 0.3, 1]))
    return Crop(tuple(start), random.random(box) < filled)


@given(crops())
@REPEATABLE
def test_a_crop_and_its_grid_are_one_mask(crop):
    grid = crop.to_grid(SHAPE)
    assert grid.shape == SHAPE
    assert crop.count == grid.sum()
    assert crop.any() == grid.any()
    assert np.array_equal(grid[crop.slices], crop.array) or not crop.array.size
    again = Crop.from_grid(grid)
    assert np.array_equal(again.to_grid(SHAPE), grid)


@given(crops())
@REPEATABLE
def test_tight_keeps_the_mask_and_no_empty_side(crop):
    tight = crop.tight()
    assert np.array_equal(tight.to_grid(SHAPE), crop.to_grid(SHAPE))
    if crop.any():
        places = np.argwhere(crop.to_grid(SHAPE))
        assert tight.start == tuple(places.min(axis=0))
        assert tight.stop == tuple(places.max(axis=0) + 1)
    else:
        assert tight.array.size == 0


@given(crops())
@settings(REPEATABLE, max_examples=30)
def test_contains_agrees_with_the_grid(crop):
    grid = crop.to_grid(SHAPE)
    for index in np.ndindex(SHAPE):
        assert crop.contains(index) == grid[index]
    assert not crop.contains((-1, 0, 0))
    assert not crop.contains(SHAPE)


@given(crops(), crops())
@settings(REPEATABLE, max_examples=300)
def test_touches_agrees_with_dilation_of_the_grid_and_is_symmetric(one, other):
    dilated = binary_dilation(one.to_grid(SHAPE), np.ones((3, 3, 3)))
    expected = bool((dilated & other.to_grid(SHAPE)).any())
    assert one.touches(other) == expected
    assert other.touches(one) == expected


@given(crops(), crops())
@REPEATABLE
def test_union_agrees_with_the_grids(one, other):
    union = one.union(other)
    assert np.array_equal(union.to_grid(SHAPE), one.to_grid(SHAPE) | other.to_grid(SHAPE))


@pytest.mark.parametrize(("gap", "touching"), [((1, 0, 0), True), ((1, 1, 1), True), ((2, 0, 0), False)])
def test_neighbours_by_face_and_corner_touch_and_others_do_not(gap, touching):
    voxel = np.ones((1, 1, 1), np.bool_)
    assert Crop((3, 3, 3), voxel).touches(Crop(tuple(np.add(3, gap)), voxel)) == touching


def test_far_crops_of_a_huge_grid_cost_nothing():
    voxel = np.ones((1, 1, 1), np.bool_)
    assert not Crop((0, 0, 0), voxel).touches(Crop((10**9, 10**9, 10**9), voxel))


def test_the_empty_crop_is_empty_everywhere():
    empty = Crop.empty()
    assert not empty.any()
    assert empty.count == 0
    assert not empty.contains((0, 0, 0))
    assert not empty.touches(empty)
    assert not empty.to_grid(SHAPE).any()
    assert empty.tight().array.size == empty.union(empty).array.size == 0
    assert not Crop.from_grid(np.zeros(SHAPE, np.uint8)).any()


def test_a_class_map_counts_where_it_is_not_zero():
    grid = np.zeros(SHAPE, np.uint16)
    grid[2, 3, 4], grid[3, 3, 5] = 256, 7
    crop = Crop.from_grid(grid)
    assert (crop.start, crop.stop, crop.count) == ((2, 3, 4), (4, 4, 6), 2)


def test_a_crop_cannot_be_changed_and_does_not_hold_its_grid():
    grid = np.zeros(SHAPE, np.bool_)
    grid[2:4, 2:4, 2:4] = True
    crop = Crop.from_grid(grid)
    with pytest.raises(ValueError, match="read-only"):
        crop.array[0, 0, 0] = False
    assert not np.shares_memory(crop.array, grid)


def test_a_crop_beyond_the_grid_is_refused():
    with pytest.raises(VolumeError, match="beyond a grid"):
        Crop((8, 0, 0), np.ones((2, 1, 1), np.bool_)).to_grid(SHAPE)


def test_a_start_before_the_grid_is_refused():
    with pytest.raises(VolumeError, match="before the grid"):
        Crop((0, -1, 0), np.ones((2, 2, 2), np.bool_))


@pytest.mark.parametrize("array", [np.ones((2, 2, 2)), np.ones((2, 2), np.bool_)], ids=["float", "2-D"])
def test_an_array_that_is_no_mask_is_refused(array):
    with pytest.raises(VolumeError, match="boolean array of 3 axes"):
        Crop((0, 0, 0), array)
