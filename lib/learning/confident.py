"""Confident learning from labels that may be wrong: what several prompt sets agree on corrects them.

After SegAnyPET's cross-prompting confident learning (Zhang et al., arXiv 2502.14351): several sets of clicks
ask for the same object. Networks learn what labels have in common before they learn single faults, so that
labels are judged once, after some epochs, by the averaged weights. An object's label is doubted that agrees
with the mean answers clearly less than labels of this training do (the threshold is the set's own, as in
Northcutt et al. 2021, arXiv 1911.00068). What the first click means is no longer learnt from it: voxels of
which the answers are sure are rectified; of the others (entropy of the mean) the mean itself is learnt, which
keeps the outline where it was. How an answer follows corrections is still learnt from the label, for clicks
that lead to a wrong outline are as good a lesson as any.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lib.learning.kept_regions import Kept, KeptRegions
from lib.learning.rounds import dice_of
from lib.network import Embedding, PromptableNetwork

#: Clicks, one at a time, by which the same object is asked for.
PROMPT_SETS = 4
#: A label is doubted that agrees less than this share of what is usual.
DOUBTED = 0.8
#: Bits of entropy up to which a mean answer is sure.
SURE = 0.5
_REGIONS = 4  # of an object that are asked about
_TRUSTED = 50  # objects with a trusted label that are asked about, at most
_TOGETHER = 4


def judged(
    network: PromptableNetwork, kept: KeptRegions, regions: Sequence[Kept], random: np.random.Generator
) -> frozenset[int]:
    """Return the places of regions whose label is doubted, each object's as a whole; never a trusted one.

    Trusted labels say too what is usual: where most of the others are wrong, these would say nothing.

    Args:
        network: that has learnt from them for a while.
        kept: where the regions are.
        regions: to learn from.
        random: draws the clicks.
    """
    objects: dict[tuple[str, int], list[int]] = {}
    for place, region in enumerate(regions):
        objects.setdefault((region.file.name, region.object), []).append(place)
    trusted = [places for places in objects.values() if regions[places[0]].trusted]
    doubtful = [places for places in objects.values() if not regions[places[0]].trusted]
    if not doubtful:
        return frozenset()
    asked = [*doubtful, *(trusted[at] for at in random.permutation(len(trusted))[:_TRUSTED])]
    agreements = [
        _agreement(network, kept, [regions[place] for place in places[:_REGIONS]], random) for places in asked
    ]
    least = DOUBTED * float(np.median(agreements))
    doubted = [places for places, agreement in zip(doubtful, agreements, strict=False) if agreement < least]
    return frozenset(place for places in doubted for place in places)


@torch.no_grad()
def _agreement(
    network: PromptableNetwork, kept: KeptRegions, regions: Sequence[Kept], random: np.random.Generator
) -> float:
    """Return the mean over an object's regions of the Dice of its label and the mean answer's mask."""
    found: list[float] = []
    for at in range(0, len(regions), _TOGETHER):
        batch = kept.read(regions[at : at + _TOGETHER])
        embedding = batch.embedding if batch.embedding is not None else network.encode(batch.cubes)  # type: ignore[arg-type]
        mean = mean_answer(network, embedding, batch.target, batch.point, random)
        found += dice_of(mean - 0.5, batch.target).tolist()
    return float(np.mean(found))


@torch.no_grad()
def mean_answer(
    network: PromptableNetwork,
    embedding: Embedding,
    target: Tensor,
    points: Tensor,
    random: np.random.Generator,
) -> Tensor:
    """Return the mean probability of the answers to several clicks: (B, 1, S, S, S).

    Each answer is to one positive click in the label. Corrections by the label would only repeat its faults.

    Args:
        network: as it is now.
        embedding: of B cubes.
        target: (B, 1, S, S, S), 0 or 1.
        points: (B, 1, 3), the first of the clicks.
        random: draws the others.
    """
    mean = torch.zeros_like(target)
    for number in range(PROMPT_SETS):
        clicks = points if number == 0 else _other_points(target, random)
        logits = network.decode(embedding, clicks, torch.ones(clicks.shape[:2]))
        mean += network.upsample(logits.float()).sigmoid() / PROMPT_SETS
    return mean


def rectified(target: Tensor, mean: Tensor, doubted: Tensor) -> Tensor:
    """Return what the first answer learns: doubted labels rectified, all others as they are.

    It is (B, 1, S, S, S), 0 to 1.

    Args:
        target: (B, 1, S, S, S), 0 or 1.
        mean: the same shape, what `mean_answer` returned.
        doubted: (B,) bool.
    """
    corrected = torch.where(entropy(mean) <= SURE, (mean > 0.5).float(), mean)
    return torch.where(doubted.to(target.device)[:, None, None, None, None], corrected, target)


def entropy(probability: Tensor) -> Tensor:
    """Return the binary entropy of probabilities in bits, 0 to 1."""
    p = probability.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()) / math.log(2)


def _other_points(target: Tensor, random: np.random.Generator) -> Tensor:
    """Return another voxel of each target: (B, 1, 3)."""
    chosen = []
    for cube in target[:, 0].cpu().numpy():
        voxels = np.argwhere(cube > 0)
        chosen.append(voxels[random.integers(len(voxels))])
    return torch.from_numpy(np.stack(chosen)).float()[:, None]
