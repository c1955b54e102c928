"""The trainer `impression`: an adapter for the language model, from pairs of findings and impression."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from lib.report.adapter_job import AdapterJob, train_adapter
from lib.report.backends import Backend
from lib.report.backends.local import LocalBackend
from lib.report.language import ReportError
from lib.report.recipe import Recipe
from lib.store import StateFolder
from trainers.progress import stats_of
from trainers.requests import check_keys

#: Of a request; MONAI Label's clients send `max_epochs`.
_OPTIONS = {"rank": int, "alpha": int, "dropout": float, "rate": float, "seed": int, "max_epochs": int}


class ImpressionTrainer(TrainTask):
    """Fine-tunes the language model on accepted pairs; see `lib.report.adapter_job.train_adapter`.

    A request may have `rank`, `alpha`, `dropout`, `rate`, `seed` and `max_epochs`; what MONAI Label's clients
    send to every trainer beside that is not used. It blocks until the training ends: a server runs it in a
    process of its own, with `command`.

    Args:
        studies: the folder with the studies.
        state: where accepted impressions are, and adapters go.
        backend: what writes; only a model in the server's process can be trained.
        device: where the model runs.
    """

    name = "impression"

    def __init__(
        self, studies: str, state: StateFolder, backend: Backend | None, device: torch.device | None = None
    ) -> None:
        super().__init__("Fine-tunes the language model on accepted pairs of findings and impression")
        self._studies, self._state, self._backend, self._device = studies, state, backend, device

    def config(self) -> dict[str, Any]:
        """Return the options and their defaults."""
        recipe = Recipe()
        return {name: getattr(recipe, "epochs" if name == "max_epochs" else name) for name in _OPTIONS}

    def stats(self) -> dict[str, Any]:
        """Return how far its last training is; see `stats_of`."""
        return stats_of(self._state, self.name)

    def job(self, request: Mapping[str, Any]) -> AdapterJob:
        """Return what a request asks for.

        Raises:
            TrainRequestError, ReportError: an option that cannot be used, or no model that can be trained.
        """
        if not isinstance(self._backend, LocalBackend):
            raise ReportError(
                "Only a language model in the server's own process can be trained: start the server with "
                "--impression and a folder, or train beside it with `segpet train impression`."
            )
        check_keys(request, _OPTIONS)
        asked: dict[str, Any] = {}
        for name, kind in _OPTIONS.items():
            value = request.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
                raise ReportError(f"{name} must be a {'whole ' if kind is int else ''}number.")
            asked["epochs" if name == "max_epochs" else name] = value
        recipe = Recipe(**asked)
        return AdapterJob(self._state, self._backend.where, recipe, self._backend.own, self._device)

    def command(self, request: Mapping[str, Any]) -> list[str]:
        """Return the command line that does the same in a process of its own, from the repository's root.

        Raises:
            TrainRequestError, ReportError: see `job`.
        """
        job = self.job(request)
        options = {
            "state": job.state.path, "model": job.base, "adapter": job.adapter, "device": job.device,
            "rank": job.recipe.rank, "alpha": job.recipe.alpha, "dropout": job.recipe.dropout,
            "rate": job.recipe.rate, "seed": job.recipe.seed, "epochs": job.recipe.epochs,
        }  # fmt: skip
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return [sys.executable, "-P", "-m", "scripts", "train", "impression", *given, "--", self._studies]

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and return the adapter's card.

        Raises:
            TrainRequestError, ReportError, BackendError: pairs, options or model cannot be used.
        """
        return train_adapter(self.job(request)).card
