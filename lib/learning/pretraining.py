"""Training of a promptable network from nothing: scenes, simulated corrections, an average of the weights.

A step: the network answers the first click, then some rounds of corrective clicks without gradient, then one
more with gradient. Both answers count. All chance comes from the seed and the number of the step, so that a
training that was killed goes on from its last checkpoint as if nothing had happened.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import DataLoader

from lib.learning.losses import segmentation_loss
from lib.learning.moments import moments_of, restore_moments
from lib.learning.precision import mixed_precision
from lib.learning.rounds import corrected, dice_of
from lib.learning.scenes import Scene, Scenes
from lib.network import CompactPET
from lib.store.atomic import write_atomic

_WARM_UP = 100  # steps until the learning rate is reached
_LAST_RATE = 0.02  # of the learning rate, at the end
_CLIP = 1.0  # norm of the gradient
_CHECKPOINT_SECONDS = 60.0


class TrainingError(ValueError):
    """A training that cannot start or go on; the message says why."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        steps: the end, and the learning rate's schedule; None: `minutes` decides.
        minutes: of training, over all runs; the steps done then depend on the machine.
        seed: of all chance.
        batch: scenes that one thread learns from at a step, at least 2: torch convolves single cubes slowly.
        threads: each learns from a batch of its own; a step takes the mean of their gradients.
        rate: learning rate of AdamW after the warm-up; falls as a cosine.
        decay: weight decay.
        average: decay of the weights' moving average, which is what comes out.
    """

    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    batch: int = 4
    threads: int = 2
    rate: float = 1e-3
    decay: float = 0.01
    average: float = 0.997

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise TrainingError("Give the number of steps or the minutes, one of them.")
        if not (self.steps or self.minutes or 0) > 0:
            raise TrainingError("Steps or minutes must be above 0.")
        if self.seed < 0:
            raise TrainingError("The seed must be 0 or more.")
        if not 0 < self.rate < math.inf:
            raise TrainingError("The learning rate must be a number above 0.")


@dataclass
class Progress:
    """Where a training stands: steps and share of the schedule done, seconds, the last step's figures."""

    step: int
    seconds: float
    share: float
    figures: dict[str, float]


