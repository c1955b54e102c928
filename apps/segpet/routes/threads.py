"""Routes whose work takes seconds: in threads of their own number, so that quick routes need not wait."""

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import HTTPException, Request
from fastapi.responses import Response
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.failures import told_to_client
from apps.segpet.request_log import note
from apps.segpet.routes.writers import writers
from apps.segpet.stopping import stopping
from apps.segpet.turns import STOPPING, Turns
from lib.report.backends import Cancelled

P = ParamSpec("P")
R = TypeVar("R")

#: Requests that are worked on at a time; further ones wait.
_AT_A_TIME = 8
#: What a web server says in its log of a client that left before its answer.
_GONE = 499


@functools.cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(_AT_A_TIME)


@functools.cache
def _at_the_device() -> CapacityLimiter:
    """More than `Turns` ever lets in: who has a turn has a thread."""
    return CapacityLimiter(_AT_A_TIME)


def in_a_thread(route: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make a route of a function that takes its time."""

    @functools.wraps(route)
    async def waits(*args: P.args, **kwargs: P.kwargs) -> R:
        work = functools.partial(route, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=_limiter())

    return waits


def in_turn(long: bool = False) -> Callable[[Callable[..., Response]], Callable[..., Awaitable[Response]]]:
    """Make a route of a function that computes; its parameters hold `request` and `client`.

    Args:
        long: as `Turns.ask`.
    """

    def decorate(route: Callable[..., Response]) -> Callable[..., Awaitable[Response]]:
        @functools.wraps(route)
        async def waits(*, request: Request, client: str, **others: object) -> Response:
            work = functools.partial(route, request=request, client=client, **others)
            return await take_turn(request, client, work, long)

        return waits

    return decorate


async def take_turn(
    request: Request, client: str, work: Callable[[], Response], long: bool = False
) -> Response:
    """Work in a thread when it is the client's turn; the wait holds no thread.

    The reply says in `Server-Timing` how long that took. A client that leaves before its turn is forgotten:
    nothing of its request is done.

    Raises:
        HTTPException: 429 with `Retry-After` where the queue is full, 503 where the server is stopping.
    """
    turns: Turns = app_instance().turns
    note(request.scope, client=client)
    with told_to_client():
        ticket = turns.ask(client, long)
        try:
            if not await _comes_before(asyncio.wrap_future(ticket.begins), _gone(request)):
                return Response(status_code=_GONE)
            waited = round(ticket.waited * 1000, 1)
            note(request.scope, wait_ms=waited)
            response = await anyio.to_thread.run_sync(work, limiter=_at_the_device())
            response.headers["Server-Timing"] = f"queue;dur={waited}"
            return response
        finally:
            turns.leave(ticket)


async def until_gone(
    request: Request, client: str, write: Callable[[Callable[[], bool]], Response]
) -> Response:
    """Write as one of `writers`, until the client leaves or the server stops.

    Args:
        request: the request.
        client: whose.
        write: answers the request; it is called with what says whether to raise `Cancelled`.

    Raises:
        HTTPException: 429 as `Writers.begin`, 503 where the server is stopping.
    """
    left = threading.Event()
    watch = asyncio.ensure_future(_gone(request))
    watch.add_done_callback(lambda _: left.set())
    try:
        return await writers.begin(client, lambda: write(lambda: left.is_set() or stopping.is_set()))
    except Cancelled as error:
        if left.is_set():
            return Response(status_code=_GONE)
        raise HTTPException(503, STOPPING, {"Retry-After": "10"}) from error
    finally:
        watch.cancel()


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _comes_before(turn: asyncio.Future[None], other: Awaitable[None]) -> bool:
    """Whether a turn comes before something else; raises what comes instead of the turn."""
    watch = asyncio.ensure_future(other)
    try:
        await asyncio.wait({turn, watch}, return_when=asyncio.FIRST_COMPLETED)
        return turn.done() and turn.result() is None
    finally:
        watch.cancel()
