"""The loss of promptable segmentation: overlap, and every voxel's own error in proportion to the target."""

import torch.nn.functional as F
from torch import Tensor

from lib.learning.lean_monai import losses

#: Voxels added to a target's size, else what is wrong about the smallest ones drowns everything else.
_FLOOR = 3000.0
_dice = losses.DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return soft Dice loss plus half the cross entropy per target voxel, the mean over a batch.

    The mean cross entropy over a cube would vanish for a small target; its sum is divided by the target's
    size instead. A voxel too many weighs as much as one too few, else small lesions come out too large.

    Args:
        logits: (B, 1, S, S, S).
        target: the same shape, 0 or 1.
    """
    axes = (1, 2, 3, 4)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(axes)
    return _dice(logits, target) + 0.5 * (entropy / (target.sum(axes) + _FLOOR)).mean()
