"""Corrective clicks on batches of cubes, as the simulated annotators of lib.interaction make them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.interaction.annotator import Annotator, next_click
from lib.pet import Crop

#: How training clicks are chosen, and how often.
ANNOTATORS: tuple[Annotator, ...] = ("centre", "random", "human")
CHANCES = (0.45, 0.4, 0.15)


def corrective_clicks(
    logits: Tensor, target: Tensor, spacing: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the next click of each of B cubes: points (B, 1, 3) float32 voxels, labels (B, 1) float32.

    A cube without an error gets a positive click at the target's first voxel (a click that repeats what is
    known says nothing new), so that every cube of a batch has as many clicks.

    Args:
        logits: (B, 1, S, S, S); the mask is where they are > 0.
        target: (B, 1, S, S, S), 0 or 1; no cube is empty.
        spacing: mm between voxels.
        random: chooses the annotator of each click, and the click.
    """
    masks, truths = ((cubes > 0).cpu().numpy()[:, 0] for cubes in (logits, target))
    points, labels = [], []
    for mask, truth in zip(masks, truths, strict=True):
        annotator: Annotator = str(random.choice(ANNOTATORS, p=CHANCES))  # type: ignore[assignment]
        click = next_click(_crop(truth), _crop(mask), (spacing,) * 3, annotator, random)
        points.append(click.index if click else np.argwhere(truth)[0].tolist())
        labels.append(click.positive if click else True)
    return torch.tensor(points, dtype=torch.float32)[:, None], torch.tensor(labels).float()[:, None]


def _crop(mask: NDArray[np.bool_]) -> Crop:
    return Crop((0, 0, 0), mask).tight()
