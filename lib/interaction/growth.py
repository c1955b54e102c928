"""Growth: an object that reaches a region's face is followed into overlapping neighbours."""

import numpy as np
import torch
from scipy import ndimage

from lib.interaction import regions
from lib.interaction.lattice import Lattice
from lib.interaction.prompts import Index
from lib.interaction.region_decoder import Point, Prompt, RegionDecoder
from lib.interaction.segmenter import Stopwatch

#: An object is looked at in at most so many regions; a spine of 70 cm needs seven.
MAX_REGIONS = 8


def grown_regions(
    decoder: RegionDecoder,
    lattice: Lattice,
    clicked: dict[Index, torch.Tensor],
    points: list[Point],
    watch: Stopwatch,
) -> tuple[dict[Index, torch.Tensor], tuple[str, ...]]:
    """Follow an object through the faces of its regions; return the neighbours' logits and warnings.

    Args:
        decoder: of the network.
        lattice: of the regions.
        clicked: logits (1, 1, L, L, L) of the regions to begin with, by their first lattice voxel.
        points: all clicks.
        watch: for the time spent.
    """
    size = decoder.size
    grown: dict[Index, torch.Tensor] = {}
    warnings: dict[str, None] = {}
    seeds: dict[Index, list[Prompt]] = {start: decoder.prompts(points, start) for start in clicked}
    queue = list(clicked)
    while queue:
        start = queue.pop(0)
        low = (clicked | grown)[start]
        component = decoder.component(seeds[start], low)
        faces = regions.faces_reached(component)
        if len(faces) > regions.LEAK_FACES:
            warnings[
                "The mask reaches nearly all sides of the region around the click; add negative clicks."
            ] = None
            grown.pop(start, None)
            continue
        for face in faces:
            if not _continues(lattice, start, face):
                continue
            following, seed = regions.neighbour(component, face, start, size)
            known = clicked | grown
            if any(np.max(np.abs(np.subtract(following, other))) <= size // 4 for other in known):
                continue
            if len(known) >= MAX_REGIONS:
                warnings[f"The object goes on beyond {MAX_REGIONS} regions; click where it is missing."] = (
                    None
                )
                break
            seeds[following] = [(np.subtract(seed, following).tolist(), 1)]
            prompts = [*seeds[following], *decoder.prompts(points, following)]
            shift = np.subtract(start, following) / (size // low.shape[-1])
            overlap = ndimage.shift(low[0, 0].numpy(), shift, order=1, cval=0.0)
            mask_logits = torch.from_numpy(overlap)[None, None]
            grown[following] = decoder.decode(lattice, following, prompts, mask_logits, watch)
            queue.append(following)
    return grown, tuple(warnings)


def _continues(lattice: Lattice, start: Index, face: tuple[int, int]) -> bool:
    """Whether the image goes on beyond a face of a cube."""
    axis, side = face
    return start[axis] > 0 if side < 0 else start[axis] + lattice.size < lattice.shape[axis]
