"""From a team's labels to new weights: split, fine-tune, measure on the frozen set, register, decide.

A job is one process with the state folder's `training/` to itself. It can be stopped and killed at any
moment; the same job goes on from there.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.learning.blending import blended
from lib.learning.finetuning import FineTuner, Standing, Stopped
from lib.learning.held_out import Scores, mean_of, measure
from lib.learning.kept_regions import Kept, KeptRegions
from lib.learning.phantom_studies import rehearsed, retained, watched
from lib.learning.progress_file import ProgressFile
from lib.learning.promotion import CLICKS, Decision, decide, origin_of, read_rule
from lib.learning.studies import Source, TrainingStudy, fault_of, labelled_studies
from lib.learning.tuning_recipe import FineTuning, FineTuningError
from lib.network import load_network, save_network
from lib.network.checkpoints import Network
from lib.store import StateFolder
from lib.store.locks import held
from lib.store.models import Models, Version

#: What a training may learn from, by the names of the choice: statuses of labels beside final ones.
LABELS = {"final": ("reviewed",), "all": ("reviewed", "submitted", "draft", "original")}
#: Regions of held-out studies that are measured after each epoch.
_HELD_OUT_REGIONS = 48
#: Of so many patients to learn from one is spared, to choose the epoch by; of fewer none can be.
_SPARE_OF = 8
#: Seconds after which a file that is being written was left behind by a process that was killed.
_LEFT_BEHIND = 60.0


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
        tracer: for the card; None: the one that all studies' own headers name, if there is one.
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
        warnings: sentences; studies that were left out are named in them, so they are not for logs.
    """

    version: Version
    promoted: bool
    why: str
    before: dict[str, float]
    after: dict[str, float]
    seconds: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON that may be logged: the version's number, and no warnings."""
        told = {**asdict(self), "version": self.version.number}
        del told["warnings"]
        return told


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
            told.set(status="stopped", message="The same training goes on from here.")
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
            warnings=list(outcome.warnings),
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
        self._left_out: set[str] = set()
        self._warnings: list[str] = []
        if job.phantoms == 0:
            self._warn("There are no phantoms: whether anything is lost of what was known is not measured.")

    def run(self) -> Outcome:
        job = self._job
        self._told.stage("reading")
        # A rule that cannot be read is told before the work, not after it.
        fewest = read_rule(self._models.folder).fewest
        studies = labelled_studies(job.studies, job.state.path / "labels", job.unit, job.others)
        patient_of = {study.name: study.patient() for study in studies}
        sure = {study.name: study for study in studies if study.trusted}
        split = self._models.split(patient_of, sure, lambda name: self._is_usable(sure[name]), fewest)
        learning = [study for study in self._usable(studies) if study.name in split.training]
        frozen = [study for study in self._usable(sure.values()) if study.name in split.validation]
        champion = self._models.champion()
        base = load_network(champion.path if champion else job.base, job.device, job.state.folder("weights"))

        spared = _spared({patient_of[study.name] for study in learning if study.trusted}, job.recipe.seed)
        watching = [one for one in learning if one.trusted and patient_of[one.name] in spared] or frozen
        learning = [study for study in learning if patient_of[study.name] not in spared]
        tuner = self._tuner(base, learning, watching)
        self._told.stage("training", share=tuner.share)
        tuned = tuner.run(self._told_of_step, self._stop)
        self._told.stage("blending")
        few = self._few(base)
        tuned, share = blended(base, tuned, few, few.of(watched(job.phantoms)))
        tuned.name_weights(f"{base.name}+", tuned.digest)
        before, after = self._measured(base, tuned, frozen)
        self._told.stage("deciding")
        learning, watching = self._usable(learning), self._usable(watching)
        measured = [study for study in frozen if study.name in before[0]]
        tracers = {study.tracer() for study in (*learning, *measured)}
        card = {
            "base": base.name,
            "parent": base.digest,
            "mode": job.recipe.mode,
            "recipe": asdict(job.recipe),
            "tracer": job.tracer or (tracers.pop() if len(tracers) == 1 else None),
            "data": {
                "training": [study.name for study in learning],
                "validation": [study.name for study in measured],
                "labels": _counted(learning),
                "regions": len(tuner.regions),
            },
            "epoch": {"number": tuner.best.number, "chosen_on": [study.name for study in watching]},
            "blend": share,
            "seconds": round(tuner.seconds),
            "curve": [_as_json(epoch) for epoch in tuner.curve],
            "validation": {
                "before": before[0],
                "after": after[0],
                "patients": _numbered(patient_of, measured),
            },
            "retention": {
                "before": before[1],
                "after": after[1],
                "origin": origin_of(before[1], champion.card if champion else None),
            },
        }
        version = self._registered(tuned, card, champion)
        tuner.checkpoint.unlink(missing_ok=True)
        was, now = ({str(n): round(mean_of(scores[0], n), 4) for n in CLICKS} for scores in (before, after))
        promoted, why = version.card["promoted"], version.card["why"]
        return Outcome(version, promoted, why, was, now, tuner.seconds, tuple(self._warnings))

    def _registered(self, tuned: Network, card: dict[str, Any], champion: Version | None) -> Version:
        """Keep the new weights, and promote them if the rule says so and the champion is still the same."""
        rule = read_rule(self._models.folder)
        card = {**card, **asdict(decide(card, rule)), "rule": asdict(rule)}
        too_late = Decision(
            False,
            "Kept, not promoted: it is better than the weights that it was measured against, but these are "
            "not the champion any more: train again, or promote it by hand.",
            "kept: the champion changed",
        )
        file = self._folder / "tuned.safetensors"
        save_network(tuned, file)
        if card["promoted"]:
            version = self._models.challenge(file, card, champion, asdict(too_late))
        else:
            version = self._models.add(file, card)
        file.unlink()
        return version

    def _is_usable(self, study: Source) -> bool:
        """Whether something is outlined in a study and can be read; else a warning names it."""
        if self._stop():
            raise Stopped
        if study.name not in self._left_out and (fault := fault_of(study)):
            self._left_out.add(study.name)
            self._warn(f"{study.name} was left out: {fault}")
        return study.name not in self._left_out

    def _usable(self, studies: Iterable[TrainingStudy]) -> list[TrainingStudy]:
        """Return studies without those that were left out so far."""
        return [study for study in studies if study.name not in self._left_out]

    def _warn(self, sentence: str) -> None:
        self._warnings.append(sentence)
        self._told.tell(warnings=self._warnings)

    def _tuner(
        self, base: Network, learning: Sequence[TrainingStudy], watching: Sequence[TrainingStudy]
    ) -> FineTuner:
        recipe = self._job.recipe
        self._told.stage("embedding")
        encoded = recipe.mode == "decoder"
        folder = self._folder / "regions"
        kept = KeptRegions(folder, base, encoded, seed=recipe.seed)
        few = self._few(base)
        old = rehearsed(self._job.phantoms if recipe.replay else 0)
        total = len(learning) + len(watching) + len(old)

        def of(regions: KeptRegions, sources: Sequence[Source], done: int) -> list[Kept]:
            found: list[Kept] = []
            for number, source in enumerate(sources, start=1):
                if self._stop():
                    raise Stopped
                if not (new := regions.of([source])):
                    self._is_usable(source)
                found += new
                self._told.tell(share=(done + number) / total)
            return found

        regions = of(kept, learning, 0)
        held_out = of(few, watching, len(learning))
        replay = of(kept, old, len(learning) + len(watching))
        _forget_others(folder, [*regions, *held_out, *replay, *few.of(watched(self._job.phantoms))])
        random = np.random.default_rng(recipe.seed)
        if len(held_out) > _HELD_OUT_REGIONS:
            places = random.permutation(len(held_out))[:_HELD_OUT_REGIONS]
            held_out = [held_out[place] for place in sorted(places.tolist())]
        tuner = FineTuner(base, recipe, kept, regions, held_out, replay, self._folder)
        if tuner.set_aside:
            self._warn(f"A damaged checkpoint was set aside ({tuner.set_aside}); the training began anew.")
        _forget_abandoned(self._folder, tuner.checkpoint)
        return tuner

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


def _spared(patients: set[str], seed: int) -> set[str]:
    """Return the patients that the epoch is chosen by instead of learning from them: an eighth, by chance.

    Chosen by the frozen patients, an epoch would look better there than it is when they decide on promotion.
    """
    order = np.random.default_rng(seed).permutation(sorted(patients)).tolist()
    return set(order[: len(order) // _SPARE_OF])


def _numbered(patient_of: Mapping[str, str], studies: Sequence[TrainingStudy]) -> dict[str, int]:
    """Return by study whose it is: a number, for a card holds nobody's ID."""
    patients = list(dict.fromkeys(patient_of[study.name] for study in studies))
    return {study.name: 1 + patients.index(patient_of[study.name]) for study in studies}


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


def _forget_abandoned(folder: Path, checkpoint: Path) -> None:
    """Delete the checkpoints of other trainings, and what killed processes left half written."""
    for file in folder.glob("checkpoint-*"):
        if file.stem != checkpoint.stem:
            file.unlink()
    for part in (*folder.glob(".*.part"), *folder.glob("regions/.*.part")):
        with suppress(FileNotFoundError):  # a server's, which is whole by now
            if time.time() - part.stat().st_mtime > _LEFT_BEHIND:
                part.unlink()
