"""Turns at the device: a bounded queue in which clients take turns, so that none starves the others."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

STOPPING = "The server is stopping; nothing is lost. It can be asked again when it is back."
#: How much the newest service time counts in the mean.
_NEWEST = 0.2


class BusyError(RuntimeError):
    """There is no place in the queue; the message is one sentence.

    Attributes:
        seconds: when to come back.
    """

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class StoppingError(RuntimeError):
    """The server takes no more work."""

    def __init__(self) -> None:
        super().__init__(STOPPING)


@dataclass(eq=False)
class Ticket:
    """A place in the queue.

    Args:
        client: whose.
        long: whether it is work of many seconds.
        asked: when the client came.
        begins: done when it is the client's turn; StoppingError where that never comes.
    """

    client: str
    long: bool
    asked: float
    begins: Future[None] = field(default_factory=Future)
    begun: float | None = None

    @property
    def waited(self) -> float:
        """Seconds from coming to the turn; 0 before it."""
        return 0.0 if self.begun is None else self.begun - self.asked


class Turns:
    """Who may use the device, which all clicks share. Threads and the event loop may share it.

    Clients take turns, however many requests each has waiting. Of a client one is worked on at a time: its
    clicks in a study follow each other anyway. Long work leaves one place free for clicks.

    Args:
        at_a_time: requests that are worked on at a time: while one decodes, another reads, measures or packs.
        most: requests that may wait.
        share: of these for one client.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        at_a_time: int = 2,
        most: int = 64,
        share: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_a_time, self._most, self._share, self._clock = at_a_time, most, share, clock
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Ticket]] = {}
        self._running: set[Ticket] = set()
        self._served: dict[str, int] = {}
        """The number of the last turn of each client that is here; whoever had none comes first."""
        self._turns = count(1)
        self._seconds = 1.0
        """Mean service time."""
        self._closed = False

    def ask(self, client: str, long: bool = False) -> Ticket:
        """Take a place in the queue; whoever took one calls `leave` whatever comes of it.

        Raises:
            BusyError: the queue or the client's share of it is full.
            StoppingError: the server is stopping.
        """
        with self._lock:
            if self._closed:
                raise StoppingError
            own = len(self._waiting.get(client, ()))
            waiting = sum(map(len, self._waiting.values()))
            if own >= self._share or waiting >= self._most:
                ahead = own * len(self._waiting) if own >= self._share else waiting
                seconds = min(60, max(1, math.ceil(ahead * self._seconds / self._at_a_time)))
                whose = f"{own} requests of yours wait" if own >= self._share else f"{waiting} requests wait"
                raise BusyError(
                    f"The server is busy, {whose} already; nothing is lost. Ask again in {seconds} s.",
                    seconds,
                )
            ticket = Ticket(client, long, self._clock())
            self._waiting.setdefault(client, deque()).append(ticket)
            self._call()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a turn back, or the place in the queue where the turn never came."""
        with self._lock:
            if ticket in self._running:
                self._running.remove(ticket)
                spent = self._clock() - (ticket.begun or 0.0)
                self._seconds += _NEWEST * (spent - self._seconds)
            elif ticket in (own := self._waiting.get(ticket.client, deque())):
                own.remove(ticket)
                if not own:
                    del self._waiting[ticket.client]
            if ticket.client not in self._waiting and not self._is_served(ticket.client):
                self._served.pop(ticket.client, None)
            self._call()

    @contextmanager
    def turn(self, client: str, long: bool = False) -> Iterator[None]:
        """Wait in this thread for a turn, for a place in the queue too, and keep it inside the `with`.

        Raises StoppingError: as `ask`.
        """
        ticket = None
        while ticket is None:
            try:
                ticket = self.ask(client, long)
            except BusyError as busy:
                time.sleep(busy.seconds)
        try:
            ticket.begins.result()
            yield
        finally:
            self.leave(ticket)

    def close(self) -> None:
        """Take no more work; who waits is told so, and what has begun goes on."""
        with self._lock:
            self._closed = True
            for own in self._waiting.values():
                for ticket in own:
                    ticket.begins.set_exception(StoppingError())
            self._waiting.clear()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being worked on."""
        return not self._running

    def _call(self) -> None:
        """Call whose turn it is: of those who were not served for longest, who came first."""
        for client in sorted(self._waiting, key=lambda one: self._served.get(one, 0)):
            if len(self._running) >= self._at_a_time:
                return
            own = self._waiting[client]
            ticket = own[0]
            longs = sum(running.long for running in self._running)
            if self._is_served(client) or (ticket.long and longs >= max(1, self._at_a_time - 1)):
                continue
            own.popleft()
            if not own:
                del self._waiting[client]
            ticket.begun = self._clock()
            self._running.add(ticket)
            self._served[client] = next(self._turns)
            ticket.begins.set_result(None)

    def _is_served(self, client: str) -> bool:
        return any(running.client == client for running in self._running)
