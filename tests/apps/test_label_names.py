"""What the values of a label are called."""

import pytest
from fastapi import HTTPException

from apps.segpet.label_names import as_in_the_mask, names_of_values, read_names

LABELS = ("background", "lesion", "liver", "kidney_left")


def named(label_info, values, labels=LABELS) -> list[str | None]:
    names = names_of_values(as_in_the_mask(read_names(label_info), values, labels), labels)
    return [names.get(value) for value in sorted(values)]


def info(*names: str, first: int = 2) -> list[dict]:
    return [{"name": name, "idx": value} for value, name in enumerate(names, start=first)]


@pytest.mark.parametrize(
    ("label_info", "values", "names"),
    [
        (info("lesion"), {2}, ["lesion"]),
        (info("lesion", "liver"), {2, 3}, ["lesion", "liver"]),
        (info("liver", "lesion", first=1), {1, 2}, ["liver", "lesion"]),
        (info("background", "lesion", first=1), {2}, ["lesion"]),
        (info("background", "lesion", "liver", first=0) + info("bone", first=9), {1, 9}, ["lesion", "bone"]),
        (info("node", "bone"), {1, 2}, ["lesion", "node"]),
    ],
)
def test_a_script_is_believed_where_it_names_the_masks_values(label_info, values, names):
    assert named(label_info, values) == names


@pytest.mark.parametrize(
    ("label_info", "values", "names"),
    [
        (info(*LABELS[1:]), {1}, ["lesion"]),
        (info(*LABELS[1:]), {2, 3}, ["liver", "kidney_left"]),
        (info(*LABELS[1:], "mine"), {1, 4}, ["lesion", "mine"]),
        (info("lesion", "kidney_left"), {1, 2}, ["lesion", "kidney_left"]),  # `liver` was deleted
    ],
)
def test_slicers_list_counts_background_and_is_read_by_its_order(label_info, values, names):
    assert named(label_info, values) == names


def test_a_list_that_both_slicer_and_a_script_may_mean_is_not_guessed():
    with pytest.raises(HTTPException, match="counts from 2") as error:
        named(info("lesion", "kidney_left"), {2})
    assert error.value.status_code == 422
    assert named([*info("background", first=0), *info("lesion", "kidney_left")], {2}) == ["lesion"]


def test_a_label_told_of_another_value_is_not_that_of_its_own_place():
    assert named(info("lesion"), {1, 2}) == [None, "lesion"]
    assert named(info("background", first=1), {1}) == [None]


@pytest.mark.parametrize("value", ["3", 3.0, " 3 "])
def test_whole_numbers_are_taken_as_text_and_as_decimals(value):
    assert named([{"name": "lesion", "idx": value}], {3}) == ["lesion"]


@pytest.mark.parametrize(
    "label_info",
    [
        "lesion",
        {"lesion": 3},
        [7],
        [{"name": "lesion", "id": 3}],
        *([{"name": "lesion", "idx": value}] for value in (True, None, 2.5, 1e999, "two", -1, 0, 1 << 16)),
        *([{"name": name, "idx": 3}] for name in ("", " ", "x" * 65, "a\nb", 7, None)),
        [{"name": "lesion", "idx": 3}, {"name": "liver", "idx": "3"}],
    ],
)
def test_what_names_no_value_is_refused_in_a_sentence(label_info):
    with pytest.raises(HTTPException, match=r"label_info .*\.$") as error:
        read_names(label_info)
    assert error.value.status_code == 422
