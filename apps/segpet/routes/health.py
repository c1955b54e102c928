"""`/health` and `/ready`: does the process answer, and should it be sent work? No login, no names."""

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.options import is_url
from apps.segpet.routes.replies import refusals
from apps.segpet.stopping import stopping

router = APIRouter(tags=["Health"])

#: Less than this is as good as full: a label and its masks need some.
_LEAST_BYTES = 64 << 20
_WEIGHTS = {
    "loading": "The weights are being loaded.",
    "broken": "The weights cannot be used; the log says why.",
}


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Does the process answer?")
async def health() -> dict[str, str]:
    """Return at once, whatever else is going on."""
    return {"status": "ok"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", summary="Should it be sent work?", responses=refusals(503))
async def ready() -> JSONResponse:
    """Return 200, or 503 with the reasons: weights not loaded, disk full or shut, stopping."""
    reasons = await to_thread.run_sync(_reasons, limiter=_limiter())
    told: dict[str, Any] = {"ready": not reasons, "reasons": reasons}
    return JSONResponse(told, 503 if reasons else 200)


@functools.cache
def _limiter() -> CapacityLimiter:
    """A thread of its own: those of other routes may all wait for an archive."""
    return CapacityLimiter(1)


def _reasons() -> list[str]:
    app = app_instance()
    reasons = ["The server is stopping."] if stopping.is_set() else []
    if sentence := _WEIGHTS.get(app.network.state):
        reasons.append(sentence)
    if not app.options.read_only:
        uploads = None  # they are spooled where temporary files are
        folders = [app.options.state.path, *([] if is_url(app.studies) else [Path(app.studies)]), uploads]
        reasons += dict.fromkeys(filter(None, map(_disk, folders)))
    return reasons


def _disk(folder: Path | None) -> str:
    """Return why nothing can be kept in a folder, "" where it can: a file without a name is tried.

    None is the folder of temporary files.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            disk = os.fstatvfs(file.fileno())
    except OSError:
        return "What is saved cannot be written: the disk is full, or the folder is shut."
    return "The disk is nearly full." if disk.f_bavail * disk.f_frsize < _LEAST_BYTES else ""
