"""Who writes impressions: in threads of their own, so many at a time, fewer of them for each client."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import HTTPException

R = TypeVar("R")


class Writers:
    """Requests that write an impression, or wait for their turn at the model.

    Args:
        most: at a time; further ones are refused.
        share: of these for one client. A client without a name has none: all may be behind it.
    """

    def __init__(self, most: int = 8, share: int = 3) -> None:
        self._most, self._share = most, share
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="impression")
        self._lock = threading.Lock()
        self._at_work: Counter[str] = Counter()

    def begin(self, client: str, work: Callable[[], R]) -> asyncio.Future[R]:
        """Begin the work of a client; HTTPException 429 where it, or all together, have too much of it."""
        with self._lock:
            own, all_of_them = self._at_work[client], self._at_work.total()
            if all_of_them >= self._most or (client and own >= self._share):
                whose = f"{all_of_them} impressions" if all_of_them >= self._most else f"{own} of yours"
                detail = f"Too many impressions are being written already, {whose}: ask again in 30 s."
                raise HTTPException(429, detail, {"Retry-After": "30"})
            self._at_work[client] += 1
        return asyncio.get_running_loop().run_in_executor(self._threads, self._do, client, work)

    def _do(self, client: str, work: Callable[[], R]) -> R:
        try:
            return work()
        finally:
            with self._lock:
                self._at_work[client] -= 1
                self._at_work += Counter()  # forgets who has none


writers = Writers()
