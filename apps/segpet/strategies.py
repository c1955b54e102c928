"""Which study comes next."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.segpet.scoring import Scorer
from apps.segpet.studies import Studies, is_moment
from infer_tasks.requests import RequestError
from lib.learning.next_study import of_tracer, ranked
from lib.pet import VolumeError
from lib.pet.choice import choose
from lib.pet.image_files import check_image_header
from lib.pet.series import find_series
from lib.store import Leases


def awaiting_review(datastore: Datastore) -> list[str]:
    """Return the studies without a final label that an annotator has done all for that annotators may."""
    waiting = {"submitted", "reviewed"}
    studies = datastore.get_unlabeled_images()
    return [study for study in studies if waiting & set(datastore.get_labels_by_image_id(study))]


class NextStudy(Strategy):
    """What all strategies have in common: which studies may come.

    Those without a final label; not those that somebody else has open, nor those that the request names under
    `but_not`, a list of ids; where it names a `tracer`, only those that are known to be of it.

    Args:
        description: for people.
        leases: who has which study open.
        scorer: returns what knows the studies' tracers and scores; None: there is none.
    """

    def __init__(
        self, description: str, leases: Leases, scorer: Callable[[], Scorer | None] = lambda: None
    ) -> None:
        super().__init__(description)
        self._leases, self._scorer = leases, scorer

    def candidates(self, request: Mapping[str, Any], datastore: Datastore) -> list[str]:
        """Return the studies that may come.

        Raises:
            RequestError: a tracer that is no name.
        """
        client, passed = request.get("client_id"), request.get("but_not")
        busy = {study for study, clients in self._leases.all().items() if set(clients) - {client}}
        without = (
            busy.union(one for one in passed if isinstance(one, str)) if isinstance(passed, list) else busy
        )
        studies = [study for study in datastore.get_unlabeled_images() if study not in without]
        if (tracer := request.get("tracer")) in (None, ""):
            return studies
        if not isinstance(tracer, str) or len(tracer) > 64:
            raise RequestError("tracer must be the name of a tracer, such as FDG.")
        scorer = self._scorer()
        if scorer:
            scorer.wake()
        of_it = {score.study for score in of_tracer(scorer.known(), tracer)} if scorer else set()
        return [study for study in studies if study in of_it]


class Random(NextStudy):
    """A random study; the longer ago it was last proposed, the likelier.

    One whose header says that it cannot be read, or is no 3-D image, is not proposed.

    MONAI Label's own fails where the only study left was proposed in the same second: its weights are all 0.
    """

    def __init__(self, leases: Leases, scorer: Callable[[], Scorer | None] = lambda: None) -> None:
        told = "Random: any study without a label, rather one that was not proposed lately"
        super().__init__(told, leases, scorer)

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
        while any(weights):
            (place,) = random.choices(range(len(studies)), weights=weights)
            if _is_readable(studies[place], datastore):
                return {"id": studies[place], "weight": weights[place]}
            weights[place] = 0
        return None


class Scored(NextStudy):
    """The study with the best score (`lib.learning.next_study`); a random one where none is scored yet.

    Nothing is computed in the request: scores come in the background.
    """

    def __init__(
        self, name: str, description: str, leases: Leases, scorer: Callable[[], Scorer | None]
    ) -> None:
        super().__init__(description, leases, scorer)
        self._name, self._random = name, Random(leases, scorer)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the study's id and weight (its place among the scored ones counts down to 1), or None."""
        scorer = self._scorer()
        if scorer:
            scorer.wake()
            may_come = set(self.candidates(request, datastore))
            scores = [score for score in scorer.known() if score.study in may_come]
            labels = len(datastore.get_labeled_images())
            order = ranked(self._name, scores, labels, np.random.default_rng())
            for place, study in enumerate(order):
                if _is_readable(study, datastore):
                    return {"id": study, "weight": len(order) - place}
        return self._random(request, datastore)


def strategies(leases: Leases, scorer: Callable[[], Scorer | None]) -> dict[str, Strategy]:
    """Return all strategies; OHIF always asks for `random`."""
    return {
        "random": Random(leases, scorer),
        "uncertain": Scored(
            "uncertain", "Where the network's masks disagree most when clicks are moved", leases, scorer
        ),
        "mixed": Scored(
            "mixed", "Uncertain in objects or around them by turns, with chance that fades", leases, scorer
        ),
    }


def _is_readable(study: str, datastore: Datastore) -> bool:
    """Whether a study's image is one to label, as far as its header tells."""
    if not isinstance(datastore, Studies):
        return True
    image: Path = datastore.known_image(study)
    try:
        if image.is_dir():
            choose(find_series(image))
        else:
            check_image_header(image)
    except VolumeError:
        return False
    return True
