"""`/segpet/studies/ID/impression`: findings, an impression as it is written, its check, and accepting it."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import StreamingResponse
from monailabel.interfaces.utils.app import app_instance
from pydantic import Field

from apps.segpet.access.record import record
from apps.segpet.access.users import NAME, name_of
from apps.segpet.annotation import panel_study as panel
from apps.segpet.failures import told_to_client
from apps.segpet.routes.archived import in_archive
from apps.segpet.routes.panel_requests import Body, Uid, checked_type
from apps.segpet.routes.replies import contents, refusals
from apps.segpet.routes.threads import in_a_thread
from apps.segpet.routes.writers import writers
from apps.segpet.stopping import stopping
from apps.segpet.turns import STOPPING
from infer_tasks.impressions import NO_BACKEND, Impressions
from lib.report.backends import BackendError, Cancelled, Options

router = APIRouter(
    prefix="/segpet/studies/{uid}/impression",
    tags=["Impression"],
    dependencies=[Depends(checked_type)],
    responses=refusals(404, 409, 415, 503),
)

Language = Literal["en", "zh"]
Text = Annotated[str, Field(max_length=50_000)]
Client = Annotated[str, Field(pattern=f"^{NAME}$")]

Tell = Callable[[dict[str, Any]], None]


class WriteBody(Body):
    """What an impression is to be written from."""

    findings: Text
    language: Language
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 512


class CheckBody(Body):
    """A text to be looked up."""

    text: Text
    findings: Text
    language: Language


class AcceptBody(Body):
    """A pair that a reader accepts, with the label's version; `drafted` is what `model` had written."""

    client: Client
    label: Annotated[int, Field(ge=0)]
    language: Language
    findings: Text
    impression: Annotated[str, Field(min_length=1, max_length=50_000)]
    drafted: Text = ""
    model: Annotated[str, Field(max_length=200)] = ""


@router.get("", summary="Findings, and the impression accepted last")
@in_a_thread
def get_impression(uid: Uid, language: Language = "en") -> dict[str, Any]:
    """Return the findings of the label that counts, and what was accepted; null where there is none."""
    with told_to_client():
        impressions, study = _impressions(), panel.name_of(uid)
        label = impressions.label(study)  # before the findings: what is saved meanwhile is none of theirs
        image = panel.studies().known_image(study)
        accepted = impressions.accepted(study)
        labelled = panel.saved_labels().counting(study) is not None
        return {
            "label": label,
            "findings": impressions.findings(study, image, language) if labelled else None,
            "numbers": impressions.numbers(study, image) if labelled else [],
            "accepted": asdict(accepted) if accepted else None,
            "model": impressions.backend.name if impressions.backend else None,
        }


@router.post(
    "/stream",
    summary="Write an impression",
    response_class=StreamingResponse,
    responses=contents("application/x-ndjson"),
)
async def write(request: Request, uid: Uid, body: WriteBody) -> StreamingResponse:
    """Stream JSON lines: `waiting` (how many are before), `text` (the next piece), and at last `done`.

    `done` holds the whole text, its check, the model and the seconds; where nothing came of it there is
    `error`, a sentence, instead. Closing the connection ends the writing.
    """
    with told_to_client():
        impressions, study = _impressions(), panel.name_of(uid)
        image = panel.studies().known_image(study)
        if impressions.backend is None:
            raise BackendError(NO_BACKEND, 503)
    options = Options(temperature=body.temperature, max_tokens=body.max_tokens)

    def job(tell: Tell, cancelled: Callable[[], bool]) -> None:
        begun = time.perf_counter()
        text = ""
        writing = impressions.write(
            body.findings, body.language, options, cancelled, lambda place: tell({"waiting": place})
        )
        with closing(writing) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                text += piece
                tell({"text": piece})
        done = {
            "text": text,
            "check": impressions.check(study, image, text, body.findings, body.language),
            "model": impressions.backend.name if impressions.backend else "",
            "seconds": round(time.perf_counter() - begun, 3),
        }
        tell({"done": done})

    return StreamingResponse(_lines(name_of(request, ""), job), media_type="application/x-ndjson")


@router.post("/check", summary="What nothing supports in a text")
@in_a_thread
def check(uid: Uid, body: CheckBody) -> dict[str, Any]:
    """Return marks on what neither the measured lesions nor the findings support, and lesions left out."""
    with told_to_client():
        study = panel.name_of(uid)
        image = panel.studies().known_image(study)
        return _impressions().check(study, image, body.text, body.findings, body.language)


@router.put("", summary="Accept")
@in_a_thread
def accept(request: Request, uid: Uid, body: AcceptBody) -> dict[str, Any]:
    """Keep findings and impression with their label, where it still counts; a PACS gets its report anew."""
    with told_to_client():
        panel.check_writable()
        study = panel.name_of(uid)
        accepted = _impressions().accept(
            study,
            body.label,
            body.language,
            body.findings,
            body.impression,
            name_of(request, body.client),
            body.drafted,
            body.model,
        )
        told = {"label": accepted.label, "language": body.language}
        record(request, "impression accepted", study, body.client, **told)
        return {**asdict(accepted), **in_archive(study, "final")}


def _impressions() -> Impressions:
    impressions: Impressions = app_instance().impressions
    return impressions


def _lines(client: str, job: Callable[[Tell, Callable[[], bool]], None]) -> AsyncIterator[str]:
    """Begin a client's job, and return what it tells, a JSON line each; leaving early ends the job."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    left = threading.Event()

    def tell(line: dict[str, Any] | None) -> None:
        if not left.is_set():
            loop.call_soon_threadsafe(told.put_nowait, line)

    def work() -> None:
        try:
            with told_to_client():
                job(tell, lambda: left.is_set() or stopping.is_set())
        except Cancelled:
            if not left.is_set():
                tell({"error": STOPPING})
        except HTTPException as error:
            tell({"error": error.detail})
        finally:
            tell(None)

    async def lines() -> AsyncIterator[str]:
        try:
            while (line := await told.get()) is not None:
                yield json.dumps(line, ensure_ascii=False) + "\n"
        finally:
            left.set()

    writers.begin(client, work)
    return lines()
