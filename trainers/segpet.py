"""The trainer `segpet`: fine-tunes the network on the studies' saved labels."""

import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from lib.learning.finetuning import Stopped
from lib.learning.tuned_parts import MODES
from lib.learning.tuning_job import LABELS, Job, train_segmentation
from lib.learning.tuning_recipe import FineTuning
from lib.store import StateFolder
from trainers.progress import stats_of
from trainers.requests import TrainRequestError, check_keys

_OPTIONS = ("mode", "labels", "confident", "max_epochs", "tracer", "seed")


class SegPETTrainer(TrainTask):
    """Fine-tunes on saved labels, and promotes what got better; see `lib.learning.tuning_job`.

    A request may have `mode`, `labels`, `confident`, `max_epochs`, `tracer` and `seed`; what MONAI Label's
    clients send to every trainer beside that is not used. It blocks until the training ends: a server runs it
    in a process of its own, with `command`.

    Args:
        studies: the folder with the studies.
        state: where labels' versions, models and trainings are kept.
        base: weights to begin with while there is no champion; None: there are none.
        unit: what the values are of files that do not say it.
        device: where the network runs.
        phantoms: see `lib.learning.tuning_job.Job`.
    """

    name = "segpet"

    def __init__(
        self,
        studies: str,
        state: StateFolder,
        base: Path | None,
        unit: str | None,
        device: torch.device,
        phantoms: int = 4,
    ) -> None:
        super().__init__("Fine-tunes the network on saved labels; better weights become the champion")
        self._studies, self._state, self._base = studies, state, base
        self._unit, self._device, self._phantoms = unit, device, phantoms

    def config(self) -> dict[str, Any]:
        """Return the options that a viewer offers: a value, or choices, the first one the default."""
        recipe = FineTuning()
        return {
            "mode": list(MODES),
            "labels": list(LABELS),
            "confident": recipe.confident,
            "max_epochs": recipe.epochs,
            "seed": recipe.seed,
        }

    def stats(self) -> dict[str, Any]:
        """Return how far its last training is; see `stats_of`."""
        return stats_of(self._state, self.name)

    def job(self, request: Mapping[str, Any]) -> Job:
        """Return what a request asks for.

        Raises:
            TrainRequestError, FineTuningError: an option that cannot be used.
        """
        if self._studies.startswith(("http://", "https://")):
            raise TrainRequestError("Training reads a folder of studies, and this server's are in a PACS.")
        if self._base is None:
            raise TrainRequestError("There are no weights to begin with: start the server with some.")
        check_keys(request, _OPTIONS)
        asked = {key: _first(request[key]) for key in _OPTIONS if request.get(key) not in (None, "")}
        labels = asked.pop("labels", "final")
        if not isinstance(labels, str) or labels not in LABELS:
            raise TrainRequestError(f"labels must be one of {', '.join(LABELS)}.")
        tracer = asked.pop("tracer", None)
        if tracer is not None and not (
            isinstance(tracer, str) and len(tracer) <= 64 and tracer.isprintable()
        ):
            raise TrainRequestError("tracer must be a name of at most 64 characters.")
        if type(asked.get("confident", True)) is not bool:
            raise TrainRequestError("confident must be true or false.")
        for key in {"max_epochs", "seed"} & asked.keys():
            if type(asked[key]) is not int or not 0 <= asked[key] <= 100_000:
                raise TrainRequestError(f"{key} must be a whole number between 0 and 100000.")
        if "max_epochs" in asked:
            asked["epochs"] = asked.pop("max_epochs")
        recipe = FineTuning(**asked)
        return Job(
            studies=Path(self._studies),
            state=self._state,
            base=self._base,
            recipe=recipe,
            unit=self._unit,
            others=LABELS[labels],
            tracer=tracer,
            device=self._device,
            phantoms=self._phantoms,
        )

    def command(self, request: Mapping[str, Any]) -> list[str]:
        """Return the command line that does the same in a process of its own, from the repository's root.

        Raises:
            TrainRequestError, FineTuningError: an option that cannot be used.
        """
        job = self.job(request)
        labels = next(name for name, others in LABELS.items() if others == job.others)
        options = {
            "state": job.state.path, "model": job.base, "mode": job.recipe.mode, "labels": labels,
            "epochs": job.recipe.epochs, "seed": job.recipe.seed, "unit": job.unit, "tracer": job.tracer,
            "device": job.device, "phantoms": job.phantoms,
        }  # fmt: skip
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        given.append("--confident" if job.recipe.confident else "--plain")
        arguments = ["train", "segmentation", "--json", *given, "--", str(job.studies)]
        return [sys.executable, "-P", "-m", "scripts", *arguments]

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train to the end, or until SIGTERM or SIGINT; return what came of it.

        The datastore is only as MONAI Label's interface has it: labels and their versions are read from disk.
        """
        stop = threading.Event()
        numbers = (
            (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        )
        former = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
        try:
            outcome = train_segmentation(self.job(request), stop=stop.is_set)
        except Stopped:
            return {"status": "stopped"}
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
        return outcome.as_dict()  # which MONAI Label logs


def _first(value: Any) -> Any:
    """Return a value, or the first of a list of choices that a client sent back as it was offered."""
    return value[0] if isinstance(value, list) and value else value
