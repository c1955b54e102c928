"""How the server stops: no new work, what has begun is ended and answered, all within a few seconds."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from anyio import to_thread
from monailabel.interfaces.utils.app import app_instance
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.segpet.turns import STOPPING

logger = logging.getLogger("segpet")

#: Set from the first signal on, in this process.
stopping = threading.Event()
#: Seconds for what has begun, for replies on their way, and until the process ends in any case.
_WORK, _REPLIES, _IN_ANY_CASE = 6.0, 2, 10.0
#: Seconds that a connection may rest: longer than people pause between clicks, and than proxies keep theirs.
_KEEP_ALIVE = 75
_OPEN = ("/health", "/ready")


class RefusesWhileStopping:
    """ASGI middleware: answers 503 to what comes after the signal.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and stopping.is_set() and scope["path"] not in _OPEN:
            headers = {"Retry-After": "10", "Connection": "close"}
            refusal = JSONResponse({"detail": STOPPING}, status_code=503, headers=headers)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """Uvicorn's server, which ends what has begun while it still answers."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop at the first signal."""
        if not stopping.is_set():
            stopping.set()
            last = threading.Timer(_IN_ANY_CASE, _end)
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what has begun, then the connections."""
        logger.info("Stopping: no new work is taken.")
        app, loop = app_instance(), asyncio.get_running_loop()
        until = loop.time() + _WORK
        told = asyncio.ensure_future(to_thread.run_sync(app.stop))
        while not (told.done() and app.turns.is_idle) and loop.time() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        logger.info("Stopped.")


def serve(app: ASGIApp, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT, and end the process with status 0 soon after.

    Args:
        app: the app.
        options: as `uvicorn.run` has them.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)  # uvicorn sends itself what it was stopped by, when it has stopped
    kept = {"timeout_graceful_shutdown": _REPLIES, "timeout_keep_alive": _KEEP_ALIVE}
    server = _Server(uvicorn.Config(app, **kept, **options))
    with suppress(SystemExit):
        server.run()
    # Taking the libraries apart would take seconds, and serves nobody.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0 if server.started else 3)


def _exit(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


def _end() -> None:
    """End the process whatever still runs: all that is kept survives that."""
    logger.warning("Stopped with work that took too long; it is to be asked for again.")
    os._exit(0)
