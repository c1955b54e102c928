"""The trainer `impression`: an adapter for the language model, from pairs of findings and impression."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from lib.learning.progress_file import ProgressFile
from lib.report.backends import BackendError
from lib.report.language import ReportError
from lib.report.recipe import Recipe
from lib.report.text_pairs import Pair
from lib.report.tuning import TuningStopped
from lib.report.tuning_job import TextProgress, train_impression

#: Of a request; MONAI Label's clients send `max_epochs`.
_OPTIONS = {"rank": int, "alpha": int, "dropout": float, "rate": float, "seed": int, "max_epochs": int}


class ImpressionTrainer(TrainTask):
    """Fine-tunes the language model on accepted pairs; see `lib.report.tuning_job.train_impression`.

    A request may have `rank`, `alpha`, `dropout`, `rate`, `seed` and `max_epochs`. It blocks until the
    training ends; `segpet train impression` does the same in a process of its own.

    Args:
        base: the model: a folder, or a downloaded model's name on the hub.
        pairs: returns the accepted pairs.
        folder: of the adapter, its checkpoint and progress.json.
        device: where the model runs.
    """

    name = "impression"

    def __init__(
        self, base: str, pairs: Callable[[], list[Pair]], folder: Path, device: torch.device | None = None
    ) -> None:
        super().__init__("Fine-tunes the language model on accepted pairs of findings and impression")
        self._base, self._pairs, self._folder, self._device = base, pairs, folder, device
        self._stopped = False

    def config(self) -> dict[str, Any]:
        """Return the options and their defaults."""
        recipe = Recipe()
        return {name: getattr(recipe, "epochs" if name == "max_epochs" else name) for name in _OPTIONS}

    def stats(self) -> dict[str, Any]:
        """Return how far the last training is; {} where there was none."""
        try:
            stats: dict[str, Any] = json.loads((self._folder / "progress.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return stats

    def recipe(self, request: Mapping[str, Any]) -> Recipe:
        """Return what a request asks for.

        Raises:
            ReportError: an option that cannot be used.
        """
        asked: dict[str, Any] = {}
        for name, kind in _OPTIONS.items():
            value = request.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
                raise ReportError(f"{name} must be a {'whole ' if kind is int else ''}number.")
            asked["epochs" if name == "max_epochs" else name] = value
        return Recipe(**asked)

    def stop(self) -> None:
        """End the training that runs after its step; the same request goes on from there."""
        self._stopped = True

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and return the adapter's card.

        Raises:
            ReportError, BackendError: pairs, options or model cannot be used.
            TuningStopped: `stop` was called.
        """
        recipe = self.recipe(request)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stopped = False
        progress = ProgressFile(self._folder / "progress.json", epochs=recipe.epochs)

        def told(now: TextProgress) -> None:
            progress.tell(stage=now.stage, share=now.share, epoch=now.epoch, curve=now.curve)

        try:
            card = train_impression(
                self._pairs(), self._base, self._folder, recipe,
                device=self._device, told=told, stopped=lambda: self._stopped,
            )  # fmt: skip
        except TuningStopped:
            progress.set(status="stopped", message="Stopped; the same request goes on from here.")
            raise
        except Exception as error:
            known = isinstance(error, ReportError | BackendError)
            progress.set(status="failed", message=str(error) if known else "The training failed.")
            raise
        progress.set(status="done", share=1.0, curve=card["curve"])
        return card
