"""What an annotator clicked is what the click says, whatever a network makes of it."""

from collections.abc import Iterable

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
