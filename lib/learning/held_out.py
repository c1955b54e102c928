"""What a network is worth on held-out labels: on kept regions, fast, and on studies through the engine."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from lib.interaction import NetworkSegmenter
from lib.interaction.annotator import next_click
from lib.learning.cases import Case, CaseError
from lib.learning.evaluation import Method, evaluate
from lib.learning.kept_regions import Kept, KeptRegions
from lib.learning.promotion import CLICKS
from lib.learning.protocols import Corrective
from lib.learning.rounds import dice_of
from lib.learning.studies import Source
from lib.network import PromptableNetwork
from lib.network.checkpoints import Network
from lib.pet import Crop, VolumeError

_EMBEDDING_BYTES = 256 << 20

#: By case, by number of clicks: the mean Dice of its objects.
Scores = dict[str, dict[str, float]]


@torch.no_grad()
def dice_by_clicks(
    network: Network, kept: KeptRegions, regions: Sequence[Kept], batch: int
) -> dict[str, float]:
    """Return the mean Dice over regions after 1, 3 and 5 clicks, in the region alone.

    The first click is the region's, further ones are the deepest voxels of the largest errors.
    """
    total = {str(clicks): 0.0 for clicks in CLICKS}
    for at in range(0, len(regions), batch):
        part = kept.read(regions[at : at + batch])
        embedding = part.embedding if part.embedding is not None else network.encode(part.cubes)  # type: ignore[arg-type]
        points, labels = part.point, torch.ones(part.point.shape[:2])
        logits = network.decode(embedding, points, labels).float()
        for clicks in range(1, max(CLICKS) + 1):
            full = network.upsample(logits)
            if clicks in CLICKS:
                total[str(clicks)] += float(dice_of(full, part.target).sum())
            if clicks < max(CLICKS):
                new_points, new_labels = _next_clicks(network, full, part.target)
                points, labels = torch.cat((points, new_points), 1), torch.cat((labels, new_labels), 1)
                logits = network.decode(embedding, points, labels, logits).float()
    return {clicks: value / len(regions) for clicks, value in total.items()}


def _next_clicks(
    network: PromptableNetwork, logits: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    points, labels = [], []
    spacing = (network.config.spacing,) * 3
    for mask, truth in zip((logits > 0).cpu().numpy(), (target > 0).cpu().numpy(), strict=True):
        wanted = Crop((0, 0, 0), truth[0])
        click = next_click(wanted, Crop((0, 0, 0), mask[0]), spacing)
        points.append(click.index if click else np.argwhere(truth[0])[0].tolist())
        labels.append(float(click.positive) if click else 1.0)
    return torch.tensor(points, dtype=torch.float32)[:, None], torch.tensor(labels)[:, None]


def measure(
    network: Network,
    sources: Iterable[Source],
    report: Callable[[], None] = lambda: None,
) -> Scores:
    """Let the simulated annotator click through studies with the engine; the mean Dice of each one's objects.

    A study that cannot be read, or has nothing outlined, is left out.
    """
    method = Method(network.name, NetworkSegmenter(network, _EMBEDDING_BYTES))
    scores: Scores = {}
    for source in sources:
        try:
            case: Case = source.read()
        except (CaseError, VolumeError, OSError):
            continue
        if case.objects:
            run = evaluate(method, case, Corrective(), (max(CLICKS),), tolerance_mm=5.0)
            scores[source.name] = {
                str(n): float(np.mean([lesion.dice[n] for lesion in run.each])) for n in CLICKS
            }
        report()
    return scores


def mean_of(scores: Scores, clicks: int | str) -> float:
    """Return the mean over studies after some clicks; NaN where there is none."""
    return float(np.mean([by[str(clicks)] for by in scores.values()])) if scores else float("nan")
