"""What a network is trained on at a step: the answer to the first click, and that after some corrections."""

import numpy as np
import torch
from torch import Tensor

from lib.learning.clicks import corrective_clicks
from lib.network import Embedding, PromptableNetwork

#: Chances of 0, 1, 2 ... rounds without gradient between the first answer and the last.
ROUNDS = (0.25, 0.2, 0.15, 0.1, 0.1, 0.07, 0.05, 0.04, 0.04)
#: Chances of 1, 2, 3, 4 corrective clicks in a round.
CLICKS = (0.8, 0.1, 0.05, 0.05)


def corrected(
    network: PromptableNetwork,
    embedding: Embedding,
    target: Tensor,
    points: Tensor,
    random: np.random.Generator,
    previous: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return logits (B, 1, S, S, S) after the first click, and after some rounds of corrections.

    The rounds between carry no gradient. All clicks so far and the logits of the step before go into each
    round, as in the engine.

    Args:
        network: what is trained.
        embedding: of B cubes.
        target: (B, 1, S, S, S), 0 or 1.
        points: (B, 1, 3), the first click, positive.
        random: draws the number of rounds, and the clicks.
        previous: (B, 1, s, s, s), logits of the step before; None: zeros.
    """
    spacing = network.config.spacing
    labels = torch.ones(points.shape[:2])
    first = network.decode(embedding, points, labels, previous)
    frozen, logits = detached(embedding), first.detach()
    rounds = int(random.choice(len(ROUNDS), p=ROUNDS))
    for left in range(rounds, -1, -1):
        seen = network.upsample(logits.float())
        for _ in range(1 + int(random.choice(len(CLICKS), p=CLICKS))):
            new_points, new_labels = corrective_clicks(seen, target, spacing, random)
            points, labels = torch.cat((points, new_points), 1), torch.cat((labels, new_labels), 1)
        if left:
            with torch.no_grad():
                logits = network.decode(frozen, points, labels, logits).float()
    last = network.decode(embedding, points, labels, logits)
    return network.upsample(first.float()), network.upsample(last.float())


def dice_of(logits: Tensor, target: Tensor) -> Tensor:
    """Return the Dice of each of B masks (where logits are > 0): (B,)."""
    mask = (logits.detach() > 0).float()
    both, sizes = (mask * target).sum((1, 2, 3, 4)), (mask + target).sum((1, 2, 3, 4))
    return 2 * both / sizes.clamp(min=1)


def detached(embedding: Embedding) -> Embedding:
    """Return an embedding without its gradient."""
    return (
        embedding.detach() if isinstance(embedding, Tensor) else tuple(detached(part) for part in embedding)
    )
