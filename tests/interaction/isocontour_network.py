"""A promptable network without weights for tests of regions: half of the clicked value is the contour."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Size:
    image_size: int = 32
    spacing: float = 4.0
    fine_spacing: float = 0.0
    wide_spacing: float = 0.0
    far_spacing: float = 0.0


class IsocontourNetwork(nn.Module):
    """Averages 2 x 2 x 2 voxels; the mask is what lies above half the mean at the positive clicks."""

    name = "isocontour"
    digest = "isocontour"

    def __init__(self, config=Size()):
        super().__init__()
        self.config = config
        self.device_marker = nn.Parameter(torch.zeros(1))
        self.encoded = 0
        self.given, self.gave = [], []

    def normalise(self, cube):
        return cube

    def encode(self, volume):
        self.encoded += 1
        return torch.nn.functional.avg_pool3d(volume, 2)

    def decode(self, embedding, points=None, labels=None, mask_logits=None):
        self.given.append(mask_logits)
        cells = (points[0] // 2).long().clamp(0, 15)
        values = embedding[0, 0][cells[:, 0], cells[:, 1], cells[:, 2]]
        logits = embedding - values[labels[0] == 1].mean() / 2
        if mask_logits is not None:
            logits = logits + 0.05 * torch.tanh(mask_logits)
        for cell, label in zip(cells, labels[0], strict=True):
            if label == 0:
                near = torch.stack(torch.meshgrid(*[torch.arange(16)] * 3, indexing="ij"), -1) - cell
                logits = torch.where((near.abs().amax(-1) <= 1)[None, None], -1.0, logits)
        self.gave.append(logits)
        return logits

    @property
    def decoded(self):
        return len(self.gave)
