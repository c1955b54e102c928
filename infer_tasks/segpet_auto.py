"""Lesions proposed without a click: DeepEdit's click-free mode, for pre-annotation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from infer_tasks.network_engine import NetworkEngine, WeightsMissingError
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.requests import Ask
from infer_tasks.segpet import NetworkTask
from infer_tasks.sessions import SessionKey
from infer_tasks.workspace import Workspace
from lib.interaction import Engine, RegionGrower, Update, lesion_label, propose_seeds
from lib.pet import Volume
from lib.pet.tracers import tracer_of

_CACHE_BYTES = 64 << 20


class SegPETAutoTask(NetworkTask):
    """`segpet_auto`: peaks of uptake, each decoded as one positive click of the first label that is a lesion.

    Its type is segmentation: OHIF's Auto-Segmentation, and what Slicer runs after Next Sample. The network
    answers, or region growing at 41 % where there are no weights; the proposals begin a new session of the
    task of the one that did (`segpet` or `suv_region`), so that clicks there correct them. Clicks in the
    request do not count. Where a study has an organ map, peaks in organs of its tracer's normal uptake are
    left out.
    """

    without_weights = "No weights: suv_region grows the proposals. "

    def __init__(self, workspace: Workspace, network: NetworkEngine, organs: OrganMaps) -> None:
        super().__init__(
            workspace,
            network,
            "segpet_auto",
            InferType.SEGMENTATION,
            "Lesions proposed without a click, for you to correct or reject; without an organ map, normal "
            "uptake is among them",
        )
        self._organs = organs
        self._grower = Engine(RegionGrower(), cache_bytes=_CACHE_BYTES)

    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return the network's engine, or region growing where there are no weights."""
        try:
            return super().engine(request)
        except WeightsMissingError:
            return self._grower

    def classes(self, label: str) -> tuple[str, ...]:
        """Return all labels, whatever the request says."""
        return self.workspace.labels

    def updated(self, study: str, engine: Engine, volume: Volume, ask: Ask) -> Update:
        """Propose objects, and begin the study's session with them.

        Raises:
            PromptError: none of the server's labels means a lesion.
        """
        label = lesion_label(self.workspace.labels)
        grown = engine is self._grower
        key = SessionKey(study, "suv_region" if grown else "segpet", ask.client)
        organs, tracer = self._organs.get(study, volume), tracer_of(volume)
        seeds = propose_seeds(volume, organs, tracer)
        update = self.workspace.sessions.propose(key, engine, volume, label, seeds)
        notes = [
            f"Proposals are peaks of uptake outside of organs that take up {tracer.name} (by the organ map); "
            "faint lesions are not among them."
            if organs and tracer
            else "Proposals are peaks of uptake: brain, heart, kidneys, bladder and bowel may be among them, "
            "and faint lesions are not."
        ]
        if grown:
            notes.append("There are no weights here: suv_region grew the proposals (41 % of each maximum).")
        return replace(update, warnings=(*notes, *update.warnings))
