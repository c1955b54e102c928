"""`/session`: images that a viewer uploads for a while."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, HTTPException, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.sessions import SessionInfo

from apps.segpet.routes.received import received
from apps.segpet.routes.replies import contents, refusals
from apps.segpet.studies import label_ending
from apps.segpet.uploads import ONE_FILE

router = APIRouter(prefix="/session", tags=["Session"], responses=refusals(404))


@router.put("/", summary="Upload an image")
def put_session(
    files: Annotated[list[UploadFile], File()], uncompress: bool = False, expiry: int = 0
) -> dict[str, Any]:
    """Take one NIfTI or NRRD file in; returns the session's id."""
    if uncompress or len(files) != 1:
        raise HTTPException(422, ONE_FILE)
    app = app_instance()
    with received(files[0], app.workspace.new_file(label_ending(files[0].filename))) as path:
        session_id, info = app.sessions().add_session(str(path), max(expiry, 0))
    app.workspace.volumes.preload(Path(info.image))
    return {"session_id": session_id, "session_info": _told(info)}


@router.get(
    "/{session_id}",
    summary="Is there such a session?",
    response_model=None,
    responses=contents("application/json", "application/octet-stream"),
)
def get_session(
    session_id: str, update_ts: bool = False, image: bool = False
) -> dict[str, Any] | FileResponse:
    """Return what is known of an upload, or the image."""
    info = app_instance().sessions().known(session_id, update_ts)
    if image:
        return FileResponse(info.image, media_type="application/octet-stream", filename="image")
    return _told(info)


@router.delete("/{session_id}", summary="Delete an upload")
def delete_session(session_id: str) -> dict[str, Any]:
    """Delete an upload."""
    sessions = app_instance().sessions()
    info = sessions.known(session_id)
    sessions.remove_session(session_id)
    return _told(info)


def _told(info: SessionInfo) -> dict[str, Any]:
    """Return what a client may know: nothing of the server's folders."""
    return {key: value for key, value in info.to_json().items() if key not in ("path", "image")}
