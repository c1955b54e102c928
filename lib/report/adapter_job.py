"""From accepted impressions to an adapter that writes: train, measure on the frozen pairs, register, decide.

A job is one process with the state folder's `training/` to itself, as one of `lib.learning.tuning_job`;
stopped or killed, the same job goes on from there.
"""

import gc
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from lib.learning.progress_file import ProgressFile
from lib.learning.promotion import Decision
from lib.report.backends import BackendError
from lib.report.backends.local import load_model
from lib.report.intervals import Estimate, bootstrap, ratio
from lib.report.language import ReportError
from lib.report.recipe import Recipe
from lib.report.text_pairs import Pair, accepted_pairs, split_pairs
from lib.report.tuning import CheckpointError, TooLongError, TuningStopped
from lib.report.tuning_job import CARD, TextProgress, means, scores_on, train_impression
from lib.store import Models, StateFolder
from lib.store.locks import held
from lib.store.models import Version
from lib.store.reports import AcceptedImpressions

#: Of the state folder: versions of adapters, and what a training keeps.
ADAPTERS, TRAINING = "adapters", "training"
#: What a server loads of an adapter.
_FILES = ("adapter_model.safetensors", "adapter_config.json", CARD)
_FEWEST = 3
#: What UER may rise and FCR fall.
_LOSS = 0.01


@dataclass(frozen=True)
class AdapterJob:
    """What to train.

    Args:
        state: where accepted impressions are, and adapters go.
        base: the model: a folder, or a downloaded model's name on the hub.
        recipe: how.
        adapter: what writes while no version is the champion; None: the base alone.
        device: where the model runs.
    """

    state: StateFolder
    base: str
    recipe: Recipe
    adapter: Path | None = None
    device: torch.device | None = None


@dataclass(frozen=True)
class AdapterOutcome:
    """What a training came to.

    Args:
        version: the adapter in the registry.
        promoted: whether it writes now.
        why: the reason, a sentence.
        card: the adapter's.
    """

    version: Version
    promoted: bool
    why: str
    card: dict[str, Any]


def train_adapter(
    job: AdapterJob,
    told: Callable[[TextProgress], None] = lambda progress: None,
    stopped: Callable[[], bool] = bool,
    fresh: bool = False,
) -> AdapterOutcome:
    """Train an adapter on what readers accepted, keeping `progress.json` up to date, and decide by `decide`.

    Args:
        job: what.
        told: called with the progress.
        stopped: asked before each step.
        fresh: begin anew even if there is a checkpoint.

    Raises:
        ReportError, BackendError: pairs, recipe or model cannot be used, or another training is running.
        TuningStopped: `stopped` became true.
    """
    folder = job.state.folder(TRAINING)
    with held(folder / "lock") as is_alone:
        if not is_alone:
            raise ReportError(
                "Another training of this state folder is running: wait for it, or stop it first."
            )
        return _watched(job, folder, told, stopped, fresh)


def _watched(
    job: AdapterJob,
    folder: Path,
    told: Callable[[TextProgress], None],
    stopped: Callable[[], bool],
    fresh: bool,
) -> AdapterOutcome:
    """Train, and keep `progress.json` up to date."""
    progress = ProgressFile(folder / "progress.json", trainer="impression", epochs=job.recipe.epochs)

    def tell(now: TextProgress) -> None:
        progress.tell(stage=now.stage, share=now.share, epoch=now.epoch, curve=now.curve)
        told(now)

    try:
        outcome = _train(job, folder / "adapter", tell, stopped, fresh)
    except TuningStopped:
        progress.set(status="stopped", message="The same training goes on from here.")
        raise
    except Exception as error:
        progress.fail(error, BackendError)
        raise
    progress.set(
        status="done", share=1.0, curve=outcome.card["curve"], message=outcome.why,
        version=outcome.version.number, promoted=outcome.promoted,
    )  # fmt: skip
    return outcome


