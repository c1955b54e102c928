"""What is painted stays, until a click of the opposite sign falls in it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.interaction import AnnotatedObject, Click, Engine, PromptError, RegionGrower
from lib.interaction.painting import NOTHING, Bits, Paint, painted
from lib.interaction.segmenter import Stopwatch
from lib.pet import Crop, Volume

SHAPE = (20, 20, 30)
HOT, COLD = (10, 10, 10), (10, 10, 22)


@pytest.fixture(scope="module")
def volume():
    """A hot ball on a warm background, voxels of 4 mm."""
    i, j, k = np.indices(SHAPE)
    ball = np.exp(-((i - HOT[0]) ** 2 + (j - HOT[1]) ** 2 + (k - HOT[2]) ** 2) / 6)
    return Volume((1 + 8 * ball).astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


def box(*ranges):
    grid = np.zeros(SHAPE, dtype=bool)
    grid[tuple(slice(*one) for one in ranges)] = True
    return Crop.from_grid(grid)


STROKE = box((8, 13), (8, 13), (20, 25))


def answer(volume, obj, engine=None):
    return (engine or Engine(RegionGrower())).answer(volume, obj, Stopwatch()).mask


def clicked(*steps, paints=()):
    return AnnotatedObject(1, "lesion", "1.2", steps=steps, paints=tuple(paints))


def step(index, positive=True):
    return (Click(index, positive),)


def test_what_is_painted_on_stays_under_later_clicks(volume):
    stroke = Paint(1, Bits.of(STROKE))
    before = answer(volume, clicked(step(HOT), paints=[stroke]))
    after = answer(volume, clicked(step(HOT), step((11, 10, 10)), step((0, 0, 0), False), paints=[stroke]))
    for mask in (before, after):
        assert mask.contains(HOT)
        assert STROKE.minus(mask).count == 0


def test_what_is_painted_off_stays_off_until_a_positive_click_falls_in_it(volume):
    whole = answer(volume, clicked(step(HOT)))
    half = box((0, 20), (0, 20), (HOT[2] + 1, 30))
    erased = Paint(1, off=Bits.of(half))
    mask = answer(volume, clicked(step(HOT), step((9, 10, 10)), paints=[erased]))
    assert mask.equals(whole.minus(half))
    back = answer(volume, clicked(step(HOT), step((10, 10, HOT[2] + 1)), paints=[erased]))
    assert back.equals(whole)


def test_a_negative_click_in_a_stroke_gives_it_back_up_to_its_hottest_voxel(volume):
    stroke = Paint(1, Bits.of(STROKE))
    hottest = (10, 10, 20)  # the nearest to the ball
    obj = clicked(step(HOT), step((10, 10, 24), False), paints=[stroke])
    mask = answer(volume, obj)
    assert mask.contains(hottest)
    assert not mask.contains((10, 10, 24))
    assert not mask.contains((10, 10, 22))  # as far from the one as from the other


def test_a_positive_click_keeps_its_side_of_a_stroke(volume):
    obj = clicked(
        step(HOT), step((10, 10, 24)), step((10, 10, 20), False), paints=[Paint(1, Bits.of(STROKE))]
    )
    mask = answer(volume, obj)
    assert mask.contains((10, 10, 24))
    assert not mask.contains((10, 10, 20))


def test_a_click_in_one_stroke_leaves_another_alone(volume):
    strokes = [Paint(1, Bits.of(STROKE)), Paint(1, Bits.of(box((1, 3), (1, 3), (1, 3))))]
    mask = answer(volume, clicked(step(HOT), step((10, 10, 20), False), paints=strokes))
    assert mask.contains((1, 1, 1))
    assert not mask.contains((10, 10, 20))


def test_an_object_may_be_painted_only(volume):
    assert answer(volume, clicked(paints=[Paint(0, Bits.of(STROKE))])).equals(STROKE)


def test_a_click_before_a_stroke_does_not_touch_it(volume):
    obj = clicked(step(HOT), step(COLD, False), paints=[Paint(2, Bits.of(STROKE))])
    assert answer(volume, obj).contains(COLD)


def test_the_same_steps_and_strokes_give_the_same_mask_whatever_is_in_the_cache(volume):
    obj = clicked(step(HOT), step((10, 10, 20), False), paints=[Paint(1, Bits.of(STROKE))])
    engine = Engine(RegionGrower())
    answer(volume, replace(obj, steps=obj.steps[:1]), engine)
    assert answer(volume, obj, engine).equals(answer(volume, obj))


def test_an_object_comes_back_from_json(volume):
    obj = clicked(step(HOT), paints=[Paint(1, Bits.of(STROKE), Bits.of(box((0, 1), (0, 1), (0, 1))))])
    obj = replace(obj, name="in the hilum")
    assert AnnotatedObject.from_dict(json.loads(json.dumps(obj.as_dict()))) == obj


def test_without_strokes_and_names_the_json_is_as_before():
    assert clicked(step(HOT)).as_dict().keys() == {"id", "label", "uid", "status", "anchor", "steps"}


@pytest.mark.parametrize(
    "stored",
    [{}, {"start": [0, 0, 0], "shape": [4, 4, 4], "bits": "AAAA"}, {"start": 1, "shape": 2, "bits": 3}],
)
def test_a_damaged_mask_is_refused(stored):
    with pytest.raises(PromptError, match="cannot be read"):
        Bits.from_dict(stored)


masks = st.binary(min_size=27, max_size=27).map(
    lambda content: Crop((2, 0, 1), np.frombuffer(content, np.uint8).reshape(3, 3, 3) > 128)
)


@settings(max_examples=60, deadline=None)
@given(masks, masks, masks)
def test_bits_hold_any_mask_and_painting_the_difference_makes_it(before, wanted, other):
    assert Bits.of(before).crop.equals(before)
    assert Bits.of(Crop.from_grid(before.to_grid((9, 9, 9)))) == Bits.of(before)
    paint = Paint.between(0, before, wanted)
    assert paint.over(before).equals(wanted)
    volume = Volume(np.ones((9, 9, 9), np.float32), np.eye(4), "unknown")
    again = Paint.between(0, wanted, other)
    assert painted(volume, before, (), (paint, again)).equals(other)


def test_nothing_is_nothing():
    assert not NOTHING.crop.any()
