"""Prompts in both viewers' forms."""

import pytest

from lib.interaction import PromptError, Prompts, read_foreground_prompts, read_prompts

LABELS = ("background", "lesion", "liver")
SHAPE = (10, 20, 30)


def test_deepedit_lists_are_sorted_sets_by_label():
    request = {
        "lesion": [[3, 2, 1], [1, 2, 3], [3, 2, 1]],
        "liver": [],
        "background": [[0, 0, 0]],
        "label": "lesion",
    }
    prompts = read_prompts(request, LABELS, SHAPE)
    assert prompts == Prompts({"lesion": ((1, 2, 3), (3, 2, 1))}, ((0, 0, 0),))


def test_deepgrow_foreground_belongs_to_the_label():
    prompts = read_foreground_prompts({"foreground": [[1, 2, 3]], "background": [[4, 5, 6]]}, "spleen", SHAPE)
    assert prompts == Prompts({"spleen": ((1, 2, 3),)}, ((4, 5, 6),))


def test_another_labels_click_is_negative():
    prompts = read_prompts(
        {"lesion": [[1, 1, 1]], "liver": [[2, 2, 2]], "background": [[3, 3, 3]]}, LABELS, SHAPE
    )
    assert prompts.against("lesion") == ((2, 2, 2), (3, 3, 3))
    assert prompts.against("liver") == ((1, 1, 1), (3, 3, 3))


def test_options_among_the_request_are_left_alone():
    request = {
        "lesion": [[1, 1, 1]],
        "result_extension": ".nrrd",
        "device": ["cpu"],
        "thresholds": [1, 2, 3],
        "roi": [],
    }
    assert not read_prompts(request, LABELS, SHAPE).warnings


def test_clicks_of_a_former_label_are_left_out_with_a_warning():
    prompts = read_prompts({"lesion": [[1, 1, 1]], "tumour": [[2, 2, 2]]}, LABELS, SHAPE)
    assert list(prompts.positive) == ["lesion"]
    assert "'tumour'" in prompts.warnings[0]


def test_clicks_of_unknown_labels_alone_are_refused():
    with pytest.raises(PromptError, match="'tumour' is not a label here; the labels are lesion, liver"):
        read_prompts({"tumour": [[2, 2, 2]]}, LABELS, SHAPE)


@pytest.mark.parametrize(
    "clicks",
    [
        [[10, 0, 0]],
        [[-1, 0, 0]],
        [[0, 0, 30]],
        [[0.5, 0, 0]],
        [[float("nan"), 0, 0]],
        [[float("inf"), 0, 0]],
        [[10**400, 0, 0]],
        [[1, 2]],
        [1, 2, 3],
        [["1", "2", "3"]],
        [[True, 1, 1]],
        "1,2,3",
        {"points": []},
        [None],
    ],
)
def test_a_malformed_click_is_refused_with_the_label_named(clicks):
    with pytest.raises(PromptError, match="lesion"):
        read_prompts({"lesion": clicks}, LABELS, SHAPE)


def test_a_voxel_with_two_meanings_is_refused():
    with pytest.raises(PromptError, match="clicked as lesion and as something else"):
        read_prompts({"lesion": [[1, 1, 1]], "background": [[1, 1, 1]]}, LABELS, SHAPE)
    with pytest.raises(PromptError, match="remove one"):
        read_prompts({"lesion": [[1, 1, 1]], "liver": [[1, 1, 1]]}, LABELS, SHAPE)


def test_whole_numbers_as_floats_are_accepted():
    assert read_prompts({"lesion": [[1.0, 2.0, 3.0]]}, LABELS, SHAPE).positive == {"lesion": ((1, 2, 3),)}


def test_more_clicks_than_a_request_may_hold_are_refused():
    voxels = [[i, j, k] for i in range(10) for j in range(20) for k in range(6)]
    with pytest.raises(PromptError, match="At most 1000 clicks"):
        read_prompts({"lesion": voxels}, LABELS, SHAPE)
    with pytest.raises(PromptError, match="At most 1000 clicks"):
        read_prompts({"lesion": voxels[:600], "background": voxels[600:]}, LABELS, SHAPE)
    assert len(read_prompts({"lesion": voxels[:1000]}, LABELS, SHAPE).positive["lesion"]) == 1000
