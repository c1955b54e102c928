"""Scores of the studies that may be labelled next, computed in the background while nobody clicks."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from apps.segpet.failures import log_unexpected
from apps.segpet.studies import Studies
from infer_tasks.network_engine import NetworkEngine
from infer_tasks.volumes import Volumes
from lib.interaction import Engine, NetworkSegmenter
from lib.learning.next_study import StudyScore, StudyScores
from lib.network import CheckpointError
from lib.pet import VolumeError
from lib.pet.organs import find_organ_map

logger = logging.getLogger("segpet")

#: It begins so long after the start, or when a strategy first asks; it looks for new studies so often.
_BEGINS_AFTER, _EVERY = 60.0, 60.0
#: Nobody clicked for so long before it decodes.
_QUIET = 2.0
_NICENESS = 15
#: Of embeddings and of objects: one lesion after another is looked at, and then never again.
_CACHE_BYTES = 32 << 20


class Scorer:
    """Scores unlabelled studies one by one, with an engine of its own: its caches are not those of clicks.

    Args:
        studies: the studies folder.
        network: whose weights are asked.
        scores: where scores are kept.
        unit: what the values are of files that do not say it.
        busy: whether something else needs the processor, as a training does.
    """

    def __init__(
        self,
        studies: Studies,
        network: NetworkEngine,
        scores: StudyScores,
        unit: str | None,
        busy: Callable[[], bool],
    ) -> None:
        self._studies, self._network, self._scores, self._busy = studies, network, scores, busy
        self._volumes = Volumes(unit, limit_bytes=0)  # keeps nothing: what annotators opened stays in memory
        self._engine: Engine | None = None
        self._wake = threading.Event()

    def start(self) -> None:
        """Begin, in a thread that goes last."""
        threading.Thread(target=self._run, name="scores", daemon=True).start()

    def wake(self) -> None:
        """Begin at once; does not wait."""
        self._wake.set()

    def known(self, studies: Iterable[str]) -> list[StudyScore]:
        """Return what was known of studies when they were last looked at: no image is looked at for it."""
        found = (self._scores.last(study) for study in studies)
        return [score for score in found if score]

    def is_current(self, score: StudyScore) -> bool:
        """Whether a study's image is still the one that was scored."""
        return score.is_of(self._image(score.study))

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)  # on Linux, of this thread
        self._wake.wait(_BEGINS_AFTER)
        while True:
            self._wake.clear()
            try:
                self._look()
            except Exception as error:
                log_unexpected(error)
            self._wake.wait(_EVERY)

    def _look(self) -> None:
        for study in self._unlabelled():
            if self._busy():
                return
            image = self._image(study)
            with suppress(VolumeError, OSError):  # told to whoever opens it
                self._scores.look(
                    study, image, self._volumes.get, self._current_engine(), self._pause,
                    find_organ_map(self._studies.folder, study),
                )  # fmt: skip

    def _current_engine(self) -> Engine | None:
        if self._network.state != "ready":
            return None
        try:
            segmenter = self._network.get().segmenter
        except CheckpointError:
            return None
        if self._engine is None or self._engine.segmenter.digest != segmenter.digest:
            own = NetworkSegmenter(segmenter.network, _CACHE_BYTES)
            self._engine = Engine(own, _CACHE_BYTES)
        return self._engine

    def _pause(self) -> None:
        """Wait until nobody has clicked for a moment."""
        while self._network.quiet_seconds < _QUIET:
            time.sleep(_QUIET / 4)

    def _unlabelled(self) -> list[str]:
        return sorted(self._studies.get_unlabeled_images())

    def _image(self, study: str) -> Path:
        return Path(self._studies.get_image_uri(study))
