"""Labels: the names in use, and the class map of a study's objects."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lib.interaction.objects import AnnotatedObject
from lib.interaction.prompts import BACKGROUND, PromptError
from lib.pet import Crop
from lib.pet.organ_names import is_organ_name

DEFAULT_LABELS = (
    BACKGROUND,
    "lesion",
    "liver",
    "kidney_left",
    "kidney_right",
    "heart",
    "spleen",
    "aorta",
    "prostate",
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)

_LESION = re.compile(r"lesion|tumou?r|metasta|lymphoma|cancer|carcinoma|sarcoma|nod(e|ul)|gtv", re.IGNORECASE)
_NAME = re.compile(r"\w[\w .()-]{0,63}")
#: What MONAI Label's requests call their other parameters: a label of that name could not be told from these.
_RESERVED = frozenset(
    {"client_id", "description", "device", "file", "foreground", "image", "label", "label_info", "label_tag"}
    | {"method", "model", "name", "output", "params", "reset_state", "result_compress", "result_dtype"}
    | {"result_extension", "roi", "save_label", "session", "study", "value"}
)


def read_labels(text: str) -> tuple[str, ...]:
    """Return label names from a comma-separated list, `background` first; a name's place is its class.

    Raises:
        PromptError: no name, a name twice, more than 255, or one that cannot be a label: not made of letters,
            digits, blanks and `_-.()`, or the name of another parameter of a request.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    names = [name for name in names if name != BACKGROUND]
    if not names and text.strip():
        raise PromptError(f"{BACKGROUND} is what negative clicks are called: name what they surround.")
    if not names or len(names) > 255 or len(set(names)) < len(names):
        raise PromptError("Labels must be 1 to 255 different names, separated by commas.")
    if taken := _RESERVED.intersection(names):
        raise PromptError(f"'{min(taken)}' cannot be a label: requests have a parameter of that name.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise PromptError(
                f"'{name[:64]}' cannot be a label: use up to 64 letters, digits, blanks or _-.()."
            )
    return (BACKGROUND, *names)


def is_lesion(label: str) -> bool:
    """Whether a label means disease: its name says so, or it is no organ that is known here."""
    return label != BACKGROUND and (says_lesion(label) or not is_organ_name(label))


def says_lesion(name: str) -> bool:
    """Whether a name has a word for a lesion, such as GTV, tumour or node."""
    return bool(_LESION.search(name))


def precedence(obj: AnnotatedObject, labels: Sequence[str]) -> tuple[bool, bool, int, int]:
    """Return what sorts objects so that where two overlap, the later one is the one that is seen.

    An accepted lesion keeps its voxels, whatever is clicked afterwards; so does an organ, but from lesions.
    """
    return is_lesion(obj.label), obj.status == "accepted", labels.index(obj.label), obj.id


def with_label_in_use(obj: AnnotatedObject, labels: Sequence[str]) -> tuple[AnnotatedObject, tuple[str, ...]]:
    """Return an object with a label that is in use, and a warning where its own is not.

    It is then of the first label that means a lesion, the first of all where none does, and named by its own.
    """
    if obj.label in labels[1:]:
        return obj, ()
    label = next(filter(is_lesion, labels), labels[1])
    told = (f"Its label was {obj.label}, which is none here.",)
    return replace(obj, label=label, name=obj.name or obj.label[:64]), told


def class_map(
    shape: Sequence[int], objects: Sequence[AnnotatedObject], masks: Mapping[int, Crop], labels: Sequence[str]
) -> NDArray[np.uint8]:
    """Return the classes of all voxels: uint8 [i, j, k], a label's value is its place in `labels`.

    Where objects overlap, lesions win over organs, accepted objects over others, later labels over earlier
    ones.
    """
    by_priority = sorted(objects, key=lambda obj: precedence(obj, labels))
    # Fortran order is the order of NIfTI and NRRD files: written without another copy.
    grid = np.zeros(tuple(shape), dtype=np.uint8, order="F")
    for obj in by_priority:
        mask = masks[obj.id]
        grid[mask.slices][mask.array] = labels.index(obj.label)
    return grid
