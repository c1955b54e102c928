"""Routes whose work takes seconds: in threads of their own number, so that quick routes need not wait."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

P = ParamSpec("P")
R = TypeVar("R")

#: Requests that are worked on at a time; further ones wait.
_AT_A_TIME = 8


@functools.cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(_AT_A_TIME)


def in_a_thread(route: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make a route of a function that takes its time."""

    @functools.wraps(route)
    async def waits(*args: P.args, **kwargs: P.kwargs) -> R:
        work = functools.partial(route, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=_limiter())

    return waits