def _train(
    job: AdapterJob,
    folder: Path,
    told: Callable[[TextProgress], None],
    stopped: Callable[[], bool],
    fresh: bool,
) -> AdapterOutcome:
    models = Models(job.state.folder(ADAPTERS))
    learnt, kept = split_pairs(accepted_pairs(AcceptedImpressions(job.state.folder("impressions"))), 0.1, 100)
    card, too_long = None, 0
    while card is None:  # not within the handlers: the error would hold the model that was read
        try:
            card = train_impression(
                learnt, job.base, folder, job.recipe, kept, job.device, told, stopped, fresh
            )
        except CheckpointError:
            fresh = True  # more was accepted since, or it is asked for otherwise
        except TooLongError as error:
            too_long += len(error.ids)
            learnt, kept = ([pair for pair in side if pair.id not in error.ids] for side in (learnt, kept))
            if not (learnt and kept):
                raise
    champion = models.champion()
    before = _scores(job, champion.path if champion else job.adapter, kept, stopped)
    after = _scores(job, folder, kept, stopped)
    decision = decide(before, after)
    why = decision.why
    if too_long:
        why += f" Left out as too long for the model: {too_long} pair{'s' if too_long > 1 else ''}."
    card = {**card, "before": means(before), "after": means(after), "why": why}
    with TemporaryDirectory(dir=folder, prefix=".", suffix=".part") as part:
        for name in _FILES:
            shutil.copyfile(folder / name, Path(part) / name)
        version = models.add(Path(part), card)
    if decision.promoted:
        models.promote(version.number)
    shutil.rmtree(folder)
    return AdapterOutcome(version, decision.promoted, why, card)


def _scores(
    job: AdapterJob, adapter: Path | None, kept: Sequence[Pair], stopped: Callable[[], bool]
) -> list[dict[str, float]]:
    """Return the scores of what a reader gets from the server with an adapter: it is read from its files."""
    device = job.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return scores_on(*load_model(job.base, device, adapter), kept, stopped)
    finally:
        gc.collect()  # the next model needs the memory


def decide(before: Sequence[dict[str, float]], after: Sequence[dict[str, float]]) -> Decision:
    """Judge an adapter by what it and its forerunner wrote of the same frozen pairs.

    It takes over if ROUGE-L is surely better (the 95 % percentile bootstrap interval of the mean paired
    difference lies above 0), and neither does UER rise nor FCR fall by more than 0.01 in the mean.

    Args:
        before: of each pair, `scoring.ScoredCase.scores` of what writes now.
        after: of the new adapter.
    """
    if len(after) < _FEWEST:
        return Decision(
            False,
            f"Kept, not promoted: {len(after)} pairs are kept apart, and the rule asks for {_FEWEST}: accept "
            "more impressions, or promote it by hand.",
        )
    rouge, uer, fcr = (_change(before, after, key) for key in ("rouge_l", "uer", "fcr"))
    told = (
        f"on {len(after)} frozen pairs ROUGE-L changes by {rouge.value:+.3f} (95 % interval {rouge.low:+.3f} "
        f"to {rouge.high:+.3f})"
    )
    for name, change in (("UER", uer), ("FCR", fcr)):
        told += f", {name} by {change.value:+.3f}" if change.value == change.value else ""
    if not rouge.low > 0:
        return Decision(False, f"Kept, not promoted: {told}; that is not surely better.")
    if uer.value > _LOSS or fcr.value < -_LOSS:
        return Decision(False, f"Kept, not promoted: {told}; it states more that nothing supports.")
    return Decision(True, f"Promoted: {told}.")


def _change(before: Sequence[dict[str, float]], after: Sequence[dict[str, float]], key: str) -> Estimate:
    """Return the mean paired difference of a score; NaN where no pair has one before and after."""
    rows = np.array([[new[key] - old[key], 1.0] for old, new in zip(before, after, strict=True)])
    return bootstrap(rows[~np.isnan(rows[:, 0])], ratio)
