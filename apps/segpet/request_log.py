"""The log of requests: a line each, with the route's template and a pseudonym, so that no study is named."""

import hashlib
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.segpet import logs

#: Asked for every few seconds by whoever watches the server: no line.
_POLLED = ("/health", "/ready")
_NOTES = "segpet.notes"
#: Another one after every start, so that a pseudonym cannot be followed for ever, nor guessed.
_KEY = secrets.token_bytes(16)


def note(scope: Scope, **fields: Any) -> None:
    """Say more of a request for its line in the log: `client` (its name, as it is), `wait_ms`."""
    scope.setdefault(_NOTES, {}).update(fields)


def pseudonym(name: str) -> str:
    """Return 8 hexadecimal digits that stand for a client until the server's end."""
    return hashlib.blake2b(name.encode(), key=_KEY, digest_size=4).hexdigest()


class RequestLog:
    """ASGI middleware: logs each request when its reply is sent.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it."""
        if scope["type"] != "http" or scope["path"] in _POLLED:
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0
        notes: dict[str, Any] = scope.setdefault(_NOTES, {})

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = status or 500  # which the server answers then
            raise
        finally:
            address = scope["client"][0] if scope.get("client") else ""
            client = (
                notes.get("client")
                or scope.get("path_params", {}).get("client")
                or getattr(scope.get("user"), "name", None)
                or address
            )
            fields = {
                "method": scope["method"],
                "route": getattr(scope.get("route"), "path", "-"),
                "status": status,
                "ms": round((time.perf_counter() - begun) * 1000, 1),
                "wait_ms": notes.get("wait_ms", 0.0),
                "client": pseudonym(client),
            }
            logs.requests.info("request", extra={"fields": fields})
