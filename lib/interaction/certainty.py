"""How sure a network is of a mask: the Dice that it expects."""

import numpy as np
import torch
from numpy.typing import NDArray


def expected_dice(logits: torch.Tensor, mask: NDArray[np.bool_]) -> float:
    """Return the Dice of a mask if each voxel belongs to the object with the probability that its logit says.

    That is 2 sum(p within the mask) / (size of the mask + sum of all p): the Dice of expected counts. It is 0
    for an empty mask.

    Args:
        logits: (1, 1, L, L, L).
        mask: (L, L, L), what is taken for the object.
    """
    chances = torch.sigmoid(logits[0, 0]).numpy()
    total = float(mask.sum() + chances.sum())
    return 2 * float(chances[mask].sum()) / total if total else 0.0
