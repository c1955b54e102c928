"""`/segpet/studies/ID/sessions/CLIENT`: what an annotator does in the panel, and what is to be seen then."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from monailabel.interfaces.utils.app import app_instance
from pydantic import ValidationError

from apps.segpet.access.users import Role, demand
from apps.segpet.annotation import panel_study as panel
from apps.segpet.annotation.frames import read_frame
from apps.segpet.failures import told_to_client
from apps.segpet.routes import panel_requests as asked
from apps.segpet.routes.panel_requests import Client, Number, Uid
from apps.segpet.routes.panel_session import Panel
from apps.segpet.routes.replies import FRAME_BODY, Frame, refusals
from apps.segpet.routes.threads import in_a_thread, in_turn
from infer_tasks import changes
from infer_tasks.annotated import Method, Snapshot
from infer_tasks.patient_space import voxel_at
from infer_tasks.requests import RequestError
from lib.interaction import Click, lesion_label
from lib.interaction.scene import Scene

router = APIRouter(
    prefix="/segpet/studies/{uid}/sessions/{client}",
    tags=["Annotation"],
    dependencies=[Depends(asked.checked_type), Depends(asked.checked_client)],
    responses=refusals(404, 409, 415),
)


@router.put("", summary="Open a session", response_class=Frame)
@in_a_thread
def open_session(request: Request, uid: Uid, client: Client, _: asked.Nothing) -> Response:
    """Return all that the session shows; it goes on from the journal, or begins with the saved label."""
    with told_to_client():
        one = Panel(request, uid, client)
        annotations = one.workspace.annotations
        return one.answer(lambda: annotations.open(one.key, one.study.volume, one.begun))


@router.get("", summary="What a session shows", response_class=Frame)
@in_a_thread
def get_session(request: Request, uid: Uid, client: Client) -> Response:
    """Return all that the session shows; 404 where the client never opened the study."""
    with told_to_client():
        one = Panel(request, uid, client, changes=False)
        annotations = one.workspace.annotations
        if not annotations.exists(one.key):
            raise HTTPException(404, "This client never opened the study.")
        return one.answer(lambda: annotations.view(one.key, one.study.volume))


@router.post("/seen", summary="Still here")
def seen(uid: Uid, client: Client, _: asked.Nothing) -> dict[str, Any]:
    """Say that the client has the study open, and hear who else has, and which label counts."""
    with told_to_client():
        panel.check_writable()
        name, workspace = panel.name_of(uid), app_instance().workspace
        workspace.leases.renew(name, client)
        label = panel.saved_labels().counting(name)
        others = [one for one in workspace.leases.holders(name) if one != client]
        return {"others": others, "version": label.version if label else 0}


@router.delete("/seen", summary="Gone")
def gone(uid: Uid, client: Client) -> dict[str, Any]:
    """Say that the client has the study no longer open."""
    with told_to_client():
        panel.check_writable()
        app, name = app_instance(), panel.name_of(uid)
        app.workspace.leases.end(name, client)
        app.network.release((name, client))
        return {}


@router.post("/clicks", summary="A click", response_class=Frame)
@in_turn()
def click(request: Request, uid: Uid, client: Client, body: asked.ClickBody) -> Response:
    """Add a click to an object, or begin one with it."""
    with told_to_client():
        one = Panel(request, uid, client)
        placed = Click(voxel_at(one.study.volume, body.point), body.positive)
        if body.object is None and body.label is None:
            raise RequestError("Say which label the new object has.")
        if body.object is not None and (body.label, body.method, body.threshold, body.value) != (None,) * 4:
            raise RequestError(
                "Label and method of an object are changed with PATCH; leave them out of a click."
            )
        label = panel.checked_label(body.label) if body.label is not None else ""

        def made(now: Snapshot, scene: Scene) -> tuple[Snapshot, tuple[str, ...]]:
            of = label if body.object is None else now[body.object].object.label
            warnings = changes.in_accepted(now, scene, body.object, of, placed)
            if body.object is None:
                return changes.begin(now, one.reader(_method(body)), label, placed), warnings
            return changes.click_in(now, one.reader(now[body.object].method), body.object, placed), warnings

        return one.change("click", body.revision, made)


@router.post("/undo", summary="Take the last change back", response_class=Frame)
@in_a_thread
def undo(request: Request, uid: Uid, client: Client, body: asked.Change) -> Response:
    """Take the last change back; 409 where there is none."""
    with told_to_client():
        one = Panel(request, uid, client)
        annotations = one.workspace.annotations
        return one.answer(lambda: annotations.undo(one.key, one.study.volume, body.revision))


@router.post("/redo", summary="Make an undone change again", response_class=Frame)
@in_a_thread
def redo(request: Request, uid: Uid, client: Client, body: asked.Change) -> Response:
    """Make the change again that was taken back last; 409 where there is none."""
    with told_to_client():
        one = Panel(request, uid, client)
        annotations = one.workspace.annotations
        return one.answer(lambda: annotations.redo(one.key, one.study.volume, body.revision))


@router.post("/restore", summary="Go on from the saved label", response_class=Frame)
@in_a_thread
def restore(request: Request, uid: Uid, client: Client, body: asked.RestoreBody) -> Response:
    """Put the saved label that counts, or a reading, in the place of the session's objects; can be undone."""
    if body.version is not None:
        demand(request, Role.REVIEWER)
    with told_to_client():
        one = Panel(request, uid, client)
        annotations = one.workspace.annotations
        if panel.saved_labels().counting(one.study.name) is None:
            raise HTTPException(409, "This study has no saved label to go back to.")
        begun = partial(one.labelled, body.version)
        return one.answer(lambda: annotations.restore(one.key, one.study.volume, body.revision, begun))


