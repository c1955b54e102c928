"""The loss of promptable segmentation: overlap, and every voxel's own error in proportion to the target."""

import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

#: Voxels added to a target's size: a target of ten voxels must not outweigh the rest of the batch.
_FLOOR = 300.0
_dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return soft Dice loss plus half the cross entropy per target voxel, the mean over a batch.

    The mean cross entropy over a cube would vanish for a small target; its sum is divided by the target's
    size instead.

    Args:
        logits: (B, 1, S, S, S).
        target: the same shape, 0 or 1.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=(1, 2, 3, 4))
    per_voxel = (entropy / (target.sum(dim=(1, 2, 3, 4)) + _FLOOR)).mean()
    return _dice(logits, target) + 0.5 * per_voxel
