import pytest

from infer_tasks.requests import RequestError, ask_of
from lib.interaction import PromptError

LABELS = ("background", "lesion", "liver")
SHAPE = (10, 10, 10)


def ask(**request):
    return ask_of(request, LABELS, SHAPE)


def test_slicers_deepedit_form_is_read():
    asked = ask(
        background=[[1, 1, 1]],
        lesion=[[2, 2, 2], [3, 3, 3]],
        liver=[],
        label="lesion",
        client_id="user-xyz",
        result_extension=".nrrd",
        result_dtype="uint8",
    )
    assert asked.prompts.positive == {"lesion": ((2, 2, 2), (3, 3, 3))}
    assert asked.prompts.negative == ((1, 1, 1),)
    assert (asked.client, asked.label, asked.extension) == ("user-xyz", "", ".nrrd")


def test_the_deepgrow_form_is_for_one_label():
    asked = ask(label="liver", foreground=[[2, 2, 2]], background=[[1, 1, 1]])
    assert asked.prompts.positive == {"liver": ((2, 2, 2),)}
    assert asked.prompts.negative == ((1, 1, 1),)
    assert asked.label == "liver"


def test_ohifs_deepgrow_form_has_no_label():
    assert ask(foreground=[[2, 2, 2]], background=[]).prompts.positive == {"lesion": ((2, 2, 2),)}


def test_foreground_may_be_a_label_of_its_own():
    asked = ask_of({"foreground": [[2, 2, 2]]}, ("background", "foreground"), SHAPE)
    assert asked.prompts.positive == {"foreground": ((2, 2, 2),)}
    assert asked.label == ""


def test_nothing_clicked_is_no_error():
    asked = ask()
    assert not asked.prompts.positive
    assert (asked.client, asked.extension, asked.reset) == ("", ".nrrd", False)


@pytest.mark.parametrize(
    ("value", "reset"), [(True, True), ("true", True), (False, False), ("", False), ([], False)]
)
def test_reset_state_is_read_as_viewers_write_it(value, reset):
    assert ask(reset_state=value).reset is reset


@pytest.mark.parametrize(
    "request_",
    [
        {"foreground": [[1, 1, 1]], "label": "tumor"},
        {"foreground": [[1, 1, 1]], "label": "background"},
        {"foreground": [[1, 1, 1]], "label": ["lesion"]},
        {"foreground": [[1, 1, 1]], "label": {"lesion": 1}},
        {"result_extension": ".dcm"},
        {"result_extension": ["../../x.nii"]},
        {"client_id": 7},
        {"client_id": "x" * 129},
    ],
)
def test_what_cannot_be_answered_is_refused(request_):
    with pytest.raises(RequestError):
        ask(**request_)


def test_clicks_outside_the_image_are_refused():
    with pytest.raises(PromptError, match="outside the image"):
        ask(foreground=[[10, 0, 0]])
