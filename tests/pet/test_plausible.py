"""What cannot be is said, and what can be is not."""

import numpy as np
import pytest

from lib.pet import Crop, Volume
from lib.pet.lesion_table import lesion_table

GRID = np.diag([4.0, 4.0, 4.0, 1.0])
LESIONS = {
    1: Crop((0, 0, 0), np.ones((2, 2, 2), np.bool_)),
    2: Crop((5, 5, 5), np.ones((2, 2, 3), np.bool_)),
}


def said(fill, unit="SUVbw"):
    """What the table warns of in an image of 3s that `fill` has changed."""
    array = np.full((9, 9, 9), 3, np.float32)
    fill(array)
    return lesion_table(Volume(array, GRID, unit), LESIONS)["warnings"][1:]


def put(value, *lesions):
    def fill(array):
        for number in lesions:
            array[LESIONS[number].slices] = value

    return fill


def hole(array):
    array[0, 0] = np.nan


def test_voxels_of_the_mask_without_a_value_are_counted():
    (warning,) = said(hole)
    assert warning.startswith("2 of the mask's 20 voxels have no value (NaN): they count nowhere")
    (warning,) = said(put(np.nan, 2))
    assert warning.startswith("12 of the mask's 20 voxels have no value (NaN); of object 2 there is none")
    (warning,) = said(put(np.nan, 1, 2))
    assert warning == "None of the mask's 20 voxels has a value (NaN): there is nothing to measure."


@pytest.mark.parametrize(
    ("value", "sentence"), [(39553, "SUVmax 39553 cannot be (object 2)"), (-2.5, "SUVmax -2.5 cannot be")]
)
def test_what_no_suv_can_be_is_said_of_suv_alone(value, sentence):
    (warning,) = said(put(value, 2))
    assert warning.startswith(sentence)
    assert not any("cannot be" in one for one in said(put(value, 2), "Bq/ml"))


@pytest.mark.parametrize("value", [0, 0.1, 30, 250])
def test_what_tracers_reach_passes_without_a_word(value):
    assert said(put(value, 1, 2)) == []
