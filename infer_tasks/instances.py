"""Instances: which object each voxel of a saved label belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from infer_tasks.sessions import Clicked
from lib.interaction import AnnotatedObject
from lib.pet.components import objects_of

_MOST = np.iinfo(np.uint16).max


def instances(
    mask: NDArray[np.unsignedinteger],
    names: Mapping[int, str],
    clicked: Sequence[Clicked],
    spacing: Sequence[float],
) -> tuple[NDArray[np.uint16], list[dict[str, Any]]]:
    """Divide a class map, as an annotator saves it, among the objects that were clicked.

    What the objects' masks and the class map agree on is theirs; where two share a voxel, the later one's.
    The rest was drawn by hand, or came from elsewhere: in each connected part (26 neighbours) of a class, it
    goes to the nearest object there; a part without any is an object of its own, without clicks. An object
    whose mask is not known counts by its positive clicks. Objects of which no voxel was saved are left out.
    Objects keep their numbers where each has another, as in a session of our own panel.

    Args:
        mask: classes [i, j, k].
        names: of the classes; one without a name goes by its number.
        clicked: what the annotator clicked in this image, the newest last.
        spacing: mm of a voxel's sides.

    Returns:
        The instance map, uint16 [i, j, k], 0 where the class is 0 (and after 65535 objects); and the objects
        for JSON, whose `id` is their value in the map, with `model` and `weights` where they were clicked.
    """
    grid: NDArray[np.uint16] = np.zeros(mask.shape, np.uint16, order="F")
    objects = [one.object for one in clicked[:_MOST]]
    if len({obj.id for obj in objects}) < len(objects):
        objects = [replace(obj, id=number) for number, obj in enumerate(objects, start=1)]
    highest = max((obj.id for obj in objects), default=0)
    for one, obj in zip(clicked, objects, strict=False):
        classes = [value for value, name in names.items() if name == obj.label]
        if one.mask is None:
            places = tuple(np.array(sorted(obj.positive), dtype=np.intp).reshape(-1, 3).T)
            grid[places] = np.where(np.isin(mask[places], classes), obj.id, grid[places])
        else:
            box = one.mask.slices
            grid[box][one.mask.array & np.isin(mask[box], classes)] = obj.id
    for value, part in objects_of(mask, "parts"):
        inside = grid[part.slices]
        known = part.array & (inside > 0)
        if known.any():
            nearest = ndimage.distance_transform_edt(
                ~known, sampling=spacing, return_distances=False, return_indices=True
            )
            inside[part.array] = inside[tuple(nearest[:, part.array])]
        elif highest < _MOST:
            highest += 1
            objects.append(AnnotatedObject.new(highest, names.get(value, str(value)), None))
            inside[part.array] = highest
    saved = np.bincount(grid.ravel(order="K"), minlength=highest + 1) > 0
    told = [{"model": one.model, "weights": one.weights} for one in clicked] + [{}] * len(objects)
    return grid, [
        {**obj.as_dict(), **origin} for obj, origin in zip(objects, told, strict=False) if saved[obj.id]
    ]
