"""From a team's labels to new weights: split, fine-tune, measure on the frozen set, register, decide.

A job is one process with the state folder's `training/` to itself. It can be stopped and killed at any
moment; the same job goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.learning.blending import blended
from lib.learning.finetuning import FineTuner, Standing, Stopped
from lib.learning.held_out import CLICKS, Scores, mean_of, measure
from lib.learning.kept_regions import Kept, KeptRegions
from lib.learning.phantom_studies import rehearsed, retained, watched
from lib.learning.progress_file import ProgressFile
from lib.learning.promotion import decide, read_rule
from lib.learning.studies import Source, TrainingStudy, labelled_studies
from lib.learning.tuning_recipe import FineTuning, FineTuningError
from lib.network import load_network, save_network
from lib.network.checkpoints import Network
from lib.store import StateFolder
from lib.store.locks import held
from lib.store.models import Models, Version

#: Regions of held-out studies that are measured after each epoch.
_HELD_OUT_REGIONS = 48


@dataclass(frozen=True)
class Job:
    """What to train on, and how.

    Args:
        studies: the folder with the studies.
        state: where labels' versions, models and what a training keeps are.
        base: weights to begin with where there is no champion yet.
        recipe: how to fine-tune.
        unit: what the values are of files that do not say it.
        others: statuses of labels beside final that are learnt from.
        tracer: for the card; None: not said.
        device: where the network runs.
        phantoms: digital patients to rehearse, and as many others to see that nothing is lost; 0: none.
    """

    studies: Path
    state: StateFolder
    base: Path
    recipe: FineTuning = field(default_factory=FineTuning)
    unit: str | None = None
    others: tuple[str, ...] = ()
    tracer: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    phantoms: int = 4


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Args:
        version: the new weights in the registry.
        promoted: whether they are the champion now.
        why: the reason, a sentence.
        before, after: mean Dice on the frozen set by clicks, of the champion and of the new weights.
        seconds: of fine-tuning.
    """

    version: Version
    promoted: bool
    why: str
    before: dict[str, float]
    after: dict[str, float]
    seconds: float


