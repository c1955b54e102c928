"""Label names and the class map."""

import numpy as np
import pytest

from lib.interaction import DEFAULT_LABELS, AnnotatedObject, PromptError, class_map, read_labels
from lib.interaction.labels import is_lesion
from lib.pet import Crop

LABELS = ("background", "lesion", "liver", "spleen")


def objects_at(*places):
    objects = [AnnotatedObject.new(number, label, None) for number, (label, _) in enumerate(places, start=1)]
    masks = {
        number: Crop((at, 0, 0), np.ones((3, 1, 1), dtype=bool))
        for number, (_, at) in enumerate(places, start=1)
    }
    return objects, masks


def test_lesions_win_over_organs_and_later_labels_over_earlier():
    objects, masks = objects_at(("lesion", 0), ("spleen", 2), ("liver", 4))
    grid = class_map((8, 1, 1), objects, masks, LABELS)
    assert grid[:, 0, 0].tolist() == [1, 1, 1, 3, 3, 2, 2, 0]
    assert grid.dtype == np.uint8
    assert grid.flags.f_contiguous


def test_names_are_read_with_background_first():
    assert read_labels(" tumour, lymph node ,background") == ("background", "tumour", "lymph node")
    assert read_labels(",".join(DEFAULT_LABELS)) == DEFAULT_LABELS


@pytest.mark.parametrize(
    "text", ["", "background", "a,a", "../x", "a/b", "<b>", "x" * 65, ",".join(f"n{i}" for i in range(256))]
)
def test_names_that_could_be_something_else_are_refused(text):
    with pytest.raises(PromptError):
        read_labels(text)


def test_background_alone_is_said_to_be_what_negative_clicks_are_called():
    with pytest.raises(PromptError, match="background is what negative clicks are called"):
        read_labels("background")


@pytest.mark.parametrize("name", ["image", "label", "model", "foreground", "client_id", "method"])
def test_a_label_cannot_be_called_as_another_parameter_is(name):
    with pytest.raises(PromptError, match="a parameter of that name"):
        read_labels(f"lesion,{name}")


@pytest.mark.parametrize(
    ("label", "disease"),
    [
        ("lesion", True),
        ("GTV", True),
        ("primary", True),
        ("lymph node", True),
        ("liver lesion", True),
        ("liver", False),
        ("kidney_left", False),
        ("Left kidneys", False),
        ("urinary_bladder", False),
        ("lung_upper_lobe_right", False),
        ("parotid glands", False),
    ],
)
def test_what_is_no_known_organ_counts_as_disease(label, disease):
    assert is_lesion(label) == disease


def test_the_default_labels_hold_one_lesion():
    assert [label for label in DEFAULT_LABELS[1:] if is_lesion(label)] == ["lesion"]