@router.patch("/objects/{number}", summary="Change what is said of an object", response_class=Frame)
@in_turn()
def change_object(
    request: Request, uid: Uid, client: Client, number: Number, body: asked.ObjectBody
) -> Response:
    """Relabel, rename or accept an object, or have its clicks answered by another method."""
    with told_to_client():
        one = Panel(request, uid, client)
        told = {
            "label": body.label and panel.checked_label(body.label),
            "name": body.name,
            "status": None if body.status == "accepted" else body.status,
        }
        told = {key: value for key, value in told.items() if value is not None}
        if body.method is None and (body.threshold, body.value) != (None, None):
            raise RequestError("A threshold belongs to the method suv_region: name the method too.")

        def made(now: Snapshot, scene: Scene) -> tuple[Snapshot, tuple[str, ...]]:
            item = now[number].with_object(**told)
            if body.method is not None:
                now = changes.answer_anew(now.having(item), one.reader(_method(body)), number)
                item = now[number]
            if body.status == "accepted":
                item = item.accepted(item.mask.crop if body.method else scene.seen[number])
            return now.having(item), ()

        return one.change("object", body.revision, made)


@router.post("/accept", summary="Accept all objects", response_class=Frame)
@in_a_thread
def accept(request: Request, uid: Uid, client: Client, body: asked.Change) -> Response:
    """Accept all objects."""
    with told_to_client():
        return Panel(request, uid, client).change(
            "accept", body.revision, lambda now, scene: (changes.accept(now, scene), ())
        )


@router.post("/reject", summary="Delete what is only proposed", response_class=Frame)
@in_a_thread
def reject(request: Request, uid: Uid, client: Client, body: asked.Change) -> Response:
    """Delete the proposals that nobody took up or accepted; this can be undone."""
    with told_to_client():
        return Panel(request, uid, client).change(
            "reject", body.revision, lambda now, _: (now.without(now.proposed()), ())
        )


@router.delete("/objects/{number}", summary="Delete an object", response_class=Frame)
@in_a_thread
def delete_object(
    request: Request, uid: Uid, client: Client, number: Number, revision: Annotated[int, Query(ge=0)]
) -> Response:
    """Delete an object; this can be undone."""
    with told_to_client():

        def made(now: Snapshot, _: Scene) -> tuple[Snapshot, tuple[str, ...]]:
            return now.without([now[number].number]), ()

        return Panel(request, uid, client).change("delete", revision, made)


@router.post("/clear", summary="Delete all objects", response_class=Frame)
@in_a_thread
def clear(request: Request, uid: Uid, client: Client, body: asked.Change) -> Response:
    """Delete all objects; this can be undone."""
    with told_to_client():
        return Panel(request, uid, client).change(
            "clear", body.revision, lambda now, _: (now.without(now.items), ())
        )


@router.post("/merge", summary="Make one object of several", response_class=Frame)
@in_a_thread
def merge(request: Request, uid: Uid, client: Client, body: asked.MergeBody) -> Response:
    """Make some objects part of another one."""
    with told_to_client():
        return Panel(request, uid, client).change(
            "merge", body.revision, lambda now, _: (changes.merge(now, body.into, body.objects), ())
        )


@router.post("/proposals", summary="Automatic first pass", response_class=Frame)
@in_turn(long=True)
def propose(request: Request, uid: Uid, client: Client, body: asked.ProposalsBody) -> Response:
    """Add proposed objects where there are none yet."""
    with told_to_client():
        one = Panel(request, uid, client)
        label = panel.checked_label(body.label) if body.label else lesion_label(one.workspace.labels)

        def made(now: Snapshot, _: Scene) -> tuple[Snapshot, tuple[str, ...]]:
            return changes.propose(now, one.reader(panel.default_method()), label, one.study.organs)

        return one.change("proposals", body.revision, made)


@router.put(
    "/slices", summary="Brush strokes", response_class=Frame, openapi_extra={"requestBody": FRAME_BODY}
)
async def brush(request: Request, uid: Uid, client: Client) -> Response:
    """Take the slices over that a brush or an eraser changed."""
    content = await request.body()

    @in_a_thread
    def work() -> Response:
        with told_to_client():
            return _brushed(Panel(request, uid, client), content)

    return await work()


def _method(body: asked.Answered) -> Method:
    default = panel.default_method()
    name = body.method or default.name
    if name == default.name and (body.threshold, body.value) == (None, None):
        return default
    return Method(name, body.threshold, body.value)


def _brushed(one: Panel, content: bytes) -> Response:
    shape, names = one.study.volume.shape, one.workspace.labels
    told, slices = read_frame(content, one.study.instances, shape)
    try:
        body = asked.BrushHead.model_validate(told)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise HTTPException(422, f"The frame's head is malformed ({'; '.join(faults)}).") from error
    label = panel.checked_label(body.label) if body.label else None
    method = panel.default_method()

    def made(now: Snapshot, scene: Scene) -> tuple[Snapshot, tuple[str, ...]]:
        return changes.brush(now, scene, shape, slices, label, names, method), ()

    return one.change("brush", body.revision, made)
