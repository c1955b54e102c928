"""Objects and steps: what a request changes, and that the same steps give the same mask."""

import numpy as np
import pytest

from lib.interaction import AnnotatedObject, Click, Engine, PromptError, Prompts, RegionGrower
from lib.pet import Volume

A, B, C = (10, 10, 10), (10, 10, 30), (12, 10, 10)


@pytest.fixture
def volume():
    """Two hot balls of 5 voxels' diameter, 80 mm apart, on a warm background."""
    values = np.ones((20, 20, 40), dtype=np.float32)
    i, j, k = np.indices(values.shape)
    for centre in (A, B):
        values += 8 * np.exp(-((i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2) / 6)
    return Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


@pytest.fixture
def engine():
    return Engine(RegionGrower())


def prompts(negative=(), **positive):
    return Prompts(
        {label: tuple(sorted(clicks)) for label, clicks in positive.items()}, tuple(sorted(negative))
    )


def test_two_lesions_in_one_request_are_two_objects(engine, volume):
    update = engine.update(volume, (), prompts(lesion=[A, B]))
    assert [obj.label for obj in update.objects] == ["lesion", "lesion"]
    assert not update.masks[1].touches(update.masks[2])
    assert update.objects[0].uid != update.objects[1].uid


def test_a_click_whose_mask_touches_an_object_corrects_it(engine, volume):
    first = engine.update(volume, (), prompts(lesion=[A]))
    second = engine.update(volume, first.objects, prompts(lesion=[A, C]))
    assert len(second.objects) == 1
    assert [[click.index for click in step] for step in second.objects[0].steps] == [[A], [C]]
    assert second.objects[0].uid == first.objects[0].uid


def test_two_clicks_on_one_lesion_in_one_request_are_one_object_and_one_step(engine, volume):
    update = engine.update(volume, (), prompts(lesion=[A, C]))
    assert len(update.objects) == 1
    assert len(update.objects[0].steps) == 1


def test_new_clicks_are_taken_in_parts_so_that_nobody_waits_for_minutes(engine, volume):
    many = [(i, j, 5) for i in range(12) for j in range(12)]
    with pytest.raises(PromptError, match=r"At most 100 new positive clicks .* not 144"):
        engine.update(volume, (), prompts(lesion=many))
    first = engine.update(volume, (), prompts(lesion=many[:100]))
    second = engine.update(volume, first.objects, prompts(lesion=many))
    assert sum(len(obj.positive) for obj in second.objects) == 144


def test_the_same_place_under_another_label_is_another_object(engine, volume):
    update = engine.update(volume, (), prompts(lesion=[A], liver=[C]))
    assert [obj.label for obj in update.objects] == ["lesion", "liver"]
    assert update.objects[0].negative == {C}
    assert update.objects[1].negative == {A}


def test_background_is_negative_for_every_object(engine, volume):
    update = engine.update(volume, (), prompts(lesion=[A, B], negative=[(1, 1, 1)]))
    assert all(obj.negative == {(1, 1, 1)} for obj in update.objects)


def test_taking_a_click_back_returns_to_the_mask_before_it(engine, volume):
    first = engine.update(volume, (), prompts(lesion=[A]))
    second = engine.update(volume, first.objects, prompts(lesion=[A], negative=[(12, 10, 10)]))
    third = engine.update(volume, second.objects, prompts(lesion=[A]))
    assert second.masks[1].count < first.masks[1].count
    assert third.objects == first.objects
    assert third.masks[1].count == first.masks[1].count


def test_an_object_without_a_positive_click_is_gone(engine, volume):
    first = engine.update(volume, (), prompts(lesion=[A, B]))
    second = engine.update(volume, first.objects, prompts(lesion=[B]))
    assert [obj.uid for obj in second.objects] == [first.objects[1].uid]
    assert engine.update(volume, second.objects, prompts()).objects == ()


def test_a_number_is_never_given_twice(engine, volume):
    first = engine.update(volume, (), prompts(lesion=[A, B]))
    second = engine.update(volume, first.objects, prompts(lesion=[A]), first.highest)
    third = engine.update(volume, second.objects, prompts(lesion=[A, B]), second.highest)
    assert [obj.id for obj in third.objects] == [1, 3]
    assert third.highest == 3


def test_the_same_request_again_changes_nothing(engine, volume):
    request = prompts(lesion=[A, B], negative=[(1, 1, 1)])
    first = engine.update(volume, (), request)
    assert engine.update(volume, first.objects, request).objects == first.objects


def test_stored_objects_give_the_same_masks_in_a_new_engine(engine, volume):
    objects = ()
    for request in (
        prompts(lesion=[A]),
        prompts(lesion=[A, B]),
        prompts(lesion=[A, B], negative=[(13, 10, 10)]),
    ):
        update = engine.update(volume, objects, request)
        objects = update.objects
    restored = tuple(AnnotatedObject.from_dict(obj.as_dict()) for obj in objects)
    assert restored == objects
    again = Engine(RegionGrower()).update(volume, restored, request)
    assert again.objects == objects
    for number, mask in update.masks.items():
        np.testing.assert_array_equal(again.masks[number].to_grid(volume.shape), mask.to_grid(volume.shape))


def test_hundreds_of_steps_are_replayed_without_a_cache(volume):
    voxels = [(i, j, 20) for i in range(20) for j in range(20)]
    steps = [prompts(lesion=[A], negative=voxels[: count + 1]) for count in range(400)]
    engine, objects = Engine(RegionGrower(method="fixed", value=4.0)), ()
    for request in steps[::40]:
        objects = engine.update(volume, objects, request).objects
    fresh = Engine(RegionGrower(method="fixed", value=4.0), cache_bytes=1)
    assert fresh.update(volume, objects, steps[360]).masks[1].count > 0


def test_a_named_object_takes_every_click_wherever_it_falls(engine, volume):
    one, mask = engine.correct(volume, None, (Click(A, positive=True),))
    both, grown = engine.correct(volume, one, (Click(B, positive=True),))
    assert both.uid == one.uid
    assert [click.index for step in both.steps for click in step] == [A, B]
    assert mask.contains(A)
    assert grown.contains(A)
    assert grown.contains(B)


def test_a_new_object_needs_a_positive_click(engine, volume):
    with pytest.raises(PromptError, match="needs a positive click"):
        engine.correct(volume, None, (Click(A, positive=False),))


def test_a_click_without_a_value_is_refused(engine, volume):
    values = volume.array.copy()
    values[A] = np.nan
    with pytest.raises(PromptError, match="without a value"):
        engine.update(Volume(values, volume.affine, "SUVbw"), (), prompts(lesion=[A]))


def test_an_empty_mask_is_said_in_words(engine, volume):
    values = np.zeros_like(volume.array)
    update = engine.update(Volume(values, volume.affine, "SUVbw"), (), prompts(lesion=[A]))
    assert update.masks[1].count == 0
    assert any(warning.startswith("lesion 1: the mask is empty") for warning in update.warnings)


@pytest.mark.parametrize(
    "stored",
    [{}, {"id": 1}, {"id": 1, "label": "x", "uid": "1", "status": "draft", "anchor": [1], "steps": []}],
)
def test_an_unreadable_stored_object_is_refused(stored):
    with pytest.raises(PromptError, match="journal"):
        AnnotatedObject.from_dict(stored)
