"""What is saved is divided among the objects that were clicked."""

import numpy as np
import pytest

from infer_tasks.instances import instances
from infer_tasks.sessions import Clicked
from lib.interaction import AnnotatedObject, Click
from lib.pet import Crop

NAMES = {0: "background", 1: "lesion", 2: "liver"}
SPACING = (2.0, 2.0, 2.0)


def clicked(label, place, mask=None, model="segpet") -> Clicked:
    step = (Click(place, positive=True),)
    obj = AnnotatedObject(1, label, f"1.2.{place[0]}", steps=(step,))
    return Clicked(obj, model, "digest", None if mask is None else Crop.from_grid(mask))


def block(*bounds):
    grid = np.zeros((30, 12, 12), np.uint8)
    grid[tuple(slice(*bound) for bound in bounds)] = 1
    return grid


LEFT, RIGHT = block((2, 8), (2, 8), (2, 8)), block((8, 14), (2, 8), (2, 8))
FAR = block((20, 26), (2, 8), (2, 8))


def test_touching_lesions_stay_two():
    ones = [clicked("lesion", (5, 5, 5), LEFT), clicked("lesion", (11, 5, 5), RIGHT)]
    grid, objects = instances(LEFT | RIGHT, NAMES, ones, SPACING)
    np.testing.assert_array_equal(grid, LEFT + 2 * RIGHT.astype(int))
    assert grid.dtype == np.uint16
    assert [(obj["id"], obj["uid"], obj["model"]) for obj in objects] == [
        (1, "1.2.5", "segpet"),
        (2, "1.2.11", "segpet"),
    ]


def test_what_was_brushed_on_goes_to_the_nearest_object_of_its_part():
    ones = [clicked("lesion", (5, 5, 5), LEFT), clicked("lesion", (11, 5, 5), RIGHT)]
    brushed = block((2, 14), (2, 10), (2, 8))
    grid, objects = instances(brushed, NAMES, ones, SPACING)
    np.testing.assert_array_equal(grid > 0, brushed > 0)
    assert (grid[5, 9, 5], grid[11, 9, 5]) == (1, 2)
    assert len(objects) == 2


def test_what_was_erased_is_nobodys_and_an_object_erased_wholly_is_not_saved():
    ones = [clicked("lesion", (5, 5, 5), LEFT), clicked("lesion", (23, 5, 5), FAR)]
    rest = FAR.copy()
    rest[20:22] = 0
    grid, objects = instances(rest, NAMES, ones, SPACING)
    np.testing.assert_array_equal(grid, 2 * rest.astype(int))
    assert [obj["id"] for obj in objects] == [2]


def test_what_was_drawn_by_hand_is_an_object_for_each_part():
    grid, objects = instances(LEFT + 2 * FAR, NAMES, [], SPACING)
    np.testing.assert_array_equal(grid, LEFT + 2 * FAR)
    assert [(obj["id"], obj["label"]) for obj in objects] == [(1, "lesion"), (2, "liver")]
    assert objects[0]["steps"] == []
    assert len({obj["uid"] for obj in objects}) == 2
    assert "model" not in objects[0]


def test_an_object_of_another_class_gets_nothing():
    grid, objects = instances(2 * LEFT, NAMES, [clicked("lesion", (5, 5, 5), LEFT)], SPACING)
    assert [obj["label"] for obj in objects] == ["liver"]
    np.testing.assert_array_equal(grid, 2 * LEFT)


def test_without_masks_the_clicks_divide_what_was_saved():
    ones = [clicked("lesion", (4, 5, 5)), clicked("lesion", (11, 5, 5))]
    grid, _ = instances(LEFT | RIGHT, NAMES, ones, SPACING)
    np.testing.assert_array_equal(grid, LEFT + 2 * RIGHT.astype(int))


def test_where_two_tasks_found_the_same_lesion_the_later_one_has_it():
    ones = [clicked("lesion", (5, 5, 5), LEFT, "suv_region"), clicked("lesion", (5, 5, 5), LEFT, "segpet")]
    _, objects = instances(LEFT, NAMES, ones, SPACING)
    assert [obj["model"] for obj in objects] == ["segpet"]


def test_a_class_without_a_name_goes_by_its_number():
    _, (obj,) = instances(7 * LEFT, NAMES, [], SPACING)
    assert obj["label"] == "7"


@pytest.mark.parametrize("ones", [[], [clicked("lesion", (5, 5, 5), LEFT)]])
def test_an_empty_label_has_no_objects(ones):
    grid, objects = instances(np.zeros_like(LEFT), NAMES, ones, SPACING)
    assert objects == [] and not grid.any()
