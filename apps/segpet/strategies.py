"""Which study comes next."""

import random
import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.segpet.studies import is_moment


class Random(Strategy):
    """A random study without a final label; the longer ago it was last proposed, the likelier.

    MONAI Label's own fails where the only study left was proposed in the same second: its weights are all 0.
    """

    def __init__(self) -> None:
        super().__init__("Random: any study without a label, rather one that was not proposed lately")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the study's id and weight, or None where all studies have a label."""
        studies = datastore.get_unlabeled_images()
        if not studies:
            return None
        now = int(time.time())
        proposed = [
            datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}).get("ts", 0)
            for study in studies
        ]
        # A list of studies may be older than the checks of what is written into it.
        weights = [max(now - (moment if is_moment(moment) else 0), 1) for moment in proposed]
        (place,) = random.choices(range(len(studies)), weights=weights)
        return {"id": studies[place], "weight": weights[place]}
