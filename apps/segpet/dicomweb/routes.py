"""`/dicom-web`: QIDO-RS and WADO-RS over the studies folder, read only (PS3.18 10)."""

import gzip
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from apps.segpet.dicomweb.model import Json, Series
from apps.segpet.dicomweb.query import Query, QueryError
from apps.segpet.dicomweb.uids import catalogue
from apps.segpet.failures import told_to_client
from apps.segpet.routes.replies import contents, refusals

router = APIRouter(
    prefix="/dicom-web",
    tags=["DICOMweb"],
    default_response_class=Response,
    responses=refusals(404, 406),
)
_as_json = {"responses": contents("application/dicom+json")}
_in_parts = {"responses": contents("multipart/related")}

_MOST_FRAMES = 1000
_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


@router.get("/studies", summary="Query for studies", **_as_json)
def query_studies(request: Request) -> Response:
    """Return the studies that match."""
    parts = catalogue().studies().values()
    return _found(request, (_merged([one.attributes for one in same]) for same in parts))


@router.get("/series", summary="Query for series", **_as_json)
@router.get(_STUDY + "/series", summary="Query for a study's series", **_as_json)
def query_series(request: Request, study: str | None = None) -> Response:
    """Return the series that match, of a study or of all."""
    return _found(request, (one.attributes for one in _all_series(study)))


@router.get("/instances", summary="Query for instances", **_as_json)
@router.get(_STUDY + "/instances", summary="Query for a study's instances", **_as_json)
@router.get(_SERIES + "/instances", summary="Query for a series' instances", **_as_json)
def query_instances(request: Request, study: str | None = None, series: str | None = None) -> Response:
    """Return the instances that match, of a series, of a study or of all."""
    within = [_series(study, series)] if study and series else _all_series(study)
    return _found(request, (one.listed(uid) for one in within for uid in one.instances))


@router.get(_STUDY + "/metadata", summary="Metadata of a study", **_as_json)
@router.get(_SERIES + "/metadata", summary="Metadata of a series", **_as_json)
@router.get(_INSTANCE + "/metadata", summary="Metadata of an instance", **_as_json)
def get_metadata(
    request: Request, study: str, series: str | None = None, instance: str | None = None
) -> Response:
    """Return all attributes of instances, but for bulk data."""
    with told_to_client():
        meant = list(_instances(study, series, instance))
        found = [one for held, uids in meant for one in held.metadata(uids)]
    return _json(request, found)


@router.get(_INSTANCE + "/frames/{numbers}", summary="Pixels", **_in_parts)
def get_frames(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
    """Return frames, uncompressed, little-endian, row by row; their numbers are separated by commas."""
    _check_accepted(request, "application/octet-stream")
    ((held, _),) = _instances(study, series, instance)
    wanted = numbers.split(",")
    if len(wanted) > _MOST_FRAMES or not all(
        one.isascii() and one.isdecimal() and len(one) < 9 for one in wanted
    ):
        raise HTTPException(400, "Frames are asked for by numbers from 1, separated by commas.")
    numbers_wanted = [int(one) for one in wanted]
    if not all(1 <= number <= held.frame_count(instance) for number in numbers_wanted):
        raise HTTPException(404, "The instance has no such frame.")
    if len(set(numbers_wanted)) < len(numbers_wanted):  # else a short request takes gigabytes
        raise HTTPException(400, "A frame is asked for twice.")
    with told_to_client():
        frames = held.frames(instance, numbers_wanted)
    whole = _multipart(frames, "application/octet-stream")
    return Response(b"".join(whole.parts), media_type=whole.media_type)


@router.get(_STUDY, summary="A study's files", **_in_parts)
@router.get(_SERIES, summary="A series' files", **_in_parts)
@router.get(_INSTANCE, summary="An instance's file", **_in_parts)
def get_files(
    request: Request, study: str, series: str | None = None, instance: str | None = None
) -> Response:
    """Return DICOM files (PS3.10), uncompressed."""
    _check_accepted(request, "application/dicom")
    with told_to_client():
        meant = [(held, uid) for held, uids in _instances(study, series, instance) for uid in uids]
        first = meant[0][0].file(meant[0][1])  # what cannot be read is told before the reply has begun
    others = (held.file(uid) for held, uid in meant[1:])
    streamed = _multipart((part for parts in ([first], others) for part in parts), "application/dicom")
    return StreamingResponse(streamed.parts, media_type=streamed.media_type)


def _all_series(study: str | None) -> list[Series]:
    with told_to_client():
        uids = catalogue().studies() if study is None else [study]
        return [one for uid in uids for one in _of_study(uid).values()]


def _of_study(study: str) -> dict[str, Series]:
    try:
        return catalogue().series(study)
    except LookupError as error:
        raise HTTPException(404, "There is no such study.") from error


def _series(study: str, series: str) -> Series:
    with told_to_client():
        found = _of_study(study).get(series)
    if found is None:
        raise HTTPException(404, "The study has no such series.")
    return found


def _instances(
    study: str, series: str | None, instance: str | None
) -> Iterator[tuple[Series, Sequence[str]]]:
    """Yield each series that is meant and, of it, the instances that are."""
    for held in [_series(study, series)] if series else _all_series(study):
        if instance is None:
            yield held, held.instances
        elif instance in held.instances:
            yield held, (instance,)
        else:
            raise HTTPException(404, "The series has no such instance.")


def _merged(parts: Sequence[Json]) -> Json:
    """Return the attributes of a study, of which several folders may hold parts."""
    merged = dict(parts[0])
    for part in parts[1:]:
        modalities = {*merged["00080061"]["Value"], *part["00080061"]["Value"]}
        merged["00080061"] = {"vr": "CS", "Value": sorted(modalities)}
        for count in ("00201206", "00201208"):
            if count in merged and count in part:
                total = merged[count]["Value"][0] + part[count]["Value"][0]
                merged[count] = {"vr": "IS", "Value": [total]}
    return merged


def _found(request: Request, results: Iterable[Json]) -> Response:
    try:
        query = Query.of(request.query_params.multi_items())
    except QueryError as error:
        raise HTTPException(400, str(error)) from error
    with told_to_client():
        return _json(request, query.select(results))


def _json(request: Request, content: Any) -> Response:
    try:
        body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # a header may hold NaN, which JSON cannot
        body = json.dumps(_finite(content), separators=(",", ":")).encode()
    headers = {"Vary": "Accept-Encoding"}
    if len(body) > 1000 and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/dicom+json", headers=headers)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _check_accepted(request: Request, kind: str) -> None:
    """Raise HTTPException 406 where a client wants another form only, as a picture."""
    accepted = request.headers.get("accept", "*/*").replace(" ", "").replace('"', "").lower()
    if not any(one in accepted for one in ("*/*", "multipart/*", kind)) and accepted != "multipart/related":
        raise HTTPException(406, f"This is served as multipart/related; type={kind}.")


class _Multipart(NamedTuple):
    parts: Iterator[bytes]
    media_type: str


def _multipart(parts: Iterable[bytes], kind: str) -> _Multipart:
    boundary = uuid.uuid4().hex

    def body() -> Iterator[bytes]:
        for part in parts:
            yield f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(part)}\r\n\r\n".encode()
            yield part
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return _Multipart(body(), f'multipart/related; type="{kind}"; boundary={boundary}')
