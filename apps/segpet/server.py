"""The ASGI app of `segpet serve`: MONAI Label's routes that are safe, off the event loop, behind a shield.

`python -m apps.segpet` starts it; so does `monailabel start_server ... --uvicorn_app apps.segpet.server:app`.
MONAI Label's own routes are not included but replaced, path by path: they block the event loop, open any path
that a client names, and let everybody write files, reload the app, replace weights and read logs.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
# MONAI Label forgets modules called `lib` before it loads an app: every class would exist twice.
os.environ["MONAI_LABEL_RELOAD_APP_LIB"] = "false"

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.routing import Route
from starlette.types import ASGIApp

from apps.segpet.access import routes as access_routes
from apps.segpet.access.access import open_access
from apps.segpet.access.gate import Gate
from apps.segpet.access.proxy import Forwarded, read_proxy
from apps.segpet.dicomweb import routes as folder
from apps.segpet.dicomweb.proxy import PACS, proxy_router
from apps.segpet.dicomweb.uids import look_ahead
from apps.segpet.failures import log_unexpected, status_and_sentence
from apps.segpet.memory import keep_heaps_small, keep_what_is_loaded
from apps.segpet.options import dicomweb_url, names_of
from apps.segpet.request_log import RequestLog
from apps.segpet.routes import (
    annotation,
    annotation_results,
    datastore,
    health,
    impressions,
    infer,
    panel,
    session,
    training,
    work,
)
from apps.segpet.routes.replies import EVERYWHERE
from apps.segpet.shield import Shield
from apps.segpet.stopping import RefusesWhileStopping
from apps.segpet.viewer_files import ViewerFiles
from apps.segpet.viewer_headers import SafeHeaders


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the MONAI Label app before the first request."""
    keep_heaps_small()
    instance = app_instance()
    instance.server_mode(True)
    instance.on_init_complete()
    api.openapi()  # else routes are made ready by the first requests, on the event loop
    keep_what_is_loaded()
    if pacs is None:
        look_ahead()
    yield


if settings.MONAI_LABEL_AUTH_ENABLE:
    raise SystemExit(
        "segpet: MONAI Label's authentication refuses every valid token; leave MONAI_LABEL_AUTH_ENABLE off, "
        "and put a reverse proxy with TLS and single sign-on before the server."
    )

api = FastAPI(title="SegPET", docs_url=None, redoc_url=None, lifespan=lifespan, responses=EVERYWHERE)
pacs = dicomweb_url(settings.MONAI_LABEL_APP_CONF, settings.MONAI_LABEL_STUDIES)
dicomweb = folder.router if pacs is None else proxy_router(PACS(pacs))
parts = (
    access_routes,
    health,
    infer,
    datastore,
    session,
    work,
    training,
    panel,
    annotation,
    annotation_results,
    impressions,
)
routers = [*(part.router for part in parts), training.panel, dicomweb]
for router in routers:
    api.include_router(router)


_OTHER_BOUNDARY = (
    "The form is damaged, or has another boundary than its Content-Type says, as from MONAI Label's Python "
    "client with a token after its first form: make a new client for each upload."
)


@api.exception_handler(RequestValidationError)
def malformed(_: Request, error: Any) -> JSONResponse:
    """Say in one sentence what FastAPI found wrong with a request."""
    faults = [f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse({"detail": f"The request is malformed ({'; '.join(faults)})."}, status_code=422)


@api.exception_handler(400)
async def unread(request: Request, error: Any) -> Response:
    """Answer 400, but say it where the disk kept FastAPI from reading a form, of which it makes a 400."""
    if isinstance(error.__cause__, OSError):
        log_unexpected(error.__cause__)
        return unexpected(request, error.__cause__)
    if error.detail == "Invalid multipart data.":  # Starlette's
        error.detail = _OTHER_BOUNDARY
    return await http_exception_handler(request, error)


@api.exception_handler(Exception)
def unexpected(_: Request, error: Exception) -> JSONResponse:
    """Say that something failed, and nothing of the inside; the shield logs where."""
    status, sentence = status_and_sentence(error)
    return JSONResponse({"detail": sentence}, status_code=status)


conf = settings.MONAI_LABEL_APP_CONF
proxy = read_proxy(conf)
api.state.access = open_access(conf, proxied=bool(proxy.secret))
routes = [*api.routes, *(route for router in routers for route in router.routes)]
routes = [route for route in routes if isinstance(route, Route)]
viewer = ViewerFiles(api, {route.path.split("/")[1] for route in routes})
gate: ASGIApp = Gate(viewer, api.state.access, routes)
origins = [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]
if origins:  # a browser asks without a token whether it may ask with one
    gate = CORSMiddleware(gate, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
shield = Shield(gate, origins, names_of(conf.get("hosts")))
app = SafeHeaders(RequestLog(RefusesWhileStopping(Forwarded(shield, proxy))))
