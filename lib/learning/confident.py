"""Confident learning from labels that may be wrong: what several prompt sets agree on corrects them.

After SegAnyPET's cross-prompting confident learning (Zhang et al., arXiv 2502.14351): several sets of clicks
ask for the same object. Where the answers agree with each other and not with the label, the label is taken
for wrong; where they are uncertain (entropy of their mean), it counts less. Here both are one soft target:
the label, and the mean answer in proportion to how much the label is doubted.
"""

import math

import numpy as np
import torch
from torch import Tensor

from lib.learning.clicks import corrective_clicks
from lib.network import Embedding, PromptableNetwork

#: Prompt sets that are asked, and clicks in the longest of them.
PROMPT_SETS, MOST_CLICKS = 4, 3
#: A mean answer on the other side of the label, surer than this, outvotes it.
SURE = 0.8


@torch.no_grad()
def rectified(
    network: PromptableNetwork,
    embedding: Embedding,
    target: Tensor,
    points: Tensor,
    trusted: Tensor,
    random: np.random.Generator,
) -> Tensor:
    """Return what to learn: trusted labels as they are, others rectified; (B, 1, S, S, S), 0 to 1.

    Args:
        network: as it is now.
        embedding: of B cubes.
        target: (B, 1, S, S, S), 0 or 1.
        points: (B, 1, 3), first clicks.
        trusted: (B,) bool.
        random: draws the prompt sets.
    """
    if trusted.all():
        return target
    mean = torch.zeros_like(target)
    for number in range(PROMPT_SETS):
        clicks = points if number == 0 else _other_points(target, random)
        labels = torch.ones(clicks.shape[:2])
        logits = network.decode(embedding, clicks, labels)
        for _ in range(number % MOST_CLICKS):
            new_points, new_labels = corrective_clicks(
                network.upsample(logits.float()), target, network.config.spacing, random
            )
            clicks, labels = torch.cat((clicks, new_points), 1), torch.cat((labels, new_labels), 1)
            logits = network.decode(embedding, clicks, labels, logits.float())
        mean += network.upsample(logits.float()).sigmoid() / PROMPT_SETS
    doubt = doubted(target, mean)
    doubt[trusted.to(doubt.device)] = 0
    return target + doubt * (mean - target)


def doubted(target: Tensor, mean: Tensor) -> Tensor:
    """Return how much each voxel of a label is doubted, 0 to 1: by entropy, or outvoted by a sure answer.

    Args:
        target: the label, 0 or 1.
        mean: mean probability of several answers, same shape.
    """
    against = (target - mean).abs()
    return torch.where(against > SURE, torch.ones_like(mean), entropy(mean))


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
