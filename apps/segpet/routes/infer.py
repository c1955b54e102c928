"""`/infer`: a viewer's clicks in, a mask out, when it is the client's turn."""

import functools
import json
import mimetypes
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from monailabel.interfaces.utils.app import app_instance
from requests_toolbelt import MultipartEncoder

from apps.segpet.access.table import STATUSES
from apps.segpet.access.users import demand
from apps.segpet.routes.parameters import json_object, with_client
from apps.segpet.routes.replies import contents, refusals
from apps.segpet.routes.threads import take_turn, until_gone
from apps.segpet.studies import checked_tag
from infer_tasks.impression import ImpressionTask
from infer_tasks.segpet_auto import SegPETAutoTask

router = APIRouter(tags=["Infer"])

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class Output(StrEnum):
    """What is sent back."""

    image = "image"
    json = "json"
    all = "all"
    dicom_seg = "dicom_seg"


@router.post(
    "/infer/{model}",
    summary="Segment a study from clicks",
    responses={
        **contents("application/json", "multipart/form-data", "application/octet-stream"),
        **refusals(404, 409, 415),
    },
)
async def infer(
    request: Request,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str | None, Form()] = None,
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: Output | None = None,
) -> Response:
    """Return the mask (`output=image`), its parameters (`json`), or both as multipart/form-data."""
    content = request.headers.get("content-type", _FORMS[0]).lower()
    if not content.startswith(_FORMS):
        raise HTTPException(415, "Send the clicks as JSON in the form field params (multipart/form-data).")
    if file is not None or label is not None:
        raise HTTPException(422, "Files are not taken here: upload an image with PUT /session/ first.")
    if output is Output.dicom_seg:
        raise HTTPException(422, "The output dicom_seg is not available; ask for image, json or all.")
    # What the path and the query say overrules the parameters.
    told = with_client(json_object(params or "{}", "params"), request)
    demand(request, STATUSES[checked_tag(told.get("label_tag") or "original")])
    asked = {**told, "model": model, "image": image, "session": None}
    if session_id:
        asked["session"] = {"name": session_id}
    answer, client = _refuse if params is None else _answer, told["client_id"]
    task = app_instance().task(model)
    if isinstance(task, ImpressionTask):  # it has a line of its own, and may wait there long
        return await until_gone(
            request, client, lambda cancelled: answer({**asked, "cancelled": cancelled}, output)
        )
    work = functools.partial(answer, asked, output)
    return await take_turn(request, client, work, isinstance(task, SegPETAutoTask))


def _refuse(asked: dict[str, Any], _: Output | None) -> Response:
    """Refuse a request without parameters: `{}` takes all clicks back, a field forgotten must not."""
    app = app_instance()
    app.task(asked["model"])
    app.image_of(asked)  # what does not exist is said first
    raise HTTPException(422, "The form field params is missing: it holds all clicks as JSON, {} for none.")


def _answer(asked: dict[str, Any], output: Output | None) -> Response:
    result = app_instance().infer(asked)
    params, path = result["params"], Path(result["file"]) if result["file"] else None
    if path is None:
        return JSONResponse(params)
    try:
        return _response(params, path, output)
    finally:
        path.unlink(missing_ok=True)


def _response(params: dict[str, Any], path: Path, output: Output | None) -> Response:
    if output is Output.json:
        return JSONResponse(params)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if output is Output.image:
        headers = {"Content-Disposition": f'attachment; filename="{path.name}"'}
        return Response(path.read_bytes(), media_type=kind, headers=headers)
    with path.open("rb") as mask:
        fields = {"params": (None, json.dumps(params), "application/json"), "image": (path.name, mask, kind)}
        parts = MultipartEncoder(fields=fields)
        return Response(parts.to_string(), media_type=parts.content_type)
