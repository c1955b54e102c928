"""`/segpet/studies/ID/sessions/CLIENT`: a comparison with region growing, and saving."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.access.table import STATUSES
from apps.segpet.access.users import demand
from apps.segpet.annotation import panel_study as panel
from apps.segpet.annotation.frames import frame
from apps.segpet.annotation.table import measured
from apps.segpet.annotation.table import saved as saved_row
from apps.segpet.failures import told_to_client
from apps.segpet.routes import panel_requests as asked
from apps.segpet.routes.archived import in_archive
from apps.segpet.routes.panel_requests import Client, Number, Uid
from apps.segpet.routes.panel_session import Panel
from apps.segpet.routes.replies import Frame, refusals
from apps.segpet.routes.threads import in_a_thread, in_turn
from infer_tasks.annotated import Method, Snapshot
from infer_tasks.annotations import Saved
from infer_tasks.requests import RequestError
from lib.interaction.scene import Scene
from lib.interaction.segmenter import Stopwatch

router = APIRouter(
    prefix="/segpet/studies/{uid}/sessions/{client}",
    tags=["Annotation"],
    dependencies=[Depends(asked.checked_type), Depends(asked.checked_client)],
    responses=refusals(404, 409, 415),
)


@router.get("/objects/{number}/comparison", summary="suv_region beside the model", response_class=Frame)
@in_turn()
def compare(
    request: Request,
    uid: Uid,
    client: Client,
    number: Number,
    threshold: asked.Threshold = "percent",
    value: Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)] = None,
) -> Response:
    """Return what `suv_region` makes of an object's clicks; nothing is changed."""
    with told_to_client():
        one, watch = Panel(request, uid, client, changes=False), Stopwatch()
        volume = one.study.volume
        with watch.stage("total"):
            item = one.workspace.annotations.view(one.key, volume).now[number]
            obj = item.object
            if not obj.positive:
                raise RequestError(
                    "This object was painted only: there is no click that suv_region could answer."
                )
            by = panel.reader(one.study, client, Method("suv_region", threshold, value), watch)
            state = by.engine.answer(volume, replace(obj, anchor=None, paints=()), watch)
            scene = Scene([replace(obj, id=1)], {1: state.mask}, one.workspace.labels)
            own = item.mask.crop
            shared = own.count - own.minus(state.mask).count
            both = own.count + state.mask.count
            told = {
                "complete": True,
                "number": number,
                "method": by.method.name,
                "threshold": by.method.threshold,
                "value": by.method.value,
                "dice": round(2 * shared / both, 4) if both else None,
                "numbers": measured(volume, state.mask, one.study.organs),
                "warnings": list(state.warnings),
            }
            slices = scene.filled_slices(volume.shape)
        told["seconds"] = {stage: round(spent, 4) for stage, spent in watch.seconds.items()}
        accepted = request.headers.get("accept-encoding", "")
        return frame(told, slices, one.study.instances, volume.shape, accepted)


@router.post("/label", summary="Save")
@in_a_thread
def save(request: Request, uid: Uid, client: Client, body: asked.SaveBody) -> dict[str, Any]:
    """Save what the session shows as the study's label."""
    demand(request, STATUSES[body.status])
    with told_to_client():
        one, labels = Panel(request, uid, client), panel.saved_labels()
        name, volume = one.study.name, one.study.volume

        def saved(now: Snapshot, scene: Scene, before: Saved | None, independent: bool) -> Saved:
            if before and before.items == now.items and body.status in (before.status, "draft"):
                return before
            if body.status != "draft" and (proposed := now.proposed()):
                raise RequestError(
                    f"Nobody has looked at {len(proposed)} of the proposals: accept, correct or reject them "
                    "first, or save a draft."
                )
            base = before.base if before else 0
            if body.status != "draft" and not body.replace:
                news = labels.news(name, client, base)
                # Who reads independently is not to look at what others read.
                if independent and app_instance().options.readers > 1 and body.status == "submitted":
                    news = [label for label in news if label.status != "submitted"]
                if news:
                    raise HTTPException(
                        409,
                        f"{news[-1].author or 'Somebody else'} has saved a label ({news[-1].status}) of this "
                        "study since you opened it: look at it first, or save yours in its place.",
                    )
            version = labels.save(name, volume, client, body.status, now, scene, independent)
            return Saved(version, body.status, base if body.status == "draft" else version, now.items)

        done = one.workspace.annotations.save(one.key, body.revision, saved)
        counting = labels.counting(name)
        label = labels.of_version(name, done.version) or counting
        counts = saved_row(counting, unchanged=counting is not None and counting.version == done.version)
        own = saved_row(label, unchanged=True) or {}
        return {**own, "counts": counts, **in_archive(name, body.status)}
