"""From a mask in a file to its objects: one for each value, or for each connected part."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.crop import Crop

Instances = Literal["auto", "values", "parts"]

_TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)


def objects_of(mask: NDArray[np.unsignedinteger], instances: Instances = "auto") -> list[tuple[int, Crop]]:
    """Return the objects of a mask, each with the value that it has there, by value; larger parts first.

    Args:
        mask: whole numbers [i, j, k], 0 is no object.
        instances: "values": each value is one object, as in an instance map; "parts": each connected part of
            each value is one (26 neighbours: face, edge or corner), as in a class map; "auto": parts where
            the mask has a single value, else values.
    """
    boxes = [(value, box) for value, box in enumerate(ndimage.find_objects(mask), start=1) if box]
    if instances == "values" or (instances == "auto" and len(boxes) > 1):
        return [(value, _crop(box, mask[box] == value)) for value, box in boxes]
    objects = []
    for value, box in boxes:
        labelled, _ = ndimage.label(mask[box] == value, structure=_TOUCHING)
        parts = [
            _crop(inner, labelled[inner] == number, box)
            for number, inner in enumerate(ndimage.find_objects(labelled), start=1)
        ]
        parts.sort(key=lambda part: -part.count)
        objects += [(value, part) for part in parts]
    return objects


Box = tuple[slice, slice, slice]


def _crop(box: Box, array: NDArray[np.bool_], outer: Box | None = None) -> Crop:
    """Return a box, which may be one within another, as a crop."""
    offset = [part.start for part in outer] if outer else [0, 0, 0]
    i, j, k = (part.start + start for part, start in zip(box, offset, strict=True))
    return Crop((i, j, k), array)
