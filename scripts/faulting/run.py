"""The run: people at work, a server that is killed at a random point of it, and a look at what is left."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from lib.store import Journal, LabelVersions, Models
from lib.store.checkup import Finding, check_state, check_studies
from scripts.faulting.annotator import Annotator
from scripts.faulting.lead import Lead
from scripts.faulting.warm_server import WarmServer
from scripts.faulting.worker import Worker

#: Studies that annotators work on, and who works on which; two are at the same one.
_WORK = {"reader-1": "patient-1", "reader-2": "patient-1", "reader-3": "patient-2"}
#: A study that nobody works on, and that has no label.
UNREAD = "patient-7"
_SHAPE, _SPACING = (48, 48, 80), (8.0, 8.0, 8.0)
#: A kill is aimed at one of these; where nothing of the kind is sent for so long (s), it comes anyway.
_AIMED = ("click", "click", "undo", "save", "save", "impression", "promote", "rollback")
_WAITED = 3.0
#: Beside the server, the training is killed in so many of the kills.
_TRAINING_TOO = 0.3


@dataclass
class Result:
    """What a run came to.

    Args:
        kills: of the server, by the kinds of the requests that nobody had answered yet.
        acknowledged: requests, by their kind.
        left: what kills left behind, harmless.
        broken: what was acknowledged and is gone, and what is damaged.
        restarts: seconds until the server answered again, of each.
        trainings_killed: by what they were at.
        trained: versions of weights that came of trainings.
        versions, events: label versions and lines of journals at the end.
    """

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    trainings_killed: Counter[str] = field(default_factory=Counter)
    trained: int = 0
    versions: int = 0
    events: int = 0


class FaultRun:
    """A server with people at work, in a folder of its own.

    Args:
        folder: an empty one.
        seed: of all that is random.
        trains: have weights trained too.
        before: called in the server's process first.
    """

    def __init__(
        self, folder: Path, seed: int, trains: bool, before: Callable[[], None] | None = None
    ) -> None:
        self._random = random.Random(seed)
        self._aimed = (*_AIMED, "train") if trains else _AIMED
        self._sent, self._target = Event(), ""
        self.folder, self.points = folder, _prepare(folder)
        models = Models(folder / "state/models")
        for _ in range(3):
            models.add(folder / "tiny.safetensors", {"mode": "decoder"})
        weights = folder / "tiny.safetensors"
        conf: dict[str, str | Path] = {"model": weights, "labels": "lesion", "readers": "2"}
        self.server = WarmServer(folder, before, impression="none", **conf)
        state, url = self.server.state, self.server.url
        self.annotators = [
            Annotator(url, name, seed + at, self._on_sent, study, self.points[study], state)
            for at, (name, study) in enumerate(_WORK.items())
        ]
        self._lead = Lead(url, "lead", seed, self._on_sent, state, trains)
        self._workers: list[Worker] = [*self.annotators, self._lead]
        self.result = Result()

    def run(self, kills: int, told: Callable[[int], None] = lambda done: None) -> Result:
        """Kill the server so many times, and leave it running; `told` is called with the kills done."""
        for done in range(kills + 1):
            self.result.restarts.append(self.server.start())
            if done:
                self.verify()
            if done < kills:
                self._work_until_killed()
                self._look()
            told(done)
        return self._counted()

    def verify(self) -> None:
        """Have everybody compare what the server acknowledged with what is there."""
        for worker in self._workers:
            worker.verify()

    def close(self) -> None:
        """End the server and the training."""
        self.server.close()
        self._stop_training()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have everybody work while the block runs, or until the server is gone."""
        gone = Event()
        threads = [Thread(target=worker.work, args=(gone,)) for worker in self._workers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            gone.set()
            for thread in threads:
                thread.join()

    def _work_until_killed(self) -> None:
        self._target = self._random.choice(self._aimed)
        with self.working():
            time.sleep(self._random.uniform(0, 1))
            self._sent.clear()
            self._sent.wait(_WAITED)
            took = max(worker.seconds.get(self._target, 0.05) for worker in self._workers)
            time.sleep(self._random.uniform(0, took))
            self.server.kill()
            if self._random.random() < _TRAINING_TOO:
                self.result.trainings_killed.update(self._stop_training())
        flights = sorted(worker.flight for worker in self._workers if worker.flight)
        self.result.kills.update(flights or ["nothing"])

    def _on_sent(self, kind: str) -> None:
        if kind == self._target:
            self._sent.set()

    def _look(self) -> None:
        """Look the store over as the kill left it, before a server repairs anything."""
        for finding in _findings(self.server.studies, self.server.state):
            if finding.harmless:
                unfinished = finding.path.name.endswith(".part") or finding.path.name.startswith(".saving")
                self.result.left["unfinished files" if unfinished else "saves cut off at their end"] += 1
            else:
                self.result.broken.append(f"{finding.path.name}: {finding.what}")

    def _stop_training(self) -> list[str]:
        """Kill the training that runs, if one does; return what it was at."""
        killed = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if b"train" in words and b"--state=" + os.fsencode(self.server.state) in words:
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.append(self._stage())
        return killed

    def _stage(self) -> str:
        """Return what the training was at that was killed just now."""
        try:
            told = json.loads((self.server.state / "training/progress.json").read_bytes())
        except FileNotFoundError:
            return "starting"
        return str(told["stage"])

    def _counted(self) -> Result:
        result, state = self.result, self.server.state
        for worker in self._workers:
            result.acknowledged += worker.acknowledged
            result.broken += worker.broken
        result.trained = self._lead.trained
        studies = set(_WORK.values())
        result.versions = sum(len(LabelVersions(state / "labels").versions(study)) for study in studies)
        result.events = sum(len(Journal(state / "journal").read(study)) for study in studies)
        return result


def _findings(studies: Path, state: Path) -> Iterator[Finding]:
    from lib.learning.studies import studies_of  # heavy: it imports torch

    yield from check_state(state)
    yield from check_studies(state, studies, {name: image for name, image, _ in studies_of(studies)})


def _prepare(folder: Path) -> dict[str, list[list[float]]]:
    """Write digital patients, some with a label, and weights; return places in lesions, LPS mm, by study."""
    import nibabel
    import numpy as np
    import torch

    from infer_tasks.patient_space import to_lps
    from lib.network import CompactConfig, CompactPET, save_network
    from lib.pet import make_phantom, write_mask

    final = folder / "studies/labels/final"
    final.mkdir(parents=True)
    points = {}
    for number in range(1, 8):
        phantom, name = make_phantom(number, _SHAPE, _SPACING), f"patient-{number}"
        volume = phantom.volume
        nibabel.save(nibabel.Nifti1Image(volume.array, volume.affine), folder / f"studies/{name}.nii.gz")
        (folder / f"studies/{name}.json").write_text('{"Units": "g/mL"}')
        lesions = phantom.lesions
        points[name] = [
            to_lps(volume, np.argwhere(lesions == at)[0].tolist()) for at in np.unique(lesions)[1:]
        ]
        if name not in (*_WORK.values(), UNREAD):
            write_mask(final / f"{name}.nii.gz", (lesions > 0).astype(np.uint8), volume.affine)
    torch.manual_seed(0)
    narrow = (8, 8, 8)
    config = CompactConfig(
        image_size=16,
        spacing=8.0,
        encoder_widths=(8, *narrow),
        embedding_widths=narrow,
        decoder_widths=narrow,
    )
    save_network(CompactPET(config, "tiny").eval(), folder / "tiny.safetensors")
    return points
