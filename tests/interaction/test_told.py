"""A clicked voxel is what the click says, and no other voxel changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isocontour_network import IsocontourNetwork

from lib.interaction import Engine, NetworkSegmenter, Prompts
from lib.interaction.prompts import Click
from lib.interaction.told import as_meant, as_told
from lib.pet import Crop, Volume

SHAPE = (6, 5, 4)
voxels = st.tuples(*(st.integers(0, size - 1) for size in SHAPE))


@given(st.sets(voxels), st.dictionaries(voxels, st.booleans(), max_size=6))
def test_clicked_voxels_are_as_told_and_others_as_they_were(inside, clicks):
    grid = np.zeros(SHAPE, dtype=bool)
    for voxel in inside:
        grid[voxel] = True
    told = as_told(Crop.from_grid(grid), [Click(at, positive) for at, positive in clicks.items()])
    for at, positive in clicks.items():
        grid[at] = positive
    np.testing.assert_array_equal(told.to_grid(SHAPE), grid)


def test_a_mask_that_agrees_is_returned_itself():
    mask = Crop.from_grid(np.ones(SHAPE))
    assert as_told(mask, [Click((1, 1, 1), True)]) is mask


def test_the_engine_obeys_clicks_that_the_network_does_not_follow():
    """The isocontour network hears no positive click outside of its contour."""
    values = np.full((40, 40, 40), 0.1, dtype=np.float32)
    values[18:22, 18:22, 18:22] = 10.0
    values[22, 20, 20] = 1.0
    volume = Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    engine = Engine(NetworkSegmenter(IsocontourNetwork()))
    first = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20),)}))
    assert not first.masks[1].contains((24, 20, 20))
    both = engine.update(volume, first.objects, Prompts({"lesion": ((20, 20, 20), (23, 20, 20))}))
    assert both.masks[1].contains((23, 20, 20))


def box(low, high):
    grid = np.zeros((8, 8, 8), dtype=bool)
    grid[low:high, low:high, low:high] = True
    return Crop.from_grid(grid)


ADD, REMOVE = Click((3, 3, 3), True), Click((3, 3, 3), False)


@pytest.mark.parametrize(
    ("before", "after", "step", "meant"),
    [
        (box(1, 6), box(2, 4), [ADD], box(1, 6)),
        (box(1, 3), box(2, 7), [ADD], box(2, 7)),
        (box(2, 4), box(1, 6), [REMOVE], box(2, 4)),
        (box(1, 6), box(2, 7), [REMOVE], box(2, 7)),
        (box(1, 5), box(3, 8), [REMOVE], box(3, 5)),
        (box(1, 6), box(2, 4), [ADD, REMOVE], box(2, 4)),
        (Crop.empty(), box(2, 4), [REMOVE], box(2, 4)),
    ],
    ids=["shrank by adding", "grew by adding", "grew by removing", "as large", "moved", "both", "first"],
)
def test_adding_makes_no_mask_smaller_and_removing_none_larger(before, after, step, meant):
    got = as_meant(after, before, step)
    np.testing.assert_array_equal(got.to_grid((8, 8, 8)), meant.to_grid((8, 8, 8)))


class Contrary(IsocontourNetwork):
    """The more clicks, the less it finds, whatever they say."""

    def decode(self, embedding, points=None, labels=None, mask_logits=None):
        logits = super().decode(embedding, points[:, :1], labels[:, :1], None)
        return logits - 2.0 * (points.shape[1] - 1)


def test_an_object_does_not_shrink_where_a_network_answers_an_adding_click_so():
    values = np.full((40, 40, 40), 0.1, dtype=np.float32)
    values[16:24, 16:24, 16:24] = np.linspace(6, 10, 8)[:, None, None]
    volume = Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    engine = Engine(NetworkSegmenter(Contrary()))
    first = engine.update(volume, (), Prompts({"lesion": ((22, 20, 20),)}))
    again = engine.update(volume, first.objects, Prompts({"lesion": ((22, 20, 20), (17, 20, 20))}))
    before, after = (update.masks[1].to_grid(values.shape) for update in (first, again))
    assert before.any() and (after >= before).all()
