"""Which study comes next."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.scoring import Scorer
from apps.segpet.studies import Studies, is_moment
from infer_tasks.requests import RequestError
from lib.learning.next_study import ranked
from lib.pet import VolumeError
from lib.pet.choice import choose
from lib.pet.image_files import check_image_header
from lib.pet.series import find_series
from lib.pet.sidecar import read_sidecar, sidecar_of
from lib.pet.tracers import name_of_tracer
from lib.store import Leases

#: Seconds that a request may read headers for; what was read by then is known to the next one.
_READS_FOR = 10.0
_READING = "The studies' headers are still being read: ask again in some seconds."
_NO_SCORES = "This server has no scores: it is read only, or its studies are in a PACS."
_NONE_SCORED = (
    "No study that may come has a score yet: scores come in the background where there are weights, while no "
    "training runs."
)


def awaiting_review(datastore: Datastore) -> list[str]:
    """Return the studies without a final label that an annotator has done all for that annotators may."""
    waiting = {"submitted", "reviewed"}
    studies = datastore.get_unlabeled_images()
    return [study for study in studies if waiting & set(datastore.get_labels_by_image_id(study))]


class NextStudy(Strategy):
    """What all strategies have in common: which studies may come.

    Those without a final label whose header says that they can be read; not those that somebody else has
    open, nor those that the request names under `but_not`, a list of ids; where it names a `tracer`, only
    those whose header or sidecar names it.

    Args:
        description: for people.
        leases: who has which study open.
    """

    def __init__(self, description: str, leases: Leases) -> None:
        super().__init__(description)
        self._leases = leases

    def candidates(self, request: Mapping[str, Any], datastore: Datastore) -> list[str]:
        """Return the studies that may come, as far as that is known without their headers."""
        client, passed = request.get("client_id"), request.get("but_not")
        busy = {study for study, clients in self._leases.all().items() if set(clients) - {client}}
        without = (
            busy.union(one for one in passed if isinstance(one, str)) if isinstance(passed, list) else busy
        )
        return [study for study in datastore.get_unlabeled_images() if study not in without]

    @staticmethod
    def first(studies: Iterable[str], request: Mapping[str, Any], datastore: Datastore) -> str | None:
        """Return the first of some studies whose header fits the request; None where none does.

        Raises:
            RequestError: a tracer that is no name, or of studies in a PACS, which would all have to be sent.
            HTTPException: 503 where that takes too long; the next request goes on from there.
        """
        tracer = "" if request.get("tracer") is None else request["tracer"]
        if not isinstance(tracer, str) or len(tracer) > 64:
            raise RequestError("tracer must be the name of a tracer, such as FDG.")
        if tracer and isinstance(datastore, ArchiveStudies):
            raise RequestError("Studies in a PACS cannot be chosen by their tracer here: ask without one.")
        wanted, until = name_of_tracer(tracer).lower(), time.monotonic() + _READS_FOR
        for study in studies:
            named = _tracer_named_in(study, datastore)
            if named is not None and (not tracer or name_of_tracer(named).lower() == wanted):
                return study
            if time.monotonic() > until:
                raise HTTPException(503, _READING, {"Retry-After": "5"})
        return None


class Random(NextStudy):
    """A random study; the longer ago it was last proposed, the likelier.

    MONAI Label's own fails where the only study left was proposed in the same second: its weights are all 0.
    """

    def __init__(self, leases: Leases) -> None:
        super().__init__("Random: any study without a label, rather one that was not proposed lately", leases)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the study's id and weight, or None where no study is left."""
        studies = self.candidates(request, datastore)
        now = int(time.time())
        proposed = [
            datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}).get("ts", 0)
            for study in studies
        ]
        # A list of studies may be older than the checks of what is written into it.
        weights = [max(now - (moment if is_moment(moment) else 0), 1) for moment in proposed]
        # In the order in which they would be drawn by weight, one after the other.
        weight_of = dict(zip(studies, weights, strict=True))
        order = sorted(studies, key=lambda study: random.expovariate(weight_of[study]))
        found = self.first(order, request, datastore)
        return {"id": found, "weight": weight_of[found], "chosen_by": "random", "why": ""} if found else None


class Scored(NextStudy):
    """The study with the best score (`lib.learning.next_study`); a random one where none is scored yet.

    Nothing is computed in the request: scores come in the background.
    """

    def __init__(
        self, name: str, description: str, leases: Leases, scorer: Callable[[], Scorer | None]
    ) -> None:
        super().__init__(description, leases)
        self._name, self._scorer, self._random = name, scorer, Random(leases)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the study's id and weight (its place among the scored ones counts down to 1), or None.

        `chosen_by` is the strategy's name, or `random`, and `why` says then why.
        """
        scorer = self._scorer()
        if scorer:
            scorer.wake()
            scores = {score.study: score for score in scorer.known(self.candidates(request, datastore))}
            labels = len(datastore.get_labeled_images())
            order = ranked(self._name, scores.values(), labels, np.random.default_rng())
            current = (study for study in order if scorer.is_current(scores[study]))
            if study := self.first(current, request, datastore):
                weight = len(order) - order.index(study)
                return {"id": study, "weight": weight, "chosen_by": self._name, "why": ""}
        found = self._random(request, datastore)
        return {**found, "why": _NONE_SCORED if scorer else _NO_SCORES} if found else None


def strategies(leases: Leases, scorer: Callable[[], Scorer | None]) -> dict[str, Strategy]:
    """Return all strategies; OHIF always asks for `random`."""
    return {
        "random": Random(leases),
        "uncertain": Scored(
            "uncertain", "Where the network's masks disagree most when clicks are moved", leases, scorer
        ),
        "mixed": Scored(
            "mixed", "Uncertain in objects or around them by turns, with chance that fades", leases, scorer
        ),
    }


def _tracer_named_in(study: str, datastore: Datastore) -> str | None:
    """Return the tracer that a study's header or sidecar names, "" where it names none.

    None where its image is none to label, as far as its header tells.
    """
    if not isinstance(datastore, Studies):
        return ""
    image: Path = datastore.known_image(study)
    try:
        if image.is_dir():
            return _tracer_of_folder(image, image.stat().st_mtime_ns)
        check_image_header(image)
        return str(read_sidecar(sidecar_of(image)).get("TracerName", ""))
    except (VolumeError, OSError):
        return None


@lru_cache(maxsize=4096)
def _tracer_of_folder(folder: Path, _: int) -> str:
    return choose(find_series(folder)).series.tracer
