"""What `/openapi.json` says of replies: refusals in one shape, and contents that are no JSON."""

from typing import Any

from fastapi.responses import Response

from apps.segpet.annotation.frames import MEDIA_TYPE

_REFUSAL = {
    "type": "object",
    "title": "Refusal",
    "properties": {"detail": {"type": "string", "description": "Why, and what to do, in one sentence."}},
    "required": ["detail"],
}
_REASONS = {
    400: "The request is malformed.",
    401: "A token is needed.",
    403: "Not for this name, origin, role, or not at a read-only server.",
    404: "There is no such thing.",
    406: "It is not served in a form that the client accepts.",
    409: "Not now: something else came first, or is missing.",
    413: "Too large.",
    415: "Not in this form.",
    422: "What was sent cannot be used; nothing is changed.",
    429: "Too much at a time; come back later.",
    502: "The archive does not answer as it should.",
    503: "The server cannot do it now: it is stopping, may not write, or has nothing that could answer.",
    507: "The disk is full.",
}


class Frame(Response):
    """A frame (docs/viewer-api.md)."""

    media_type = MEDIA_TYPE


class Octets(Response):
    """A file, or a picture of one."""

    media_type = "application/octet-stream"


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of the statuses with which it refuses."""
    content = {"application/json": {"schema": _REFUSAL}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


def contents(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of a reply that comes in one of several media types."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    told = {kind: {"schema": {}} if kind.endswith("json") else binary for kind in kinds}
    return {200: {"description": "Successful Response", "content": told}}


def pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of the statuses with which it refuses in a page for people."""
    content = {"text/html": {"schema": {"type": "string"}}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


#: The body of a request that holds a frame.
FRAME_BODY = {
    "required": True,
    "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
#: Any route may refuse with these.
EVERYWHERE = refusals(400, 401, 403, 413, 422, 429, 503, 507)
