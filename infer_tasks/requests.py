"""What a viewer asks: its clicks, in whichever form it sends them, and how it wants the mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.interaction import Prompts, read_foreground_prompts, read_prompts
from lib.pet.image_files import EXTENSIONS

#: Characters of what a client calls itself.
LONGEST_CLIENT = 128


class RequestError(ValueError):
    """A request that cannot be answered; the message is one sentence that says why."""


@dataclass(frozen=True)
class Ask:
    """A request for a mask.

    Args:
        prompts: all clicks that the viewer holds.
        label: the label, where the request tells of one only, else "".
        client: what the viewer calls itself, or "".
        reset: forget what was clicked before.
        extension: the file format of the mask, one of EXTENSIONS.
        save: the mask becomes a label.
    """

    prompts: Prompts
    label: str
    client: str
    reset: bool
    extension: str
    save: bool


def ask_of(request: Mapping[str, Any], labels: Sequence[str], shape: Sequence[int]) -> Ask:
    """Read a request's parameters.

    Two forms are understood, told apart by their keys: DeepEdit's, with a list of voxels for each label's
    name, and DeepGrow's, with `foreground` and `background` for one `label` (where OHIF leaves that out, the
    first label is meant).

    Args:
        request: the parameters of an infer request.
        labels: names in use, `background` first.
        shape: the image's voxels along i, j and k.

    Raises:
        RequestError: an unknown label, file format or client.
        PromptError: clicks that cannot be used.
    """
    client = request.get("client_id") or ""
    if not isinstance(client, str) or len(client) > LONGEST_CLIENT:
        raise RequestError(f"client_id must be a text of at most {LONGEST_CLIENT} characters.")
    extension = request.get("result_extension") or EXTENSIONS[0]
    if extension not in EXTENSIONS:
        raise RequestError(f"result_extension must be one of {', '.join(EXTENSIONS)}.")
    one_label = "foreground" in request and "foreground" not in labels
    label = _current_label(request, labels) if one_label else ""
    if one_label:
        prompts = read_foreground_prompts(request, label, shape)
    else:
        prompts = read_prompts(request, labels, shape)
    reset, save = (is_true(request.get(key)) for key in ("reset_state", "save_label"))
    return Ask(prompts, label, client, reset, extension, save)


def is_true(value: Any) -> bool:
    """Whether a parameter is set, in the forms in which viewers write it."""
    return value in (True, "true", "True", 1)


def _current_label(request: Mapping[str, Any], labels: Sequence[str]) -> str:
    label = request.get("label") or labels[1]
    if label not in labels[1:]:
        raise RequestError(f"The label to click in must be one of {', '.join(labels[1:])}.")
    return label
