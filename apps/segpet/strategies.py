"""Which study comes next."""

import random
import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.segpet.studies import Studies, is_moment
from lib.pet import VolumeError
from lib.pet.choice import choose
from lib.pet.image_files import check_image_header
from lib.pet.series import find_series


class Random(Strategy):
    """A random study without a final label; the longer ago it was last proposed, the likelier.

    One whose header says that it cannot be read, or is no 3-D image, is not proposed.

    MONAI Label's own fails where the only study left was proposed in the same second: its weights are all 0.
    """

    def __init__(self) -> None:
        super().__init__("Random: any study without a label, rather one that was not proposed lately")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the study's id and weight, or None where no study is left.

        Those that the request names under `but_not`, a list of ids, are passed over.
        """
        passed = request.get("but_not")
        passed = passed if isinstance(passed, list) else []
        studies = [study for study in datastore.get_unlabeled_images() if study not in passed]
        now = int(time.time())
        proposed = [
            datastore.get_image_info(study).get("strategy", {}).get(request["strategy"], {}).get("ts", 0)
            for study in studies
        ]
        # A list of studies may be older than the checks of what is written into it.
        weights = [max(now - (moment if is_moment(moment) else 0), 1) for moment in proposed]
        while any(weights):
            (place,) = random.choices(range(len(studies)), weights=weights)
            if not isinstance(datastore, Studies) or _is_readable(datastore.known_image(studies[place])):
                return {"id": studies[place], "weight": weights[place]}
            weights[place] = 0
        return None


def _is_readable(image: Path) -> bool:
    """Whether an image is one to label, as far as its header tells."""
    try:
        if image.is_dir():
            choose(find_series(image))
        else:
            check_image_header(image)
    except VolumeError:
        return False
    return True