def train_segmentation(
    job: Job,
    progress: Callable[[dict[str, Any]], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run a training to its end, keeping `training/progress.json` in the state folder up to date.

    Args:
        job: what and how.
        progress: called with the progress file's fields as they change.
        stop: asked often; once it says so, the training keeps its checkpoint and ends.

    Raises:
        Stopped: `stop` said so.
        FineTuningError: another training is running, or this one does not converge.
        CaseError, StoreError: too few labels, or none.
        CheckpointError: the weights cannot be used.
    """
    folder = job.state.folder("training")
    with held(folder / "lock") as is_alone:
        if not is_alone:
            raise FineTuningError(
                "Another training of this state folder is running: wait for it, or stop it first."
            )
        about = {"trainer": "segpet", "mode": job.recipe.mode, "epochs": job.recipe.epochs}
        told = ProgressFile(folder / "progress.json", **about)
        try:
            outcome = _Training(job, folder, _Teller(told, progress), stop).run()
        except Stopped:
            told.set(status="stopped", message="Stopped; the same training goes on from here.")
            raise
        except Exception as error:
            told.fail(error)
            raise
        told.set(
            status="done",
            share=1.0,
            version=outcome.version.number,
            promoted=outcome.promoted,
            message=outcome.why,
        )
        progress(told.fields)
        return outcome


class _Teller:
    def __init__(self, file: ProgressFile, listener: Callable[[dict[str, Any]], None]) -> None:
        self._file, self._listener = file, listener

    def stage(self, name: str, **fields: Any) -> None:
        self._file.set(**{"stage": name, "share": 0.0, **fields})
        self._listener(self._file.fields)

    def tell(self, **fields: Any) -> None:
        self._file.tell(**fields)
        self._listener(self._file.fields)


class _Training:
    """The stages of a job, one after the other."""

    def __init__(self, job: Job, folder: Path, told: _Teller, stop: Callable[[], bool]) -> None:
        self._job, self._folder, self._told, self._stop = job, folder, told, stop
        self._models = Models(job.state.folder("models"))

    def run(self) -> Outcome:
        job = self._job
        self._told.stage("reading")
        studies = labelled_studies(job.studies, job.state.path / "labels", job.unit, job.others)
        trusted = {study.name for study in studies if study.trusted}
        split = self._models.split({study.name: study.patient() for study in studies}, trusted)
        learning = [study for study in studies if study.name in split.training]
        frozen = [study for study in studies if study.name in split.validation and study.trusted]
        champion = self._models.champion()
        base = load_network(champion.path if champion else job.base, job.device, job.state.folder("weights"))

        tuner = self._tuner(base, learning, frozen)
        self._told.stage("training", share=tuner.share)
        tuned = tuner.run(self._told_of_step, self._stop)
        self._told.stage("blending")
        few = self._few(base)
        tuned, share = blended(base, tuned, few, few.of(watched(job.phantoms)))
        tuned.name_weights(f"{base.name}+", tuned.digest)
        before, after = self._measured(base, tuned, frozen)
        self._told.stage("deciding")
        card = {
            "base": base.name,
            "parent": base.digest,
            "mode": job.recipe.mode,
            "recipe": asdict(job.recipe),
            "tracer": job.tracer,
            "data": {
                "training": [study.name for study in learning],
                "validation": [study.name for study in frozen],
                "labels": _counted(learning),
                "regions": len(tuner.regions),
            },
            "blend": share,
            "seconds": round(tuner.seconds),
            "curve": [_as_json(epoch) for epoch in tuner.curve],
            "validation": {"before": before[0], "after": after[0]},
            "retention": {"before": before[1], "after": after[1]},
        }
        file = self._folder / "tuned.safetensors"
        save_network(tuned, file)
        version = self._models.add(file, card)
        file.unlink()
        decision = decide(card, read_rule(self._models.folder))
        if decision.promoted:
            self._models.promote(version.number)
        tuner.checkpoint.unlink(missing_ok=True)
        was, now = ({str(n): round(mean_of(scores[0], n), 4) for n in CLICKS} for scores in (before, after))
        return Outcome(version, decision.promoted, decision.why, was, now, tuner.seconds)

    def _tuner(
        self, base: Network, learning: Sequence[TrainingStudy], frozen: Sequence[TrainingStudy]
    ) -> FineTuner:
        recipe = self._job.recipe
        self._told.stage("embedding")
        encoded = recipe.mode == "decoder"
        folder = self._folder / "regions"
        kept = KeptRegions(folder, base, encoded, seed=recipe.seed)
        few = self._few(base)
        old = rehearsed(self._job.phantoms if recipe.replay else 0)
        total = len(learning) + len(frozen) + len(old)

        def of(regions: KeptRegions, sources: Sequence[Source], done: int) -> list[Kept]:
            found: list[Kept] = []
            for number, source in enumerate(sources, start=1):
                if self._stop():
                    raise Stopped
                found += regions.of([source])
                self._told.tell(share=(done + number) / total)
            return found

        regions = of(kept, learning, 0)
        held_out = of(few, frozen, len(learning))
        replay = of(kept, old, len(learning) + len(frozen))
        random = np.random.default_rng(recipe.seed)
        if len(held_out) > _HELD_OUT_REGIONS:
            places = random.permutation(len(held_out))[:_HELD_OUT_REGIONS]
            held_out = [held_out[place] for place in sorted(places.tolist())]
        _forget_others(folder, [*regions, *held_out, *replay])
        return FineTuner(base, recipe, kept, regions, held_out, replay, self._folder)

    def _few(self, base: Network) -> KeptRegions:
        """Return where regions are to measure on: a few of each study."""
        recipe = self._job.recipe
        folder = self._folder / "regions"
        return KeptRegions(folder, base, recipe.mode == "decoder", each=1, most=12, seed=recipe.seed)

    def _told_of_step(self, standing: Standing) -> None:
        self._told.tell(
            epoch=standing.epoch,
            share=standing.share,
            curve=[_as_json(epoch) for epoch in standing.curve],
        )

    def _measured(
        self, base: Network, tuned: Network, frozen: Sequence[Source]
    ) -> tuple[tuple[Scores, Scores], tuple[Scores, Scores]]:
        """Return the scores on the frozen set and on phantoms of what was known, before and after."""
        self._told.stage("validating")
        old = retained(self._job.phantoms)
        total, done = 2 * (len(frozen) + len(old)), 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._told.tell(share=done / total)
            if self._stop():
                raise Stopped

        before, after = (
            (measure(network, frozen, report=advance), measure(network, old, report=advance))
            for network in (base, tuned)
        )
        return before, after


def _counted(studies: Sequence[TrainingStudy]) -> dict[str, int]:
    statuses = [study.status for study in studies]
    return {status: statuses.count(status) for status in dict.fromkeys(statuses)}


def _as_json(epoch: Any) -> dict[str, Any]:
    loss = None if np.isnan(epoch.loss) else round(epoch.loss, 4)
    dice = {clicks: round(value, 4) for clicks, value in epoch.dice.items()}
    return {"epoch": epoch.number, "loss": loss, "dice": dice or None}


def _forget_others(folder: Path, used: Sequence[Kept]) -> None:
    """Delete regions of other weights and of labels as they were: they would fill the disk."""
    names = {region.file for region in used}
    for file in folder.glob("*.safetensors"):
        if file not in names:
            file.unlink()
