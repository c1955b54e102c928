"""What the values of a label are called: by its own file, by the client that sends it, or by the server."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from lib.interaction.prompts import BACKGROUND

#: A mask's values and their names, in the order in which they were told.
Named = Sequence[tuple[int, str]]

_MOST, _LONGEST = np.iinfo(np.uint16).max, 64


def read_names(label_info: Any) -> Named:
    """Read `label_info` of a client: `[{"name": "lesion", "idx": 1}]`, further keys are not used.

    Raises:
        HTTPException: 422 for another form: what is not understood would be stored as another organ.
    """
    entries = [] if label_info is None else label_info
    if not isinstance(entries, list):
        raise _refused('label_info must be a list, [{"name": "lesion", "idx": 1}].')
    told = [(_value(entry), _name(entry)) for entry in entries]
    if any(value == 0 and name != BACKGROUND for value, name in told):
        raise _refused(f"label_info names the value 0, which is {BACKGROUND}.")
    if len(dict(told)) < len(told):
        raise _refused("label_info names a value twice.")
    return told


def values_of(mask: NDArray[np.unsignedinteger]) -> set[int]:
    """Return the values that a mask holds, but for 0."""
    return set(np.flatnonzero(np.bincount(mask.ravel(order="K"))).tolist()) - {0}


def as_in_the_mask(told: Named, values: Collection[int], labels: Sequence[str]) -> Named:
    """Return the names that a client told, each with the value that the mask has for it.

    3D Slicer's module counts a segment `background` in `idx`, but exports the others as 1, 2, 3: it says 2 of
    lesion where the mask has 1. A list that is numbered so from 2 is read as Slicer's where it begins with
    the server's labels, or where only that reading names all values; as it stands where only that one does.

    Args:
        told: as `read_names` gives it.
        values: that the mask holds.
        labels: of the server, `background` first.

    Raises:
        HTTPException: 422 where both readings can be, and differ.
    """
    names = [name for _, name in told]
    numbers = [value for value, _ in told]
    by_place = list(enumerate(names, start=1))
    if (
        numbers != list(range(2, len(told) + 2))
        or not set(names) & set(labels)
        or not set(values) <= set(dict(by_place))
    ):
        return told
    if names[: len(labels) - 1] == list(labels[1:]):
        return by_place
    as_told = names_of_values(told, labels)
    if not set(values) <= as_told.keys():
        return by_place
    if all(as_told[value] == dict(by_place)[value] for value in values):
        return told
    raise _refused(
        "label_info counts from 2, and may mean the values 1, 2, ... (3D Slicer) or those it names: in "
        "Slicer keep all segments of the server in their order; in a script add "
        '{"name": "background", "idx": 0}.'
    )


def names_of_values(told: Named, labels: Sequence[str]) -> dict[int, str]:
    """Return the names of all values: those told, else the server's labels.

    A label that is told of another value is not that of its own place too. Besides 0, none is `background`.
    """
    elsewhere = {name for _, name in told}
    names = {value: name for value, name in enumerate(labels) if name not in elsewhere} | dict(told)
    return {value: name for value, name in names.items() if name != BACKGROUND} | {0: BACKGROUND}


def _value(entry: Any) -> int:
    value = entry.get("idx") if isinstance(entry, dict) else None
    if isinstance(value, str | float):
        # "3" and 3.0, as scripts have them from JSON's keys and from numpy.
        try:
            value = int(value) if isinstance(value, str) or value.is_integer() else None
        except (ValueError, OverflowError):
            value = None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise _refused(
            f"Each entry of label_info needs an idx, a whole number up to {_MOST}: "
            '{"name": "lesion", "idx": 1}.'
        )
    return value


def _name(entry: dict[str, Any]) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST or not name.isprintable():
        raise _refused(f"Each entry of label_info needs a name of 1 to {_LONGEST} printable characters.")
    return name.strip()


def _refused(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)
