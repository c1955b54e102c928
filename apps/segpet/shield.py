"""What stands before all routes: limits of size, the server's own names, the same origin."""

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.segpet.failures import log_unexpected

_READS_ONLY = ("GET", "HEAD", "OPTIONS")
#: Whoever watches the server may call it as they like: these tell nothing.
_ANY_NAME = ("/health", "/ready")
_OTHER_NAME = (
    "This server does not go by that name; where it should, start it with `--hosts NAME`, or with "
    "MONAI_LABEL_CORS_ORIGINS for another origin."
)
#: Bytes that a request's body may have, by the beginning of its path; the first that fits counts.
_LIMITS = (
    (re.compile("/session|/datastore/$"), 4 << 30),  # the latter reads none, and says what to do instead
    (re.compile("/datastore/label"), 1 << 30),
    (re.compile("/segpet/.*/slices$"), 64 << 20),
    (re.compile("/(activelearning|batch|train)/"), 64 << 10),
    (re.compile(""), 4 << 20),
)


class Shield:
    """ASGI middleware: refuses large bodies (413), pages of other origins, and names not its own (403).

    A browser sends `Origin` with every request that changes something: without a check, any web page that a
    member of staff has open could save labels here. Programs send none, and may do everything. A page's own
    name can be made to lead here (DNS rebinding), and is then its origin: so `Host` is checked too.

    Args:
        app: what is behind it; it answers when something in it fails, and the failure is logged here.
        origins: other origins that may use the server, such as `https://viewer.hospital.example`.
        hosts: names that the server goes by, beside this machine's own and those of `origins`.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)
        named = (urlsplit(origin).hostname for origin in self._origins)
        self._hosts = frozenset(filter(None, (*named, *(host.lower() for host in hosts))))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] not in _ANY_NAME and not self._is_own_name(headers.get("host", "")):
            await _answer(send, 403, _OTHER_NAME)
            return
        if scope["method"] not in _READS_ONLY and not self._may_change(headers, scope.get("scheme")):
            await _answer(send, 403, "Pages of other origins may not use this server.")
            return
        body = _Body(receive, next(limit for path, limit in _LIMITS if path.match(scope["path"])))
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > body.limit:
            await _answer(send, 413, body.refusal)
            return
        await self._guarded(scope, body, send)

    async def _guarded(self, scope: Scope, body: "_Body", send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            # FastAPI makes a 400 of whatever stops the reading of a body.
            if body.too_large and not started:
                started = True
                await _answer(send, 413, body.refusal)
            elif not body.too_large:
                started = True
                await send(message)

        try:
            await self._app(scope, body.receive, watched)
        except Exception as error:
            if not body.too_large:
                log_unexpected(error)
            elif not started:
                await _answer(send, 413, body.refusal)

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # a bracket that does not close
            return False
        return name in self._hosts or _is_this_machine(name)

    def _may_change(self, headers: dict[str, str], scheme: str | None) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        try:
            page = urlsplit(origin)
        except ValueError:
            return False
        # Before a proxy that does not tell, the scheme is not known: http may be https there.
        return page.netloc == headers.get("host") and (scheme != "https" or page.scheme == "https")


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Body:
    """A request's body, counted as it comes: `Content-Length` may be missing."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._size, self.limit = receive, 0, limit
        most = f"{limit >> 20} MB" if limit >> 20 else f"{limit >> 10} kB"
        self.refusal = f"The request is too large; at most {most} are taken here."

    @property
    def too_large(self) -> bool:
        return self._size > self.limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self.too_large:
            raise ValueError("too large")
        return message


async def _answer(send: Send, status: int, detail: str) -> None:
    content = json.dumps({"detail": detail}).encode()
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # of a refused request the body may still be coming
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
