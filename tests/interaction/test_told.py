"""A clicked voxel is what the click says, and no other voxel changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from isocontour_network import IsocontourNetwork

from lib.interaction import Engine, NetworkSegmenter, Prompts
from lib.interaction.prompts import Click
from lib.interaction.told import as_told
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
