"""Confident learning from labels that may be wrong: what several prompt sets agree on corrects them.

After SegAnyPET's cross-prompting confident learning (Zhang et al., arXiv 2502.14351): several sets of clicks
ask for the same object. A label that agrees with the mean answer clearly less than labels usually do is
doubted (the threshold is the set's own, as in Northcutt et al. 2021, arXiv 1911.00068). There, voxels of
which the answers are sure are rectified; those of which they are not (entropy of the mean) pull at nothing.
"""

import math

import numpy as np
import torch
from torch import Tensor

from lib.learning.rounds import dice_of
from lib.network import Embedding, PromptableNetwork

#: Clicks, one at a time, by which the same object is asked for.
PROMPT_SETS = 4
#: A label is doubted that agrees less than this share of what is usual.
SHARE_OF_USUAL = 0.8
#: Bits of entropy up to which a mean answer is sure.
SURE = 0.5


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


def agreement(target: Tensor, mean: Tensor) -> Tensor:
    """Return the Dice of each label and the mask of its mean answer: (B,)."""
    return dice_of(mean - 0.5, target)


def rectified(target: Tensor, mean: Tensor, trusted: Tensor, usual: float) -> Tensor:
    """Return what to learn: doubted labels rectified, all others as they are; (B, 1, S, S, S), 0 to 1.

    Args:
        target: (B, 1, S, S, S), 0 or 1.
        mean: the same shape, what `mean_answer` returned.
        trusted: (B,) bool; these labels are never doubted.
        usual: agreement as labels of this set usually have it.
    """
    doubted = (agreement(target, mean) < SHARE_OF_USUAL * usual) & ~trusted.to(target.device)
    corrected = torch.where(entropy(mean) <= SURE, (mean > 0.5).float(), mean)
    return torch.where(doubted[:, None, None, None, None], corrected, target)


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
