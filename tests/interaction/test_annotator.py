"""The simulated annotator clicks where a person would."""

import numpy as np
import pytest

from lib.interaction.annotator import next_click
from lib.interaction.prompts import Click
from lib.pet import Crop

SPACING = (4.0, 4.0, 2.0)


def box(start, stop, shape=(20, 20, 20)):
    grid = np.zeros(shape, dtype=bool)
    grid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return Crop.from_grid(grid)


def test_the_first_click_is_the_middle_of_the_object():
    click = next_click(box((5, 5, 5), (10, 10, 14)), Crop.empty(), SPACING)
    assert click is not None
    assert click.positive
    assert click.index[:2] == (7, 7)
    assert 8 <= click.index[2] <= 10


def test_the_middle_of_the_largest_error_is_clicked_with_its_sign():
    truth = box((5, 5, 5), (10, 10, 10))
    too_much = truth.union(box((5, 5, 10), (10, 10, 19)))
    assert next_click(truth, too_much, SPACING) == Click((7, 7, 14), positive=False)
    too_little = box((5, 5, 5), (10, 10, 6))
    assert next_click(truth, too_little, SPACING).positive


def test_nothing_is_left_to_click_when_the_mask_is_right():
    assert next_click(box((1, 1, 1), (3, 3, 3)), box((1, 1, 1), (3, 3, 3)), SPACING) is None
    assert next_click(Crop.empty(), Crop.empty(), SPACING) is None


def test_an_empty_truth_gives_negative_clicks():
    assert not next_click(Crop.empty(), box((1, 1, 1), (3, 3, 3)), SPACING).positive


@pytest.mark.parametrize("annotator", ["random", "human"])
def test_chance_is_seeded_and_stays_in_the_error(annotator):
    truth, mask = box((2, 2, 2), (15, 15, 15)), box((2, 2, 2), (8, 15, 15))
    clicks = [next_click(truth, mask, SPACING, annotator, np.random.default_rng(seed)) for seed in range(40)]
    again = [next_click(truth, mask, SPACING, annotator, np.random.default_rng(seed)) for seed in range(40)]
    assert clicks == again
    assert len({click.index for click in clicks}) > 10
    assert all(
        click.positive and truth.contains(click.index) and not mask.contains(click.index) for click in clicks
    )


def test_random_clicks_reach_every_error_voxel_with_equal_chance():
    truth, mask = box((0, 0, 0), (2, 1, 1)), box((1, 0, 0), (3, 1, 1))
    rng = np.random.default_rng(0)
    signs = [next_click(truth, mask, SPACING, "random", rng).positive for _ in range(400)]
    assert 150 < sum(signs) < 250


def test_human_misses_by_millimetres_not_by_voxels():
    truth = box((0, 0, 0), (60, 60, 60), shape=(60, 60, 60))
    rng = np.random.default_rng(1)
    middle = np.array(next_click(truth, Crop.empty(), SPACING).index)
    missed = np.array([next_click(truth, Crop.empty(), SPACING, "human", rng).index for _ in range(30)])
    deviation = ((missed - middle) * SPACING).std(axis=0)
    assert np.all((deviation > 2.0) & (deviation < 6.5))


def test_an_unknown_annotator_or_missing_chance_is_refused():
    with pytest.raises(ValueError, match="one of centre, random, human"):
        next_click(Crop.empty(), Crop.empty(), SPACING, "expert")
    with pytest.raises(ValueError, match="random generator"):
        next_click(Crop.empty(), Crop.empty(), SPACING, "random")
