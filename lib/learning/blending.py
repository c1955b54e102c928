"""Between the old weights and the tuned ones: as far towards the new labels as what was known allows.

Weights on the straight line between a network and its fine-tuned self keep most of what was learnt and lose
less of what was known than its end (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from lib.learning.held_out import dice_by_clicks
from lib.learning.kept_regions import Kept, KeptRegions
from lib.network.checkpoints import Network

#: Shares of the tuned weights that are tried, the largest first.
SHARES = (1.0, 0.75, 0.5, 0.25)
#: Mean Dice over clicks that may be lost on regions of what was known.
LOSS = 0.005
_BATCH = 4


def blended(base: Network, tuned: Network, kept: KeptRegions, old: Sequence[Kept]) -> tuple[Network, float]:
    """Return the network with the largest share of the tuned weights that loses nothing, and that share.

    Where every share loses something, it is the smallest one: whoever promotes decides.

    Args:
        base: the old weights.
        tuned: the new ones, of the same form.
        kept: where regions are; embeddings are of the base's encoder.
        old: regions of what was known that were not trained on; none: all of the tuned weights are taken.
    """
    if not old:
        return tuned, 1.0
    wanted = _score(base, kept, old) - LOSS
    mixed = tuned
    share = SHARES[0]
    for share in SHARES:
        mixed = between(base, tuned, share)
        if _score(mixed, kept, old) >= wanted:
            break
    return mixed, share


@torch.no_grad()
def between(base: Network, tuned: Network, share: float) -> Network:
    """Return a network with this share of the tuned weights, and of the base's for the rest."""
    mixed = copy.deepcopy(tuned)
    for value, start in zip(mixed.state_dict().values(), base.state_dict().values(), strict=True):
        value.copy_(torch.lerp(start, value, share))
    return mixed


def _score(network: Network, kept: KeptRegions, regions: Sequence[Kept]) -> float:
    return float(np.mean(list(dice_by_clicks(network, kept, regions, _BATCH).values())))