class Training:
    """A training and its checkpoint.

    Args:
        network: new weights; trained in place.
        scenes: to learn from.
        recipe: how.
        checkpoint: file to go on from, where there is one, and to keep up to date.

    Raises:
        TrainingError: the checkpoint belongs to another recipe, start or data, or is damaged.
    """

    def __init__(self, network: CompactPET, scenes: Scenes, recipe: Recipe, checkpoint: Path) -> None:
        self.network = network.train()
        self.scenes, self.recipe, self.checkpoint = scenes, recipe, checkpoint
        self.average = {key: value.detach().clone() for key, value in network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.99), fused=True
        )
        self.step, self.seconds = 0, 0.0
        self._pool = ThreadPoolExecutor(recipe.threads)
        about = {
            "recipe": asdict(recipe),
            "network": network.config.to_json(),
            "start": network.digest,
            "data": scenes.sources,
        }
        self._key = json.dumps(about)
        if checkpoint.is_file():
            self._restore()

    def run(
        self,
        report: Callable[[Progress], None],
        workers: int = 1,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the end, or until it is to stop; either keeps a checkpoint.

        Args:
            report: called after every step.
            workers: processes that draw scenes; 0 draws them here.
            stop: asked after every step: a checkpoint from the midst of one would not go on as it was.
        """
        kept = begin = time.monotonic()
        spent = self.seconds
        for batch in self._batches(workers):
            figures = self._learn(batch)
            self.step += 1
            self.seconds = spent + time.monotonic() - begin
            report(Progress(self.step, self.seconds, self.share, figures))
            if self.share >= 1 or stop():
                break
            if time.monotonic() - kept > _CHECKPOINT_SECONDS:
                self.save()
                kept = time.monotonic()
        self.save()

    @property
    def share(self) -> float:
        """How much of the schedule is done: 0 to 1."""
        if self.recipe.steps is not None:
            return min(1.0, self.step / self.recipe.steps)
        assert self.recipe.minutes is not None
        return min(1.0, self.seconds / (60 * self.recipe.minutes))

    def trained(self) -> CompactPET:
        """Return a network with the averaged weights."""
        network = CompactPET(self.network.config, self.network.name)
        network.load_state_dict(self.average)
        return network.eval()

    def _batches(self, workers: int) -> Iterator[Scene]:
        """Yield the batches from the present step on, without end."""
        if self.share >= 1:
            return
        size = self.recipe.batch * self.recipe.threads
        first = self.step * size
        loader = DataLoader(
            self.scenes,
            batch_size=size,
            sampler=range(first, 1 << 40),
            num_workers=workers,
            worker_init_fn=_one_thread if workers else None,
        )
        yield from loader

    def _learn(self, batch: Scene) -> dict[str, float]:
        rate = self.recipe.rate * _rate_share(self.step, self.share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        whole = cast(dict[str, Tensor], batch)
        parts = [
            cast(Scene, {key: value[at : at + self.recipe.batch] for key, value in whole.items()})
            for at in range(0, len(batch["image"]), self.recipe.batch)
        ]
        results = list(self._pool.map(self._gradients, parts, range(len(parts))))
        for parameter, *gradients in zip(
            self.network.parameters(), *(gradients for gradients, _ in results), strict=True
        ):
            # In the parameter's own memory order: the fused optimizer reads both as they lie.
            parameter.grad = torch.empty_like(parameter).copy_(torch.stack(gradients).mean(0))
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP))
        if not math.isfinite(norm):
            raise TrainingError(f"Step {self.step} gave gradients that are not finite: lower the rate.")
        self.optimizer.step()
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            state = self.network.state_dict()
            torch._foreach_lerp_(
                [self.average[key] for key in state], [value.detach() for value in state.values()], 1 - keep
            )
        figures = {key: float(np.mean([part[key] for _, part in results])) for key in results[0][1]}
        return {**figures, "norm": norm, "rate": rate}

    def _gradients(self, batch: Scene, part: int) -> tuple[tuple[Tensor, ...], dict[str, float]]:
        """Return the gradient of each parameter on a part of the step's scenes, and figures to watch."""
        torch.set_num_threads(1)  # holds for this thread
        random = np.random.default_rng((self.recipe.seed, self.step, part, 1))
        with mixed_precision("cpu", self.network.config.image_size):
            first, last = answers(self.network, batch, random)
        target = batch["target"]
        losses = [segmentation_loss(logits, target) for logits in (first, last)]
        gradients = torch.autograd.grad(losses[0] + losses[1], list(self.network.parameters()))
        return gradients, {
            "loss_first": losses[0].item(),
            "loss_last": losses[1].item(),
            "dice_first": float(dice_of(first, target).mean()),
            "dice_last": float(dice_of(last, target).mean()),
        }

    def save(self) -> None:
        """Write the checkpoint: weights, their average, and the optimizer's moments; no pickle."""
        tensors = {f"weights.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.items()}
        tensors |= moments_of(self.optimizer, self.network.named_parameters())
        tensors = {key: value.detach().contiguous() for key, value in tensors.items()}
        about = {"training": self._key, "step": str(self.step), "seconds": repr(self.seconds)}
        write_atomic(self.checkpoint, save(tensors, metadata=about))

    def _restore(self) -> None:
        try:
            with safe_open(self.checkpoint, framework="pt") as file:
                about = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- not a dict
        except Exception as error:
            raise TrainingError(f"{self.checkpoint.name} is damaged: remove it to begin anew.") from error
        if about.get("training") != self._key:
            raise TrainingError(
                f"{self.checkpoint.name} belongs to another training: name another folder, or remove it."
            )
        self.step, self.seconds = int(about["step"]), float(about["seconds"])
        self.network.load_state_dict(_under("weights.", tensors))
        for key, value in _under("average.", tensors).items():
            self.average[key].copy_(value)
        restore_moments(self.optimizer, self.network.named_parameters(), tensors, self.step)


def answers(network: CompactPET, batch: Scene, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return a network's logits after the first click, and after some rounds of corrections."""
    embedding = network.encode(network.normalise(batch["image"]))
    return corrected(network, embedding, batch["target"], batch["point"], random, batch["previous"])


def _rate_share(step: int, share: float) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return min(1.0, (step + 1) / _WARM_UP) * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
