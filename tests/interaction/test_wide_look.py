"""A network with a wider spacing looks around: large objects are seen whole at the first click."""

import numpy as np
import pytest
from isocontour_network import IsocontourNetwork, Size
from looking import AROUND_MM as WIDE_MM
from looking import MIDDLE, SHAPE, clicked, edges, volume_with
from looking import NEAR_MM as MM

from lib.interaction import Engine, NetworkSegmenter
from lib.interaction.prompts import Click
from lib.interaction.region_decoder import RegionDecoder
from lib.interaction.segmenter import Stopwatch


def engine(**spacings):
    return Engine(NetworkSegmenter(IsocontourNetwork(Size(**spacings))))


def test_what_lies_beyond_the_region_is_seen_by_the_look_around():
    """Through all six faces an object does not grow: without the look around the rest stays missing."""
    volume = volume_with(radius=24, value=10.0)
    far = (32, 32, 54)
    assert not clicked(engine(), volume).masks[1].contains(far)
    update = clicked(engine(wide_spacing=8.0), volume)
    assert edges(update) == {MM, WIDE_MM}
    assert update.masks[1].contains(far)


def test_a_negative_click_far_out_counts_where_the_look_around_reaches():
    volume = volume_with(radius=24, value=10.0)
    segmenter = engine(wide_spacing=8.0)
    first = clicked(segmenter, volume)
    after = clicked(segmenter, volume, negative=((32, 32, 54),), before=first.objects)
    assert not after.masks[1].contains((32, 32, 54))


def test_a_small_object_is_still_seen_closely():
    update = clicked(engine(wide_spacing=8.0, fine_spacing=2.0), volume_with(radius=3, value=10.0))
    assert edges(update) == {64.0}


@pytest.mark.parametrize("radius, looks", [(7, {MM}), (24, {MM, WIDE_MM})])
def test_after_the_first_click_only_a_long_object_is_looked_around_at(radius, looks, monkeypatch):
    volume = volume_with(radius=radius, value=10.0)
    segmenter = engine(wide_spacing=8.0)
    first = clicked(segmenter, volume)
    decoded, decode = set(), RegionDecoder.decode

    def counted(self, lattice, *others):
        decoded.add(lattice.spacing * self.size)
        return decode(self, lattice, *others)

    monkeypatch.setattr(RegionDecoder, "decode", counted)
    clicked(segmenter, volume, negative=((32, 32, 44),), before=first.objects)
    assert decoded == looks


@pytest.mark.parametrize("anchor", [None, MIDDLE])
def test_an_object_without_a_positive_click_is_empty(anchor):
    """A painted object has none until somebody clicks in it."""
    segmenter = engine(wide_spacing=8.0).segmenter
    volume = volume_with(radius=24, value=10.0)
    steps = ((Click(MIDDLE, False),), (Click((33, 32, 32), True),))
    state = segmenter.advance(volume, anchor, None, steps[:1], Stopwatch())
    assert not state.mask.any() and state.wide is None
    state = segmenter.advance(volume, anchor, state, steps, Stopwatch())
    assert state.mask.contains((33, 32, 32)) and state.wide


def test_the_same_steps_give_the_same_mask_in_a_new_process():
    volume = volume_with(radius=24, value=10.0)
    one, other = engine(wide_spacing=8.0), engine(wide_spacing=8.0)
    first = clicked(one, volume)
    after = clicked(one, volume, negative=((32, 32, 60),), before=first.objects)
    again = clicked(other, volume, negative=((32, 32, 60),), before=after.objects)
    np.testing.assert_array_equal(after.masks[1].to_grid(SHAPE), again.masks[1].to_grid(SHAPE))
