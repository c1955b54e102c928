"""Prompts as a decoder takes them: all there, of matching shapes, inside the cube."""

from typing import NamedTuple

import torch
from torch import Tensor


class CheckedPrompts(NamedTuple):
    """What is decoded.

    Args:
        points: (B or 1, N, 3) voxel indices of the cube.
        labels: (B or 1, N), 1 positive, 0 negative.
        mask_logits: (B or 1, 1, s, s, s).
        batch: B.
    """

    points: Tensor
    labels: Tensor
    mask_logits: Tensor
    batch: int


def check_cubes(volume: Tensor, side: int) -> None:
    """Raise ValueError unless cubes are (B, 1, side, side, side)."""
    if volume.ndim != 5 or volume.shape[1:] != (1, side, side, side):
        raise ValueError(f"Expected cubes (B, 1, {side}, {side}, {side}), got {tuple(volume.shape)}.")


def checked_prompts(
    image: Tensor,
    points: Tensor | None,
    labels: Tensor | None,
    mask_logits: Tensor | None,
    image_size: int,
    logits_size: int,
) -> CheckedPrompts:
    """Fill in what is not given (no clicks, logits of zeros), on the device and in the type of the image.

    Args:
        image: what is decoded, B or 1 along its first axis.
        points: (B, N, 3) or None.
        labels: (B, N) or None.
        mask_logits: (B, 1, s, s, s) or None.
        image_size: edge of the cube in voxels.
        logits_size: s.

    Raises:
        ValueError: wrong shapes or numbers, labels other than 0 and 1, clicks outside the cube.
    """
    if (points is None) != (labels is None):
        raise ValueError("Give points and labels together, or neither.")
    if points is None or labels is None:
        points, labels = image.new_zeros(1, 0, 3), image.new_zeros(1, 0)
    points, labels = points.to(image.device), labels.to(image.device)
    _check_clicks(points, labels, image_size)
    side = logits_size
    if mask_logits is None:
        mask_logits = image.new_zeros(1, 1, side, side, side)
    elif mask_logits.ndim != 5 or mask_logits.shape[1:] != (1, side, side, side):
        raise ValueError(
            f"Expected mask logits (B, 1, {side}, {side}, {side}), got {tuple(mask_logits.shape)}."
        )
    sizes = {len(image), len(points), len(mask_logits)}
    if 0 in sizes or len(sizes - {1}) > 1:
        raise ValueError(f"Embeddings, prompt sets and masks must be 1 or B in number, got {sizes}.")
    return CheckedPrompts(points, labels, mask_logits.to(image), max(sizes))


def _check_clicks(points: Tensor, labels: Tensor, image_size: int) -> None:
    if points.ndim != 3 or points.shape[2] != 3 or labels.shape != points.shape[:2]:
        shapes = f"{tuple(points.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"Expected points (B, N, 3) and labels (B, N), got {shapes}.")
    if not torch.isin(labels, torch.tensor([0, 1], device=labels.device)).all():
        raise ValueError("Labels of clicks must be 1 (positive) or 0 (negative).")
    if not ((points >= -0.5) & (points <= image_size - 0.5)).all():
        raise ValueError(f"Clicks must lie inside the cube of {image_size} voxels.")
