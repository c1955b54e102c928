"""autoPET IV's interactive protocol: clicks made beforehand, the same for every method.

State n of 11 (0 to 10) knows the first n clicks in tumour and the first n in background. The clicks come from
the challenge's files, or are made by its rules: the middles of ten lesions drawn at random, then voxels of
their boundaries; the middles of ten of the hottest parts without lesion, then voxels of their boundaries.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction import PromptError, Prompts, read_voxel
from lib.interaction.prompts import Index
from lib.learning.cases import Case, CaseError
from lib.pet import Volume

BUDGET = 10
#: Background worth a click lies above this percentile of what is no lesion.
HOT_PERCENTILE = 99.75
TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class GivenClicks:
    """The clicks of one case.

    Args:
        tumor: voxels (i, j, k) in lesions, in their order.
        background: voxels outside of lesions, in their order.
    """

    tumor: tuple[Index, ...]
    background: tuple[Index, ...]

    def first(self, count: int, label: str) -> Prompts:
        """Return what is known when so many clicks of each kind are made; the tumour's under a label."""
        tumor, background = sorted(set(self.tumor[:count])), sorted(set(self.background[:count]))
        return Prompts({label: tuple(tumor)} if tumor else {}, tuple(background))


def simulate_clicks(case: Case, rng: np.random.Generator) -> GivenClicks:
    """Make a case's clicks by the challenge's rules (its `simulate_clicks.py`): ten of each where it can.

    Voxels without a value take no click, so none is made there.
    """
    image, known = case.volume.array, np.isfinite(case.volume.array)
    truth = case.truth.to_grid(case.volume.shape)
    others = image[~truth & known]
    hot = np.zeros_like(truth)
    if others.size:
        hot = (image > np.percentile(others, HOT_PERCENTILE)) & ~truth & known
    return GivenClicks(tuple(_middles_then_edges(truth & known, rng)), tuple(_middles_then_edges(hot, rng)))


def read_clicks(path: str | Path, volume: Volume) -> GivenClicks:
    """Read a click file: `{"tumor": [[i, j, k], ...], "background": [...]}`, voxel indices from 0.

    Also read is Grand Challenge's form, with which autoPET IV runs an algorithm:
    `{"points": [{"name": "tumor", "point": [i, j, k]}, ...]}`.

    Raises:
        CaseError: no such file, not JSON of this form, or a voxel outside the image.
    """
    path = Path(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if "points" in content:
            content = _by_kind(content["points"])
        tumor, background = (_voxels(content[kind], kind, volume) for kind in ("tumor", "background"))
    except FileNotFoundError as error:
        raise CaseError(f"There is no click file {path.name}.") from error
    except PromptError as error:
        raise CaseError(f"{path.name}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaseError(
            f'{path.name} is no click file: it must be {{"tumor": [[i, j, k], ...], "background": [...]}}.'
        ) from error
    return GivenClicks(tumor, background)


def write_clicks(path: str | Path, tumor: Sequence[Index], background: Sequence[Index]) -> None:
    """Write a click file as `read_clicks` reads it."""
    content = {"tumor": [list(at) for at in tumor], "background": [list(at) for at in background]}
    Path(path).write_text(json.dumps(content) + "\n", encoding="utf-8")


def _by_kind(points: Any) -> dict[str, list[Any]]:
    kinds: dict[str, list[Any]] = {"tumor": [], "background": []}
    for point in points:
        kinds[point["name"]].append(point["point"])
    return kinds


def _voxels(value: Any, name: str, volume: Volume) -> tuple[Index, ...]:
    return tuple(read_voxel(voxel, name, volume.shape) for voxel in value)


def _middles_then_edges(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[Index]:
    """Return the deepest voxels of ten parts drawn at random, then voxels of their edges up to ten."""
    parts, count = ndimage.label(mask, structure=TOUCHING)
    boxes = ndimage.find_objects(parts)
    drawn = rng.permutation(count)[:BUDGET]
    middles: list[Index] = []
    edges: list[NDArray[np.int64]] = []
    for number in drawn:
        box = boxes[number]
        part = parts[box] == number + 1
        depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1, 1:-1]
        start = [side.start for side in box]
        i, j, k = np.add(np.unravel_index(int(np.argmax(depth)), part.shape), start).tolist()
        middles.append((i, j, k))
        edges.append(np.argwhere(part & (depth == depth[part].min())) + start)
    clicks = list(middles)
    for turn in range(BUDGET - len(clicks) if middles else 0):
        i, j, k = rng.choice(edges[turn % len(edges)]).tolist()
        clicks.append((i, j, k))
    return clicks
