"""The loss of promptable segmentation: overlap, and every voxel's own error, weighted by prevalence."""

import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

#: Voxels added to a target's size: a target of five voxels must not outweigh the rest of the batch.
_FLOOR = 30.0
#: Weight of what is outside, where most voxels are easy, against the target.
_OUTSIDE = 10.0
_dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return soft Dice loss plus cross entropy, the mean over a batch.

    The mean cross entropy over a cube would vanish for a small target, so target and outside are averaged
    each on their own.

    Args:
        logits: (B, 1, S, S, S).
        target: the same shape, 0 or 1.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    axes = (1, 2, 3, 4)
    inside = (entropy * target).sum(axes) / (target.sum(axes) + _FLOOR)
    outside = (entropy * (1 - target)).sum(axes) / ((1 - target).sum(axes) + _FLOOR)
    return _dice(logits, target) + 0.5 * (inside + _OUTSIDE * outside).mean()
