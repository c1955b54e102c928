"""A mask obeys its clicks, in the clicked voxels and in its size, whatever a network makes of them."""

from collections.abc import Iterable, Sequence

import numpy as np

from lib.interaction.prompts import Click
from lib.pet import Crop


def as_told(mask: Crop, clicks: Iterable[Click]) -> Crop:
    """Return a mask with every clicked voxel in it or not, as the click says; itself where that is so."""
    for click in clicks:
        if click.positive != mask.contains(click.index):
            voxel = Crop(click.index, np.ones((1, 1, 1), dtype=np.bool_))
            mask = mask.union(voxel) if click.positive else mask.minus(voxel)
    return mask


def as_meant(mask: Crop, before: Crop, step: Sequence[Click]) -> Crop:
    """Return a mask that a step has not made smaller by adding, nor larger by taking away.

    A network that many corrections have led far from what it learnt may do so. Then what the mask had stays,
    or what it had not stays out. A step with clicks of both kinds may do either.

    Args:
        mask: after the step.
        before: before it; where that is empty, anything is meant.
        step: its clicks.
    """
    kinds = {click.positive for click in step}
    if not before.any() or len(kinds) != 1:
        return mask
    if kinds == {True}:
        return mask.union(before) if mask.count < before.count else mask
    return mask.minus(mask.minus(before)) if mask.count > before.count else mask
