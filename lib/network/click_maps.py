"""Clicks as maps that a convolutional network can read."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Channels that `click_maps` gives.
CLICK_MAPS = 8
_NARROW_MM, _WIDE_MM = 5.0, 30.0
#: Closeness of intensity, in units of the network's input (a factor of about 1.5 and 1.15 in SUV).
_INTENSITY_WIDTHS = (0.2, 0.07)


def click_maps(image: Tensor, points: Tensor, labels: Tensor, spacing: float) -> Tensor:
    """Maps (B, 8, S/2, S/2, S/2) of clicks on cubes (B or 1, 1, S, S, S) of normalised intensity.

    For the positive clicks, then for the negative ones: a Gaussian of 5 mm, one of 30 mm, and the wide one
    times the closeness of the local intensity to that at the click, at two widths (a bilateral map). Each
    map is the maximum over its clicks, so that a repeated click says nothing new.

    points: (B, N, 3) voxel indices; labels: (B, N), 1 positive, 0 negative; spacing: mm between voxels.
    """
    batch, count = labels.shape
    cells = image.shape[-1] // 2
    if count == 0:
        return image.new_zeros(batch, CLICK_MAPS, cells, cells, cells)
    centres = 2 * torch.arange(cells, device=image.device) + 0.5
    squares = ((points[..., None] - centres) * spacing).square()  # (B, N, 3, cells)
    narrow, wide = (_product(torch.exp(squares / (-2 * sigma**2))) for sigma in (_NARROW_MM, _WIDE_MM))
    coarse = F.avg_pool3d(image, 2)
    difference = (coarse - intensity_at(image, points)[..., None, None, None]).square()
    alike = [wide * torch.exp(difference / (-2 * width**2)) for width in _INTENSITY_WIDTHS]
    maps = torch.stack((narrow, wide, *alike), dim=2)  # (B, N, 4, cells, cells, cells)
    positive = (labels == 1).to(maps)[:, :, None, None, None, None]
    return torch.cat(((maps * positive).amax(1), (maps * (1 - positive)).amax(1)), dim=1)


def intensity_at(image: Tensor, points: Tensor) -> Tensor:
    """Mean of the 27 voxels of cubes (B or 1, 1, S, S, S) about each point (B, N, 3): (B, N)."""
    side = image.shape[-1]
    offset = torch.arange(-1, 2, device=points.device)
    x, y, z = ((points[..., None].round().long() + offset).clamp(0, side - 1)).unbind(2)  # (B, N, 3) each
    flat = (x[..., :, None, None] * side + y[..., None, :, None]) * side + z[..., None, None, :]
    values = image.reshape(len(image), -1).expand(len(points), -1)
    return values.gather(1, flat.flatten(1)).view(*points.shape[:2], 27).mean(-1)


def _product(axes: Tensor) -> Tensor:
    """(B, N, 3, cells), one factor an axis -> (B, N, cells, cells, cells)."""
    x, y, z = axes.unbind(2)
    return x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]
