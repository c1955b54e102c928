"""Looks: regions of a network's lattices with their logits, and the mask that they make together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lib.interaction.lattice import Lattice
from lib.interaction.prompts import Click, Index
from lib.interaction.told import as_told
from lib.pet import Crop

#: A region of a lattice: its first voxel, and its logits (1, 1, L, L, L).
Look = tuple[Lattice, Index, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Around:
    """One region about an object's anchor at a wider spacing.

    Args:
        lattice: of that spacing.
        start: the region's first lattice voxel.
        logits: of all that was seen (1, 1, L, L, L).
        component: (L, L, L), the parts with a positive click in them.
    """

    lattice: Lattice
    start: Index
    logits: torch.Tensor
    component: NDArray[np.bool_]

    @property
    def length_mm(self) -> float:
        """How long the object is along the axis where it is longest."""
        extent = [int(np.ptp(at)) + 1 if at.size else 0 for at in self.component.nonzero()]
        return max(extent) * self.lattice.size * self.lattice.spacing / len(self.component)

    @property
    def look(self) -> Look:
        """The region with logits that are 0 where they show other objects."""
        others = torch.from_numpy(~self.component) & (self.logits[0, 0] > 0)
        return self.lattice, self.start, self.logits.masked_fill(others, 0.0)


def mask_of(looks: Sequence[Look], clicks: Iterable[Click]) -> Crop:
    """Return the mask of the logits, clicked voxels as told; where the network finds nothing, nothing."""
    mask = _merge(looks)
    return as_told(mask, clicks).tight() if mask.any() else mask


def _merge(looks: Sequence[Look]) -> Crop:
    """Return where the mean logits are above 0, weighted by the share of the way from face to middle."""
    boxes = [(lattice, start, *lattice.to_source(low[0, 0], start)) for lattice, start, low in looks]
    boxes = [box for box in boxes if box[3].size]
    if not boxes:
        return Crop.empty()
    if len(boxes) == 1:
        _, _, first, values = boxes[0]
        return Crop(first, values > 0).tight()
    begin = np.min([first for _, _, first, _ in boxes], axis=0)
    end = np.max([np.add(first, values.shape) for _, _, first, values in boxes], axis=0)
    total = np.zeros(end - begin, dtype=np.float32)
    cells = looks[0][2].shape[-1]
    inward = np.minimum(np.arange(cells), np.arange(cells)[::-1]) + 0.5
    weight = torch.from_numpy(np.minimum.reduce(np.meshgrid(inward, inward, inward))).float()
    for lattice, start, first, values in boxes:
        where = tuple(slice(a, a + n) for a, n in zip(np.subtract(first, begin), values.shape, strict=True))
        # The sign of the weighted mean is the sign of the weighted sum.
        total[where] += values * lattice.to_source(weight, start)[1]
    return Crop((int(begin[0]), int(begin[1]), int(begin[2])), total > 0).tight()
