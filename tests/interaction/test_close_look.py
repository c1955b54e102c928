"""A network that has learnt a finer spacing looks at small objects a second time, and at others once."""

import numpy as np
import pytest
from isocontour_network import IsocontourNetwork, Size

from lib.interaction import Engine, NetworkSegmenter, Prompts
from lib.interaction.prompts import Click
from lib.interaction.segmenter import Stopwatch
from lib.pet import Volume

SHAPE = (64, 64, 64)
FINE_MM = 64.0  # 32 voxels of 2 mm
COARSE_MM = 128.0


def volume_with(*balls, spacing=4.0):
    values = np.full(SHAPE, 0.1, dtype=np.float32)
    for centre, radius in balls:
        distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.indices(SHAPE), centre, strict=True)))
        values[distance <= radius] = 10.0
    return Volume(values, np.diag([spacing] * 3 + [1.0]), "SUVbw")


@pytest.fixture
def engine():
    return Engine(NetworkSegmenter(IsocontourNetwork(Size(fine_spacing=2.0))))


def edges(update):
    return [region["edge_mm"] for region in update.regions]


def clicked(engine, volume, positive, negative=(), before=()):
    return engine.update(volume, before, Prompts({"lesion": tuple(positive)}, tuple(negative)))


def test_a_small_object_is_seen_at_the_fine_spacing(engine):
    volume = volume_with(((32, 32, 32), 3))
    update = clicked(engine, volume, [(32, 32, 32)])
    assert edges(update) == [FINE_MM]
    truth = volume.array == 10
    mask = update.masks[1].to_grid(SHAPE)
    coarse = Engine(NetworkSegmenter(IsocontourNetwork()))
    wrong = np.count_nonzero(mask ^ truth)
    assert wrong < np.count_nonzero(clicked(coarse, volume, [(32, 32, 32)]).masks[1].to_grid(SHAPE) ^ truth)


def test_a_large_object_is_seen_once(engine):
    update = clicked(engine, volume_with(((32, 32, 32), 10)), [(32, 32, 32)])
    assert edges(update) == [COARSE_MM]


def test_a_negative_click_elsewhere_changes_nothing(engine):
    volume = volume_with(((32, 32, 32), 3))
    first = clicked(engine, volume, [(32, 32, 32)])
    after = clicked(engine, volume, [(32, 32, 32)], [(2, 2, 2)], first.objects)
    assert after.masks[1] is first.masks[1]


def test_a_negative_click_beside_it_is_taken_at_the_fine_spacing(engine):
    volume = volume_with(((32, 32, 32), 3))
    first = clicked(engine, volume, [(32, 32, 32)])
    after = clicked(engine, volume, [(32, 32, 32)], [(34, 32, 32)], first.objects)
    assert edges(after) == [FINE_MM]
    assert not after.masks[1].contains((34, 32, 32))


def test_a_positive_click_beyond_the_fine_region_takes_the_object_back_to_the_coarse_one(engine):
    volume = volume_with(((32, 32, 32), 3), ((32, 32, 44), 3))
    first = clicked(engine, volume, [(32, 32, 32)])
    (one,) = first.objects
    steps, state = (*one.steps, (Click((32, 32, 44), True),)), None
    for count in (1, 2):
        state = engine.segmenter.advance(volume, one.anchor, state, steps[:count], Stopwatch())
    assert {region["edge_mm"] for region in state.regions} == {COARSE_MM}
    assert state.close is None
    assert state.mask.contains((32, 32, 32)) and state.mask.contains((32, 32, 44))


def test_an_object_that_outgrows_the_fine_region_goes_back_to_the_coarse_one():
    network = IsocontourNetwork(Size(fine_spacing=2.0))
    engine = Engine(NetworkSegmenter(network))
    values = np.full(SHAPE, 0.1, dtype=np.float32)
    values[29:36, 29:36, 22:44] = 4.0
    values[31:34, 31:34, 31:34] = 10.0
    volume = Volume(values, np.diag([4.0] * 3 + [1.0]), "SUVbw")
    small = clicked(engine, volume, [(32, 32, 32)])
    assert edges(small) == [FINE_MM]
    both = clicked(engine, volume, [(32, 32, 32), (32, 32, 35)], before=small.objects)
    assert len(both.objects) == 1
    assert set(edges(both)) == {COARSE_MM}
    assert both.masks[1].contains((32, 32, 24))


def test_the_same_steps_give_the_same_mask_in_a_new_process():
    volume = volume_with(((32, 32, 32), 3))
    masks = []
    for _ in range(2):
        engine = Engine(NetworkSegmenter(IsocontourNetwork(Size(fine_spacing=2.0))))
        first = clicked(engine, volume, [(32, 32, 32)])
        after = clicked(engine, volume, [(32, 32, 32)], [(34, 32, 32)], first.objects)
        fresh = Engine(NetworkSegmenter(IsocontourNetwork(Size(fine_spacing=2.0))))
        again = fresh.update(volume, after.objects, Prompts({"lesion": ((32, 32, 32),)}, ((34, 32, 32),)))
        masks += [after.masks[1].to_grid(SHAPE), again.masks[1].to_grid(SHAPE)]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize("anchor", [None, (32, 32, 32)])
def test_an_object_with_negative_clicks_only_is_empty(engine, anchor):
    """A painted object has none but these until somebody clicks in it."""
    volume = volume_with(((32, 32, 32), 3))
    steps = ((Click((32, 32, 32), False),), (Click((33, 32, 32), True),))
    state = engine.segmenter.advance(volume, anchor, None, steps[:1], Stopwatch())
    assert not state.mask.any() and state.close is None
    state = engine.segmenter.advance(volume, anchor, state, steps, Stopwatch())
    assert state.mask.contains((33, 32, 32)) and not state.mask.contains((32, 32, 32))
