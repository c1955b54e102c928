"""What is seen of overlapping objects is what is saved, and only what changed is sent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.interaction import AnnotatedObject, class_map
from lib.interaction.scene import Scene
from lib.pet import Crop

LABELS = ("background", "lesion", "liver", "spleen")
SHAPE = (7, 6, 9)


def obj(number, label="lesion", status="draft"):
    return AnnotatedObject(number, label, f"1.2.{number}", status)


def block(*ranges):
    grid = np.zeros(SHAPE, dtype=bool)
    grid[tuple(slice(*one) for one in ranges)] = True
    return Crop.from_grid(grid)


def image(scene):
    """The whole scene [i, j, k]."""
    return scene.slices(SHAPE, 0, SHAPE[2]).T


def test_a_lesion_wins_over_an_organ_and_a_higher_number_over_a_lower():
    whole, corner = block((0, 7), (0, 6), (0, 9)), block((0, 3), (0, 3), (0, 3))
    masks = {1: corner, 2: corner, 3: whole, 4: whole}
    scene = Scene([obj(1), obj(2), obj(3, "liver"), obj(4, "spleen")], masks, LABELS)
    assert (image(scene)[:3, :3, :3] == 2).all()
    assert (image(scene)[3:] == 4).all()
    assert not scene.seen[1].any() and not scene.seen[3].any()


def test_an_accepted_object_keeps_its_voxels_but_an_organ_not_from_a_lesion():
    whole, corner = block((0, 7), (0, 6), (0, 9)), block((0, 3), (0, 3), (0, 3))
    scene = Scene([obj(1, status="accepted"), obj(2), obj(3)], {1: whole, 2: corner, 3: corner}, LABELS)
    assert (image(scene) == 1).all() and scene.covered == {2, 3}
    scene = Scene(
        [obj(1, "spleen", "accepted"), obj(2, "liver"), obj(3)], dict.fromkeys((1, 2, 3), whole), LABELS
    )
    assert (image(scene) == 3).all() and scene.covered == {1, 2}
    assert Scene([obj(1)], {1: Crop.empty()}, LABELS).covered == set()  # there is nothing to be covered


crops = st.tuples(
    st.tuples(*[st.integers(0, 3)] * 3), st.binary(min_size=27, max_size=27), st.sampled_from(LABELS[1:])
).map(lambda one: (Crop(one[0], np.frombuffer(one[1], np.uint8).reshape(3, 3, 3) > 100), one[2]))


def scene_of(drawn, before=None):
    objects = [obj(number, label) for number, (_, label) in drawn.items()]
    return Scene(objects, {number: crop for number, (crop, _) in drawn.items()}, LABELS, before), objects


drawings = st.dictionaries(st.integers(1, 5), crops, max_size=5)


@settings(max_examples=80, deadline=None)
@given(drawings, drawings)
def test_changed_slices_make_one_scene_of_another_and_the_classes_are_those_saved(first, second):
    before, _ = scene_of(first)
    after, objects = scene_of(first | second, before)
    shown = before.slices(SHAPE, 0, SHAPE[2])
    changed = before.changed_slices(after, SHAPE)
    for k, content in changed.items():
        assert (shown[k] != content).any()
        shown[k] = content
    np.testing.assert_array_equal(shown.T, image(after))
    value = np.zeros(6, np.uint8)
    for one in objects:
        value[one.id] = LABELS.index(one.label)
    masks = {number: crop for number, (crop, _) in (first | second).items()}
    np.testing.assert_array_equal(value[shown.T], class_map(SHAPE, objects, masks, LABELS))
    filled = after.filled_slices(SHAPE)
    assert sorted(filled) == [k for k in range(SHAPE[2]) if image(after)[:, :, k].any()]


def test_an_object_that_looks_as_before_keeps_its_crop():
    liver, lesion, far = (
        block((0, 5), (0, 5), (0, 5)),
        block((1, 2), (1, 2), (1, 2)),
        block((6, 7), (5, 6), (8, 9)),
    )
    objects = [obj(1), obj(2, "liver")]
    before = Scene(objects, {1: lesion, 2: liver}, LABELS)
    after = Scene([*objects, obj(3)], {1: lesion, 2: liver, 3: far}, LABELS, before)
    assert after.seen[2] is before.seen[2]
    assert list(before.changed_slices(after, SHAPE)) == [8]


@pytest.mark.parametrize("k", [0, 8])
def test_a_slice_has_the_pixels_of_a_frame_row_by_row(k):
    scene = Scene([obj(7)], {7: block((4, 5), (2, 3), (k, k + 1))}, LABELS)
    content = scene.filled_slices(SHAPE)[k]
    assert content.shape == (6, 7)
    assert content.tobytes()[2 * 7 + 4] == 7
    assert np.count_nonzero(content) == 1
