"""`/segpet/studies`: the work list, a study, its label for review, and the next study."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from monailabel.endpoints.activelearning import sample
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.access.users import Role, name_of, user_of
from apps.segpet.annotation import panel_study as panel
from apps.segpet.annotation.frames import frame
from apps.segpet.annotation.table import saved, table
from apps.segpet.failures import told_to_client
from apps.segpet.routes.panel_requests import NextBody, Uid, checked_type
from apps.segpet.routes.replies import Frame, refusals
from apps.segpet.routes.threads import in_a_thread
from apps.segpet.strategies import awaiting_review
from lib.interaction.scene import Scene
from lib.interaction.segmenter import Stopwatch
from lib.learning.agreement import agreements

router = APIRouter(
    prefix="/segpet",
    tags=["Annotation"],
    dependencies=[Depends(checked_type)],
    responses=refusals(404, 415),
)

Status = Literal["none", "draft", "submitted", "reviewed", "final"]


@router.get("/studies", summary="The work list")
@in_a_thread
def list_studies(
    study_uid: Annotated[str, Query(pattern=r"^[0-9.]{0,64}$")] = "",
    status: Status | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Return the studies with the status of their labels, and who has them open."""
    with told_to_client():
        app, labels = app_instance(), panel.saved_labels()
        names = sorted(panel.studies().list_images())
        open_by = app.workspace.leases.all()
        if study_uid:
            names = [name for name in names if _study_uid(name) == study_uid]
        if status is not None:
            known = {name: labels.counting(name) for name in names}
            names = [name for name, label in known.items() if (label.status if label else "none") == status]
        shown = [
            panel.entry(name, labels.counting(name), open_by.get(name, []))
            for name in names[offset : offset + limit]
            if _study_uid(name)
        ]
        return {"total": len(names), "strategies": list(app.info()["strategies"]), "studies": shown}


@router.get("/studies/{uid}", summary="A study")
@in_a_thread
def get_study(uid: Uid) -> dict[str, Any]:
    """Return what the panel needs to know of a study; its image is in memory afterwards."""
    with told_to_client():
        study = panel.panel_study(uid)
        open_by = app_instance().workspace.leases.holders(study.name)
        label = panel.saved_labels().counting(study.name)
        return {**panel.entry(study.name, label, open_by), **panel.described(study)}


@router.get("/studies/{uid}/label", summary="A study's label, for review", response_class=Frame)
@in_a_thread
def get_label(request: Request, uid: Uid) -> Response:
    """Return the label that counts, as a frame; it takes neither a session nor weights."""
    with told_to_client():
        watch = Stopwatch()
        with watch.stage("total"):
            study, labels = panel.panel_study(uid, watch), panel.saved_labels()
            now, begun = labels.objects(study.name, study.volume, panel.default_method())
            if begun is None:
                raise HTTPException(404, "This study has no label yet.")
            masks = {number: item.mask.crop for number, item in now.items.items()}
            names = app_instance().workspace.labels
            scene = Scene([item.object for item in now.items.values()], masks, names)
            with watch.stage("numbers"):
                told = table(study.volume, now, scene, names, study.organs)
            slices = scene.filled_slices(study.volume.shape)
        told |= {
            "complete": True,
            "changed": [],
            "saved": saved(labels.counting(study.name), unchanged=True),
            "warnings": [],
            "seconds": {stage: round(spent, 4) for stage, spent in watch.seconds.items()},
        }
        return frame(told, slices, study.instances, study.volume.shape, _accepted(request))


@router.get("/studies/{uid}/agreement", summary="How well independent readers agree")
@in_a_thread
def get_agreement(uid: Uid) -> dict[str, Any]:
    """Return the independent readings of a study, and each pair of them lesion by lesion."""
    with told_to_client():
        name, versions = panel.name_of(uid), app_instance().workspace.versions
        readings = [
            {"version": one.number, "author": one.author, "status": one.status, "time": one.time}
            for one in versions.readings(name)
        ]
        return {"readings": readings, "pairs": [one.as_dict() for one in agreements(versions, name)]}


@router.post("/next", summary="The next study by strategy")
@in_a_thread
def next_study(request: Request, asked: NextBody) -> dict[str, Any]:
    """Return the study to be labelled next, none that somebody else has open; null where none is left."""
    with told_to_client():
        leases, client = app_instance().workspace.leases, name_of(request, asked.client)
        current = [panel.name_of(asked.current)] if asked.current else []
        if user_of(request).role is Role.ANNOTATOR:
            current += awaiting_review(panel.studies())
        wanted = {"client_id": client, "but_not": current, "tracer": asked.tracer}
        found = sample(asked.strategy, wanted)
        if not found:
            unlabelled = set(panel.studies().get_unlabeled_images()) - set(current)
            elsewhere = [one for one, who in leases.all().items() if set(who) - {client}]
            return {"study": None, "open_elsewhere": len(unlabelled & set(elsewhere))}
        label = panel.saved_labels().counting(found["id"])
        others = [one for one in leases.holders(found["id"]) if one != client]
        return {
            "study": panel.entry(found["id"], label, others),
            "chosen_by": found["chosen_by"],
            "why": found["why"],
        }


def _study_uid(name: str) -> str:
    """Return a study's StudyInstanceUID, "" where it is gone meanwhile."""
    try:
        return panel.uids.uids_of(name)[0]
    except LookupError:
        return ""


def _accepted(request: Request) -> str:
    return request.headers.get("accept-encoding", "")
