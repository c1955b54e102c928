"""`/datastore`: studies and labels. MONAI Label's routes that add and remove studies are left out."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.access.table import STATUSES
from apps.segpet.access.users import demand, user_of
from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.failures import told_to_client
from apps.segpet.labels import give_place
from apps.segpet.routes.archived import in_archive
from apps.segpet.routes.parameters import json_object, with_client
from apps.segpet.routes.received import received
from apps.segpet.routes.replies import Octets, refusals
from apps.segpet.studies import checked_tag, label_ending
from lib.export.nifti import nifti_bytes

router = APIRouter(prefix="/datastore", tags=["Datastore"], responses=refusals(404, 409))


class Listing(StrEnum):
    """How much is told of the studies."""

    all = "all"
    stats = "stats"


@router.get("/", summary="Studies and labels")
def list_studies(output: Listing = Listing.stats) -> dict[str, Any]:
    """Return how many studies and labels there are, or all of them."""
    datastore = app_instance().datastore()
    return datastore.json() if output is Listing.all else datastore.status()


@router.put("/", include_in_schema=False)
def add_image() -> None:
    """Say what to do instead: 3D Slicer has a button for it."""
    raise HTTPException(
        405,
        "Studies are not uploaded but copied into the studies folder; an image without a label is sent by "
        "Update in 3D Slicer, once a point is placed, or by PUT /session/.",
        {"Allow": "GET"},
    )


@router.head("/image", summary="Is there such an image?", response_class=Octets)
@router.get("/image", summary="Download an image", response_class=Octets)
def get_image(image: str, check_sum: str = "") -> Response:
    """Return a study's image; it is read into memory meanwhile, for the first click.

    `check_sum` is `SHA256:` and the file's digest in hex: 404 where the file has another. A DICOM folder
    comes as NIfTI, in the unit in which numbers are told.
    """
    app = app_instance()
    path = _known_image(image)
    if path.is_dir():
        with told_to_client():
            volume = app.workspace.volumes.get(path)
        named = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(image)}.nii.gz"}
        return Response(nifti_bytes(volume), media_type="application/octet-stream", headers=named)
    if check_sum:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if check_sum.removeprefix("SHA256:") != digest:
            raise HTTPException(404, "The image on the server has another checksum.")
    app.preload(image)
    return _file(path)


@router.get("/image/info", summary="What is known of an image")
def get_image_info(image: str) -> dict[str, Any]:
    """Return what is known of an image, `preflight` among it: what can be measured, and why not the rest.

    The image is read for that, and then in memory for the first click.
    """
    app, path = app_instance(), _known_image(image)
    with told_to_client():
        preflight = app.workspace.volumes.get(path).preflight
    known: dict[str, Any] = app.datastore().get_image_info(image)
    return {**known, "preflight": preflight.as_dict() if preflight else None}


@router.put("/image/info", summary="Add to what is known of an image")
def put_image_info(image: str, info: Annotated[str, Form()] = "{}") -> None:
    """Add to what is known of an image."""
    _known_image(image)
    app_instance().datastore().update_image_info(image, json_object(info, "info"))


@router.put("/label", summary="Save a label")
def put_label(
    request: Request,
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = "",
) -> dict[str, Any]:
    """Save a mask on the study's grid as its label; the former one is kept as a version.

    Without `tag` it is `final`, of an annotator `submitted`.
    """
    app = app_instance()
    usual = "final" if user_of(request).role >= STATUSES["final"] else "submitted"
    info, tag = with_client(json_object(params, "params"), request), checked_tag(tag or usual)
    demand(request, STATUSES[tag])
    study = _known_image(image)
    with received(label, app.workspace.new_file(label_ending(label.filename))) as path:
        if not app.options.read_only:
            with told_to_client():
                give_place(path, app.workspace.volumes.get(study))
        label_id = app.datastore().save_label(image, str(path), tag, info)
    told = app.on_save_label(image, label_id) or {}
    return {**told, **in_archive(image, tag), "image": image, "label": label_id}


@router.get("/label", summary="Download a label", response_class=Octets)
def get_label(label: str, tag: str) -> FileResponse:
    """Return a label as it was saved last under a tag."""
    return _file(_known_label(label, tag))


@router.head("/label", summary="Is there such a label?", response_class=Octets)
def head_label(image: str, tag: str) -> FileResponse:
    """Answer without the label; MONAI Label calls the parameter `image` here."""
    return _file(_known_label(image, tag))


@router.get("/label/info", summary="What is known of a label")
def get_label_info(label: str, tag: str) -> dict[str, Any]:
    """Return what is known of a label."""
    _known_label(label, tag)
    return app_instance().datastore().get_label_info(label, tag)


@router.put("/label/info", summary="Add to what is known of a label")
def put_label_info(label: str, tag: str, info: Annotated[str, Form()] = "{}") -> None:
    """Add to what is known of a label."""
    _known_label(label, tag)
    app_instance().datastore().update_label_info(label, tag, json_object(info, "info"))


def _known_image(image: str) -> Path:
    datastore = app_instance().datastore()
    if isinstance(datastore, ArchiveStudies):
        return datastore.known_image(image)
    if image not in datastore.list_images():
        raise HTTPException(404, "There is no study of that name.")
    return Path(datastore.get_image_uri(image))


def _known_label(label: str, tag: str) -> Path:
    uri = app_instance().datastore().get_label_uri(label, checked_tag(tag))
    if not uri:
        raise HTTPException(404, "There is no such label.")
    return Path(uri)


def _file(path: Path) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, "The file is no longer there.")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)
