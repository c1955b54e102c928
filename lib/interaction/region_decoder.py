"""One region of an image under a promptable network: its clicks, its embedding, its logits."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray

from lib.interaction import regions
from lib.interaction.lattice import Lattice
from lib.interaction.prompts import Click, Index, Step
from lib.interaction.segmenter import Stopwatch
from lib.network import PromptableNetwork, embedding_bytes, kept_apart
from lib.pet import Volume

#: A click with its lattice coordinates.
Point = tuple[Click, NDArray[np.float64]]
#: A voxel of a region's cube, and 1 for a positive click, 0 for a negative one.
Prompt = tuple[list[int], int]


class RegionDecoder:
    """Decodes regions of images, and keeps their embeddings from click to click.

    Args:
        network: the network, in eval mode.
        cache_bytes: bound of the embeddings kept; the least recently used go first.
    """

    def __init__(self, network: PromptableNetwork, cache_bytes: int) -> None:
        self.network = network
        self.size = network.config.image_size
        self._embeddings: LRUCache[tuple[str, float, Index], Any] = LRUCache(
            cache_bytes, getsizeof=embedding_bytes
        )

    def lattice(self, volume: Volume, spacing: float | None = None) -> Lattice:
        """Return an image's lattice at a spacing in mm, the network's own if none is given."""
        return Lattice(volume, spacing or self.network.config.spacing, self.size)

    def prompts(self, points: Iterable[Point], start: Index) -> list[Prompt]:
        """Return the clicks that lie in the region that begins at `start`."""
        return [
            (regions.voxel_of_cube(point, start).tolist(), int(click.positive))
            for click, point in points
            if regions.in_cube(point, start, self.size)
        ]

    def decode(
        self,
        lattice: Lattice,
        start: Index,
        prompts: list[Prompt],
        mask_logits: torch.Tensor | None,
        watch: Stopwatch,
    ) -> torch.Tensor:
        """Return a region's logits (1, 1, L, L, L) for its clicks and its logits of the step before."""
        embedding = self._embedding(lattice, start, watch)
        with watch.stage("decode"):
            voxels = torch.tensor([[voxel for voxel, _ in prompts]], dtype=torch.float32)
            labels = torch.tensor([[label for _, label in prompts]])
            return kept_apart(self.network.decode(embedding, voxels, labels, mask_logits).cpu())

    def component(self, prompts: list[Prompt], low: torch.Tensor) -> NDArray[np.bool_]:
        """Return the parts of a region's mask (L, L, L) in which its positive clicks lie."""
        per_cell = self.size // low.shape[-1]
        cells = [[at // per_cell for at in voxel] for voxel, label in prompts if label]
        return regions.component_with(low[0, 0].numpy() > 0, cells)

    def _embedding(self, lattice: Lattice, start: Index, watch: Stopwatch) -> Any:
        key = (lattice.volume.digest, lattice.spacing, start)
        if (kept := self._embeddings.get(key)) is not None:
            return kept
        with watch.stage("cut"):
            cube = self.network.normalise(lattice.cut(start)[None, None])
        with watch.stage("encode"):
            embedding = kept_apart(self.network.encode(cube))
        if embedding_bytes(embedding) <= self._embeddings.maxsize:
            self._embeddings[key] = embedding
        return embedding


def clicks_of(steps: Iterable[Step]) -> list[Click]:
    """Return the clicks of all steps."""
    return [click for step in steps for click in step]


def points_of(lattice: Lattice, steps: Iterable[Step]) -> list[Point]:
    """Return the clicks of all steps with their lattice coordinates."""
    return [(click, lattice.from_source(click.index)) for click in clicks_of(steps)]
