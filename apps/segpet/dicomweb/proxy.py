"""`/dicom-web` as a way to a PACS: only reading, only DICOMweb's own paths, never where the PACS sends us."""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from pydicom.datadict import tag_for_keyword
from urllib3.exceptions import ProtocolError

from apps.segpet.dicomweb.query import LONGEST
from apps.segpet.options import PASSWORD, TOKEN, USER, secret

_UID = r"[0-9]+(?:\.[0-9]+)*"
_WITHIN = {
    "study": rf"studies/{_UID}",
    "series": rf"studies/{_UID}/series/{_UID}",
    "instance": rf"studies/{_UID}/series/{_UID}/instances/{_UID}",
}
#: PS3.18 10.4 and 10.6; bulk data where Orthanc and dcm4chee have it.
_QUERY = re.compile(
    rf"studies|series|instances|{_WITHIN['study']}/(?:series|instances)|{_WITHIN['series']}/instances"
)
_METADATA = re.compile("|".join(rf"{path}/metadata" for path in _WITHIN.values()))
_CONTENT = re.compile(
    "|".join(
        [
            *(rf"{path}(?:/rendered|/thumbnail)?" for path in _WITHIN.values()),
            rf"{_WITHIN['instance']}/frames/[0-9]+(?:,[0-9]+)*(?:/rendered|/thumbnail)?",
            rf"{_WITHIN['instance']}/(?:bulk|bulkdata)(?:/[0-9A-Za-z]+(?:,[0-9A-Za-z]+)?)+",
        ]
    )
)
_PARAMETER = re.compile(r"[0-9A-Fa-f]{8}(?:\.[0-9A-Fa-f]{8})*")
_PARAMETERS = frozenset(
    {"limit", "offset", "fuzzymatching", "includefield", "accept", "viewport", "quality", "window"}
)
_TYPES = ("application/dicom", "application/json", "application/octet-stream", "image/", "multipart/related")
_ADDRESS = re.compile(rb'"https?:[^"]*?(?=\\?/studies\\?/)')
_MOST_JSON_BYTES = 512 << 20
_CHUNK_BYTES = 256 << 10
_CONNECT_SECONDS, _READ_SECONDS = 5, 120


class PACS:
    """A DICOMweb server.

    Args:
        url: where its DICOMweb begins, such as `https://pacs.hospital.example/dicom-web`.
        environment: holds user and password, or a token, where the server wants them; or names their files.

    Raises OptionError: a file of a password or token cannot be read.
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # else a .netrc or another proxy of the machine would have its say
        self._session.verify = (
            environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE") or True
        )
        if token := secret(TOKEN, environment):
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user := environment.get(USER):
            self._session.auth = (user, secret(PASSWORD, environment))

    def get(
        self, path: str, parameters: list[tuple[str, str]], accept: str, seconds: float = _READ_SECONDS
    ) -> requests.Response:
        """Ask the PACS; what it answers is not read yet.

        Raises HTTPException: 502 where it cannot be reached, refuses us, fails or sends us elsewhere; 4xx as
        it says.
        """
        answer = self._ask("GET", path, {"Accept": accept}, seconds, params=parameters)
        if fault := _fault(answer):
            answer.close()
            raise fault
        return answer

    def post(self, path: str, body: bytes, kind: str) -> requests.Response:
        """Send to the PACS; what it answers, a refusal too, is not read yet.

        Raises HTTPException: 502 where it cannot be reached or refuses us.
        """
        told = {"Accept": "application/dicom+json", "Content-Type": kind}
        answer = self._ask("POST", path, told, _READ_SECONDS, data=body)
        if answer.status_code not in (200, 202, 409):
            answer.close()
            raise _fault(answer) or HTTPException(502, "The PACS fails.")
        return answer

    def _ask(
        self, method: str, path: str, headers: dict[str, str], seconds: float, **what: Any
    ) -> requests.Response:
        ask = functools.partial(
            self._session.request,
            method,
            f"{self._url}/{path}",
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(_CONNECT_SECONDS, seconds),
            **what,
        )
        try:
            try:
                return ask()
            except requests.ConnectionError as error:
                # A PACS closes connections that rest, and may do so just as one is used again.
                if method != "GET" or not isinstance(error.args[0], ProtocolError):
                    raise
                return ask()
        except requests.RequestException as error:
            raise HTTPException(502, "The PACS cannot be reached.") from error


def proxy_router(pacs: PACS) -> APIRouter:
    """Return the routes that lead to a PACS."""
    router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])

    @router.get("/{path:path}", summary="Read from the PACS")
    def read(request: Request, path: str) -> Response:
        """Pass a request for DICOMweb on, written anew from its parts; any other path is a 404."""
        parameters = request.query_params.multi_items()
        if _QUERY.fullmatch(path) or _METADATA.fullmatch(path):
            return _json(pacs.get(path, _checked(parameters), "application/dicom+json"))
        if _CONTENT.fullmatch(path):
            accept = request.headers.get("accept", "*/*")
            if len(accept) > 1000 or not accept.isascii() or not accept.isprintable():
                raise HTTPException(400, "The header Accept is not usable.")
            return _streamed(pacs.get(path, _checked(parameters), accept))
        raise HTTPException(404, "This is no path of DICOMweb's.")

    return router


def _checked(parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a query's parameters; HTTPException 400 for what QIDO-RS and WADO-RS do not know."""
    for name, _ in parameters:
        if not (name in _PARAMETERS or _PARAMETER.fullmatch(name) or tag_for_keyword(name) is not None):
            raise HTTPException(
                400, "A parameter of the query is no attribute of DICOM's, nor one of DICOMweb."
            )
    if sum(len(name) + len(value) for name, value in parameters) > LONGEST:
        raise HTTPException(400, "The query is too long.")
    return parameters


def _fault(answer: requests.Response) -> HTTPException | None:
    status = answer.status_code
    kind = answer.headers.get("Content-Type", "").lower()
    if status in (401, 403):
        return HTTPException(502, "The PACS refuses the server's credentials.")
    if status in (400, 404, 406, 410, 413, 414):
        return HTTPException(status, "The PACS says that it has no such thing, or not in this form.")
    if status not in (200, 204, 206):
        return HTTPException(502, "The PACS fails, or leads elsewhere.")
    if status != 204 and not kind.startswith(_TYPES):
        return HTTPException(502, "The PACS answers with something that is not DICOMweb's.")
    return None


def _json(answer: requests.Response) -> Response:
    """Return a reply in which the PACS's own address is ours: the viewer reaches no other."""
    body = b"".join(_limited(answer))
    return Response(
        _ADDRESS.sub(b'"/dicom-web', body), answer.status_code, media_type="application/dicom+json"
    )


def _streamed(answer: requests.Response) -> Response:
    return StreamingResponse(
        _chunks(answer), answer.status_code, media_type=answer.headers.get("Content-Type")
    )


def _limited(answer: requests.Response) -> Iterator[bytes]:
    size = 0
    for chunk in _chunks(answer):
        size += len(chunk)
        if size > _MOST_JSON_BYTES:
            raise HTTPException(502, "The PACS answers with more than this server takes; ask for less.")
        yield chunk


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.iter_content(_CHUNK_BYTES)
