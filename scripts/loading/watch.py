"""What is seen of a server from without while others work at it."""

import time
from typing import NamedTuple
from urllib.request import urlopen

#: Seconds from one look to the next.
_EVERY = 0.5


class Watched(NamedTuple):
    """What was seen of the server from without, once each half second.

    Attributes:
        health: seconds of each `/health`.
        memory: seconds since the beginning, and the server's resident bytes then.
        faults: what went wrong, a sentence each.
    """

    health: list[float]
    memory: list[tuple[float, int]]
    faults: list[str]


def watch_server(url: str, pid: int, seconds: float) -> Watched:
    """Ask for a server's health and memory for so long.

    Args:
        url: of the server.
        pid: of its process.
        seconds: for how long.
    """
    import psutil

    seen, process, begun = Watched([], [], []), psutil.Process(pid), time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        asked = time.perf_counter()
        try:
            with urlopen(f"{url}/health", timeout=10) as reply:
                reply.read()
            seen.health.append(time.perf_counter() - asked)
            seen.memory.append((now, process.memory_info().rss))
        except (OSError, psutil.Error) as error:
            seen.faults.append(f"/health: {type(error).__name__}")
        time.sleep(_EVERY)
    return seen
