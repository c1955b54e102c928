"""The study that a request of the panel is about, found by its SeriesInstanceUID."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.annotation.colors import label_color
from apps.segpet.annotation.labels import Label, SavedLabels
from apps.segpet.dicomweb import uids
from apps.segpet.labels import READ_ONLY
from apps.segpet.studies import Studies
from infer_tasks.annotated import Method
from infer_tasks.annotations import AnnotationKey
from infer_tasks.changes import Reader
from infer_tasks.requests import RequestError
from lib.interaction import RegionGrower
from lib.interaction.labels import is_lesion
from lib.interaction.segmenter import Stopwatch
from lib.interaction.suv_region import FIXED_SUV
from lib.pet import Volume
from lib.pet.organ_map import OrganMap
from lib.pet.organs import find_organ_map
from lib.pet.tracers import tracer_of

#: Without a tracer's window, grey goes up to the value that this share of the voxels stays below.
_SHARE_SHOWN = 0.995


@dataclass(frozen=True)
class PanelStudy:
    """A study with its image.

    Args:
        name: its id in the datastore.
        uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        volume: the image.
        instances: SOPInstanceUID of slice k, for each k.
    """

    name: str
    uid: str
    study_uid: str
    volume: Volume
    instances: tuple[str, ...]

    @property
    def organs(self) -> OrganMap | None:
        """The organ map; None where there is none."""
        organs: OrganMap | None = app_instance().organs.get(self.name, self.volume)
        return organs

    def key(self, client: str) -> AnnotationKey:
        """Return whose session it is."""
        return AnnotationKey(self.name, client, self.volume.digest)


def studies() -> Studies:
    """Return the studies folder; HTTPException 404 where the server has none."""
    datastore = app_instance().datastore()
    if not isinstance(datastore, Studies):
        raise HTTPException(404, "This server has no studies to annotate in the browser.")
    return datastore


@cache
def saved_labels() -> SavedLabels:
    """Return the labels of the studies folder."""
    return SavedLabels(app_instance().workspace, studies())


def name_of(uid: str) -> str:
    """Return the id of the study of a series; HTTPException 404 where it is none."""
    studies()
    name = uids.study_of(uid)
    if name is None:
        raise HTTPException(
            404, "This series is no study here; a study is a PET series that the server lists."
        )
    return name


def panel_study(uid: str, watch: Stopwatch | None = None) -> PanelStudy:
    """Return the study of a series; its image is read where it is not in memory.

    Raises:
        HTTPException: 404 where the series is no study here.
        VolumeError: the image cannot be read.
    """
    name = name_of(uid)
    with (watch or Stopwatch()).stage("read"):
        volume = app_instance().workspace.volumes.get(studies().known_image(name))
    instances = uids.instances_of(name)
    return PanelStudy(name, uid, uids.uids_of(name)[0], volume, instances)


def check_writable() -> None:
    """Raise HTTPException 403 where the server is read only."""
    if app_instance().options.read_only:
        raise HTTPException(403, READ_ONLY)


def checked_label(label: str) -> str:
    """Return a label's name; RequestError where it is none here."""
    labels = app_instance().workspace.labels[1:]
    if label not in labels:
        raise RequestError(f"There is no such label; the labels are {', '.join(labels)}.")
    return label


def default_method() -> Method:
    """Return what answers new objects: the network, or region growing where there are no weights."""
    usable = app_instance().network.state in ("ready", "loading")
    return Method("segpet") if usable else Method("suv_region", "percent", 41.0)


def reader(study: PanelStudy, client: str, method: Method, watch: Stopwatch) -> Reader:
    """Return what answers a client's clicks by a method; waits until weights are loaded.

    Raises:
        RequestError, PromptError: a threshold that cannot be used.
        WeightsMissingError, CheckpointError: there are no weights, or none that can be used.
    """
    if method.name == "segpet" and (method.threshold is not None or method.value is not None):
        raise RequestError("Only suv_region has a threshold.")
    with watch.stage("load"):
        asked = {"study": study.name, "client_id": client, "method": method.threshold, "value": method.value}
        engine = app_instance().task(method.name).engine(asked)
    grower = engine.segmenter
    if isinstance(grower, RegionGrower):
        method = Method(method.name, grower.method, grower.value)
    return Reader(study.volume, engine, method, watch)


def entry(name: str, label: Label | None, open_by: list[str]) -> dict[str, Any]:
    """Return a study for the work list."""
    study_uid, uid = uids.uids_of(name)
    return {
        "id": uid,
        "study_uid": study_uid,
        "title": studies().title(name),
        "status": label.status if label else "none",
        "version": label.version if label else 0,
        "saved": label.time if label else None,
        "author": label.author if label else None,
        "open": open_by,
    }


def described(study: PanelStudy) -> dict[str, Any]:
    """Return what the panel needs to know of a study before anybody clicks."""
    app, volume = app_instance(), study.volume
    preflight = volume.preflight
    tracer = tracer_of(volume)
    labels = app.workspace.labels
    top = tracer.window if tracer and volume.unit == "SUVbw" else _brightest_shown(volume)
    return {
        "read_only": app.options.read_only,
        "readers": app.options.readers,
        "preflight": preflight.sentence if preflight else "",
        "unit": volume.unit,
        "scale": preflight.scale if preflight else 1.0,
        "tracer": tracer.name if tracer else None,
        "window": [0.0, top],
        "rows": volume.shape[1],
        "columns": volume.shape[0],
        "instances": list(study.instances),
        "spacing": [round(mm, 4) for mm in volume.spacing],
        "labels": [
            {"name": label, "color": label_color(label, labels), "lesion": is_lesion(label)}
            for label in labels[1:]
        ],
        "methods": _methods(volume.unit),
        "sites": find_organ_map(studies().folder, study.name) is not None,
    }


def _methods(unit: str) -> list[dict[str, Any]]:
    network = app_instance().network
    weights = None
    if network.state == "ready":
        segmenter = network.get().segmenter
        weights = {"name": segmenter.name, "digest": segmenter.digest}
    thresholds: list[dict[str, Any]] = [
        {"name": "percent", "value": 41.0},
        {"name": "fixed", "value": FIXED_SUV if unit == "SUVbw" else None},
        {"name": "gradient", "value": None},
    ]
    return [
        {"name": "segpet", "state": network.state, "weights": weights, "why": network.why},
        {"name": "suv_region", "state": "ready", "weights": None, "why": "", "thresholds": thresholds},
    ]


def _brightest_shown(volume: Volume) -> float:
    sample = volume.array[::2, ::2, ::2]
    sample = sample[np.isfinite(sample) & (sample > 0)]
    return float(f"{np.quantile(sample, _SHARE_SHOWN):.2g}") if sample.size else 1.0
