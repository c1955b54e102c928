"""Regions on disk: drawn once, encoded once where the encoder stays as it is, read a few at a time.

A file a study, in safetensors. Memory does not grow with the studies, an epoch reads what it needs, and a
training that goes on draws nothing anew.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lib.learning.cases import CaseError
from lib.learning.drawn_regions import Region, draw_regions
from lib.learning.studies import Source
from lib.network import Embedding
from lib.network.checkpoints import Network
from lib.pet import VolumeError
from lib.store.atomic import write_atomic

_ENCODED_TOGETHER = 4


@dataclass(frozen=True)
class Kept:
    """One region on disk.

    Args:
        file: of its study.
        number: in the file.
        object: of the study that it shows, from 0.
        trusted: whether its label is taken for right.
    """

    file: Path
    number: int
    object: int
    trusted: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """What is learnt from at once. S is the cube's side.

    Args:
        cubes: (B, 1, S, S, S) float32, normalised; None where embeddings were kept.
        embedding: of B cubes; None where cubes were kept.
        target: (B, 1, S, S, S) float32, 0 or 1.
        point: (B, 1, 3) float32, voxel of the first click.
    """

    cubes: Tensor | None
    embedding: Embedding | None
    target: Tensor
    point: Tensor


class KeptRegions:
    """The regions of any number of studies, in a folder.

    Args:
        folder: where they are kept; what is there already is not drawn again.
        network: in whose form they are.
        encoded: keep embeddings, for a training in which the encoder does not change; else the cubes.
        each: regions of an object.
        most: objects of a study.
        seed: of their drawing.
    """

    def __init__(
        self, folder: Path, network: Network, encoded: bool, each: int = 8, most: int = 20, seed: int = 0
    ) -> None:
        self.folder, self.network, self.encoded = folder, network, encoded
        self._drawing = (each, most, seed)
        self._form = (network.digest if encoded else "", network.config.to_json(), self._drawing)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def of(self, sources: Sequence[Source], report: Callable[[int], None] = lambda _: None) -> list[Kept]:
        """Return the regions of some studies, drawn and encoded where they are not there yet.

        A study that cannot be read, or has nothing outlined, has none.

        Args:
            sources: studies.
            report: called with the number of studies done.
        """
        regions: list[Kept] = []
        for number, source in enumerate(sources, start=1):
            file = self.folder / f"{self._key(source)}.safetensors"
            if (count := _count(file)) is None:
                count = self._draw(source, file)
            regions += [Kept(file, at, at // self._drawing[0], source.trusted) for at in range(count)]
            report(number)
        return regions

    def read(self, regions: Sequence[Kept]) -> Batch:
        """Read some regions, on the network's device."""
        device, side = self.network.device, self.network.config.image_size
        rows: list[dict[str, Tensor]] = []
        for region in regions:
            with safe_open(region.file, framework="pt") as file:
                prefix = f"{region.number}."
                names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 -- not a dict
                rows.append({name.removeprefix(prefix): file.get_tensor(name) for name in sorted(names)})
        target = np.stack([np.unpackbits(row["target"].numpy(), count=side**3) for row in rows])
        parts = [name for name in rows[0] if name.startswith("embedding")]
        joined = tuple(torch.stack([row[name].float() for row in rows]).to(device) for name in parts)
        cubes = None if parts else torch.stack([row["cube"].float() for row in rows]).to(device)
        return Batch(
            cubes,
            (joined if len(joined) > 1 else joined[0]) if parts else None,
            torch.from_numpy(target).view(-1, 1, side, side, side).float().to(device),
            torch.stack([row["point"] for row in rows]).float(),
        )

    def _key(self, source: Source) -> str:
        return hashlib.sha256(repr((self._form, source.name, source.stamp())).encode()).hexdigest()

    @torch.inference_mode()
    def _draw(self, source: Source, file: Path) -> int:
        """Draw a study's regions into its file; return how many there are."""
        tensors: dict[str, Tensor] = {}
        waiting: list[Region] = []
        count = 0

        def keep() -> None:
            nonlocal count
            if waiting:
                for row in self._rows(waiting):
                    tensors.update({f"{count}.{name}": value for name, value in row.items()})
                    count += 1
                waiting.clear()

        try:
            case = source.read()
        except (CaseError, VolumeError, OSError):
            return 0  # not kept: it may be mended
        each, most, seed = self._drawing
        for region in draw_regions(case, self.network.config, each, most, seed):
            waiting.append(region)
            if len(waiting) == _ENCODED_TOGETHER:
                keep()
        keep()
        write_atomic(file, save(tensors, metadata={"regions": str(count)}))
        return count

    def _rows(self, regions: Sequence[Region]) -> list[dict[str, Tensor]]:
        cubes = self.network.normalise(torch.stack([region.image for region in regions])[:, None])
        parts = {"cube": cubes}
        if self.encoded:
            embedding = self.network.encode(cubes)
            leaves = embedding if isinstance(embedding, tuple) else (embedding,)
            parts = {f"embedding.{place}": leaf for place, leaf in enumerate(leaves)}  # type: ignore[misc]
        return [
            {
                **{name: value[place].cpu().half().contiguous() for name, value in parts.items()},
                "target": torch.from_numpy(np.packbits(region.target)),
                "point": torch.from_numpy(region.point.astype(np.int16))[None],
            }
            for place, region in enumerate(regions)
        ]


def _count(file: Path) -> int | None:
    """Return how many regions a file holds; None where there is none, or it is damaged."""
    try:
        with safe_open(file, framework="pt") as content:
            return int((content.metadata() or {})["regions"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
