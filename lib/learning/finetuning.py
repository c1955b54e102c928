"""Fine-tuning: a trained network learns from a team's labels, and can be stopped at any moment.

A step decodes a batch of kept regions (`lib.learning.kept_regions`) as at inference, with simulated
corrections. After each epoch the moving average of the weights is measured on held-out regions; the best one
is what comes out. All chance comes from the seed and the step's number: a training that was killed goes on
from its checkpoint as if nothing had happened.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lib.learning.confident import judged, mean_answer, rectified
from lib.learning.held_out import dice_by_clicks
from lib.learning.kept_regions import Batch, Kept, KeptRegions
from lib.learning.losses import segmentation_loss
from lib.learning.moments import moments_of, restore_moments
from lib.learning.precision import mixed_precision
from lib.learning.rounds import corrected
from lib.learning.tuned_parts import TunedNetwork
from lib.learning.tuning_recipe import FineTuning, FineTuningError
from lib.network import Embedding
from lib.network.checkpoints import Network
from lib.store.atomic import write_atomic

_WARM_UP = 20  # steps
_LAST_RATE = 0.05  # of the learning rate, at the end
_CLIP = 1.0  # norm of the gradient
_CHECKPOINT_SECONDS = 60.0
_FORM = 2  # of checkpoints: those of an earlier form are not gone on from


class Stopped(Exception):  # noqa: N818 -- nothing went wrong
    """The training was stopped as it was asked to; its checkpoint is there."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Args:
        number: from 1; 0 is the network before any training.
        loss: mean of its steps; NaN for epoch 0.
        dice: of held-out regions after 1, 3 and 5 clicks; empty where none are held out.
    """

    number: int
    loss: float
    dice: dict[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """What is better higher: the mean Dice; without any, the later epoch."""
        return float(np.mean(list(self.dice.values()))) if self.dice else float(self.number)


@dataclass(frozen=True)
class Standing:
    """Where a training stands, told after every step.

    Args:
        epoch: that is being learnt, from 1.
        share: of all epochs, 0 to 1.
        step: steps done.
        seconds: over all runs.
        loss: of the step.
        curve: the epochs done.
    """

    epoch: int
    share: float
    step: int
    seconds: float
    loss: float
    curve: tuple[Epoch, ...]


class FineTuner:
    """A fine-tuning and its checkpoint.

    Args:
        base: the network to begin with; stays as it is.
        recipe: how.
        kept: where the regions are.
        regions: to learn from.
        held_out: to measure on; may be empty.
        replay: of what the network knew before; may be empty.
        folder: for the checkpoint; where one of the same training (recipe, base, regions) is, it goes on. A
            damaged one is set aside, and the training begins anew.

    Raises:
        FineTuningError: nothing to learn from.
    """

    def __init__(
        self,
        base: Network,
        recipe: FineTuning,
        kept: KeptRegions,
        regions: Sequence[Kept],
        held_out: Sequence[Kept],
        replay: Sequence[Kept],
        folder: Path,
    ) -> None:
        if not regions:
            raise FineTuningError(
                "Nothing is outlined in the labels to learn from: label some lesions first."
            )
        self.tuned = TunedNetwork(base, recipe.mode, recipe.rank, recipe.seed)
        self.recipe, self.kept = recipe, kept
        self.regions, self.held_out, self.replay = list(regions), list(held_out), list(replay)
        self._weights = dict(self.tuned.trained())
        self._average = {name: value.detach().clone() for name, value in self._weights.items()}
        self._best = {name: value.clone() for name, value in self._average.items()}
        rate = recipe.highest_rate
        self._optimizer = torch.optim.AdamW(
            self._weights.values(), lr=rate, weight_decay=recipe.decay, betas=(0.9, 0.99)
        )
        self.step, self.seconds = 0, 0.0
        self.curve: list[Epoch] = []
        self._losses: list[float] = []
        self._doubted: frozenset[int] = frozenset()
        files = [
            (region.file.name, region.number, region.trusted) for region in (*regions, *held_out, *replay)
        ]
        about = {"form": _FORM, "recipe": asdict(recipe), "base": base.digest, "files": files}
        key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        self.checkpoint = folder / f"checkpoint-{key[:32]}.safetensors"
        #: Where a checkpoint lies that was damaged; None: there was none such.
        self.set_aside: Path | None = None
        if self.checkpoint.is_file():
            self._restore()

    @property
    def steps_an_epoch(self) -> int:
        """Steps in which every region to learn from is seen once."""
        share = len(self.regions) / (1 - (self.recipe.replay if self.replay else 0))
        return max(1, math.ceil(share / (self.recipe.batch * self.recipe.accumulate)))

    @property
    def share(self) -> float:
        """How much is done of as many epochs as there can be: 0 to 1."""
        return self.step / (self.recipe.epochs * self.steps_an_epoch)

    @property
    def best(self) -> Epoch:
        """The epoch that comes out."""
        return max(self.curve, key=lambda epoch: (epoch.score, -epoch.number))

    def run(
        self, report: Callable[[Standing], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> Network:
        """Train to the end and return the best network, adapters merged.

        Args:
            report: called after every step and epoch.
            stop: asked before every step.

        Raises:
            Stopped: `stop` said so; the checkpoint is there.
            FineTuningError: the training does not converge.
        """
        begin, spent = time.monotonic(), self.seconds
        saved = begin
        if not self.curve:
            self._end_epoch(float("nan"))
        while not self._is_done():
            if stop():
                self.save()
                raise Stopped
            loss = self._learn()
            self._losses.append(loss)
            self.step += 1
            self.seconds = spent + time.monotonic() - begin
            ends = self.step % self.steps_an_epoch == 0
            if ends:
                self._end_epoch(float(np.mean(self._losses)))
                self._losses.clear()
            if ends or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
            report(self._standing(loss))
        return self.tuned.merged(self._best)

    def _is_done(self) -> bool:
        last = self.curve[-1].number
        waited = last - self.best.number if self.held_out else 0
        return last >= self.recipe.epochs or waited >= self.recipe.patience

    def _standing(self, loss: float) -> Standing:
        epoch = min(self.step // self.steps_an_epoch + 1, self.recipe.epochs)
        return Standing(epoch, self.share, self.step, self.seconds, loss, tuple(self.curve))

    def _end_epoch(self, loss: float) -> None:
        """Measure the averaged weights, and keep them where they are the best so far."""
        dice = self._measured() if self.held_out else {}
        epoch = Epoch(len(self.curve), loss, dice)
        if not self.curve or epoch.score > self.best.score:
            for name, value in self._average.items():
                self._best[name].copy_(value)
        self.curve.append(epoch)
        if self.recipe.confident and epoch.number == self.recipe.trust_epochs:
            random = np.random.default_rng([self.recipe.seed, 3])
            with self._averaged():
                self._doubted = judged(self.tuned.network, self.kept, self.regions, random)

    def _measured(self) -> dict[str, float]:
        with self._averaged():
            return dice_by_clicks(self.tuned.network, self.kept, self.held_out, self.recipe.batch)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let the network have the averaged weights for a while."""
        now = {name: value.detach().clone() for name, value in self._weights.items()}
        self._set(self._average)
        try:
            with self._mixed_precision():
                yield
        finally:
            self._set(now)

    def _mixed_precision(self) -> torch.autocast:
        network = self.tuned.network
        return mixed_precision(network.device.type, network.config.image_size)

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._weights[name].copy_(value)

    def _learn(self) -> float:
        recipe = self.recipe
        rate = recipe.highest_rate * self._rate_share()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        losses = []
        for part in range(recipe.accumulate):
            loss = self._loss(part)
            (loss / recipe.accumulate).backward()
            losses.append(float(loss.detach()))
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights.values(), _CLIP))
        if not math.isfinite(norm):
            raise FineTuningError("The gradients are no longer finite: begin anew with a lower rate.")
        self._optimizer.step()
        keep = min(recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self._weights.items():
                self._average[name].lerp_(value.detach(), 1 - keep)
        return float(np.mean(losses))

    def _loss(self, part: int) -> Tensor:
        recipe, network = self.recipe, self.tuned.network
        random = np.random.default_rng([recipe.seed, self.step, part, 1])
        drawn = self._drawn(part)
        batch = self.kept.read([region for region, _ in drawn])
        doubted = torch.tensor([is_doubted for _, is_doubted in drawn])
        with self._mixed_precision():
            embedding = self._embedding(batch)
            wanted = batch.target
            if doubted.any():
                mean = mean_answer(network, embedding, batch.target, batch.point, random)
                wanted = rectified(batch.target, mean, doubted)
            # A wrong outline still teaches to follow the clicks that lead to it.
            first, last = corrected(network, embedding, batch.target, batch.point, random)
        return segmentation_loss(first, wanted) + segmentation_loss(last, batch.target)

    def _embedding(self, batch: Batch) -> Embedding:
        if batch.embedding is not None:
            return batch.embedding
        assert batch.cubes is not None
        return self.tuned.network.encode(batch.cubes)

    def _drawn(self, part: int) -> list[tuple[Kept, bool]]:
        """Return the regions of a batch, in each epoch's own order, and of each whether its label is doubted.

        Some of the replay set are mixed in.
        """
        epoch, at = divmod(self.step, self.steps_an_epoch)
        random = np.random.default_rng([self.recipe.seed, epoch, 2])
        size = self.recipe.batch
        total = self.steps_an_epoch * self.recipe.accumulate * size
        places = random.permutation(len(self.regions)).tolist()
        own = [(self.regions[place], place in self._doubted) for place in places]
        if self.replay:
            chosen = random.choice(len(self.replay), max(0, total - len(own)))
            own += [(self.replay[place], False) for place in chosen]
        while len(own) < total:
            own += own[: total - len(own)]
        mixed = [own[place] for place in random.permutation(total)]
        first = (at * self.recipe.accumulate + part) * size
        return mixed[first : first + size]

    def _rate_share(self) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.share)))
        return min(1.0, (self.step + 1) / _WARM_UP) * (_LAST_RATE + (1 - _LAST_RATE) * cosine)

    def save(self) -> None:
        """Write the checkpoint: weights that change, their average, the best, the moments; no pickle."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._weights.items():
            tensors[f"weights.{name}"] = parameter
            tensors[f"average.{name}"] = self._average[name]
            tensors[f"best.{name}"] = self._best[name]
        tensors |= moments_of(self._optimizer, self._weights.items())
        kept = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        about = {
            "step": self.step,
            "seconds": self.seconds,
            "curve": [asdict(epoch) for epoch in self.curve],
            "losses": self._losses,
            "doubted": sorted(self._doubted),
        }
        write_atomic(self.checkpoint, save(kept, metadata={"state": json.dumps(about)}))

    def _restore(self) -> None:
        try:
            with safe_open(self.checkpoint, framework="pt") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {})["state"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- not a dict
        except (SafetensorError, KeyError, ValueError):
            self.set_aside = self.checkpoint.replace(self.checkpoint.with_suffix(".damaged"))
            return
        self.step, self.seconds = about["step"], about["seconds"]
        self.curve = [Epoch(**epoch) for epoch in about["curve"]]
        self._losses = about["losses"]
        self._doubted = frozenset(about["doubted"])
        self._set({name: tensors[f"weights.{name}"] for name in self._weights})
        for name in self._weights:
            self._average[name].copy_(tensors[f"average.{name}"])
            self._best[name].copy_(tensors[f"best.{name}"])
        restore_moments(self._optimizer, self._weights.items(), tensors, self.step)
