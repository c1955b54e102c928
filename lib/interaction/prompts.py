"""Prompts: what an annotator clicked, read from the forms in which the viewers of MONAI Label send it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BACKGROUND = "background"
FOREGROUND = "foreground"

#: Clicks of a request at most: each is decoded, and others wait meanwhile.
MOST_CLICKS = 1000

Index = tuple[int, int, int]


class PromptError(ValueError):
    """Clicks that cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True, order=True)
class Click:
    """One click.

    Args:
        index: voxel (i, j, k) of the source image, 0-based.
        positive: it lies in the object; otherwise it lies outside of it.
    """

    index: Index
    positive: bool


#: The clicks that one request adds to an object, sorted: viewers keep no order.
Step = tuple[Click, ...]


@dataclass(frozen=True)
class Prompts:
    """Everything a viewer says about a study at one moment.

    Args:
        positive: for each label the voxels (i, j, k) clicked in it, sorted.
        negative: the voxels clicked as background of every label, sorted.
        warnings: what was left out, in plain words.
    """

    positive: Mapping[str, tuple[Index, ...]] = field(default_factory=dict)
    negative: tuple[Index, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(map(len, self.positive.values())) + len(self.negative) > MOST_CLICKS:
            raise PromptError(f"At most {MOST_CLICKS} clicks are taken at a time.")
        for label, clicked in self.positive.items():
            both = sorted(set(clicked) & set(self.against(label)))
            if both:
                raise PromptError(
                    f"Voxel {both[0]} was clicked as {label} and as something else; remove one."
                )

    def against(self, label: str) -> tuple[Index, ...]:
        """Return the voxels that are negative for a label: the background and the other labels' clicks."""
        others = (voxel for other, clicked in self.positive.items() if other != label for voxel in clicked)
        return tuple(sorted({*self.negative, *others}))


def read_prompts(request: Mapping[str, Any], labels: Sequence[str], shape: Sequence[int]) -> Prompts:
    """Read the form of DeepEdit: a list of voxels for each label's name, and for `background`.

    Keys that are no label are left alone, for MONAI Label mixes its options into the request; where they look
    like clicks, a warning says that they were left out (OHIF keeps sending the keys of former labels).

    Args:
        request: the parameters of an infer request.
        labels: the names in use; `background` is always understood.
        shape: the image's voxels along i, j and k.

    Raises:
        PromptError: a list that holds no voxels, a voxel outside the image, one that is clicked twice with
            different meanings, more clicks than MOST_CLICKS, or clicks of unknown labels alone.
    """
    names = [label for label in labels if label != BACKGROUND]
    positive = {name: _voxels(request[name], name, shape) for name in names if request.get(name)}
    negative = _voxels(request.get(BACKGROUND), BACKGROUND, shape)
    unknown = sorted(key for key, value in request.items() if key not in labels and _looks_like_clicks(value))
    unknown = [key for key in unknown if key not in (BACKGROUND, FOREGROUND)]
    if unknown and not positive and not negative:
        raise PromptError(f"{_quoted(unknown)} is not a label here; the labels are {', '.join(names)}.")
    warnings = (f"Clicks of {_quoted(unknown)} were left out: no such label here.",) if unknown else ()
    return Prompts(positive, negative, warnings)


def read_foreground_prompts(request: Mapping[str, Any], label: str, shape: Sequence[int]) -> Prompts:
    """Read the form of DeepGrow: the keys `foreground` and `background`, both for one label.

    Raises:
        PromptError: as `read_prompts`.
    """
    positive = _voxels(request.get(FOREGROUND), FOREGROUND, shape)
    return Prompts({label: positive} if positive else {}, _voxels(request.get(BACKGROUND), BACKGROUND, shape))


def read_voxel(value: Any, name: str, shape: Sequence[int]) -> Index:
    """Return one voxel index of an image.

    Raises:
        PromptError: not three whole numbers, or outside the image.
    """
    if not _looks_like_voxel(value) or any(number != int(number) for number in value):
        raise PromptError(f"A click of {name} must be three whole numbers, the voxel's i, j and k.")
    i, j, k = (int(number) for number in value)
    if not all(0 <= number < size for number, size in zip((i, j, k), shape, strict=True)):
        size = " x ".join(str(number) for number in shape)
        raise PromptError(f"The click {(i, j, k)} of {name} lies outside the image of {size} voxels.")
    return i, j, k


def _voxels(value: Any, name: str, shape: Sequence[int]) -> tuple[Index, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise PromptError(f"The clicks of {name} must be a list of voxels [i, j, k].")
    return tuple(sorted({read_voxel(voxel, name, shape) for voxel in value}))


def _looks_like_voxel(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
        and all(abs(number) < 2**31 for number in value)
    )


def _looks_like_clicks(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and bool(value) and all(_looks_like_voxel(voxel) for voxel in value)
    )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
