"""A line of people who want the same thing: one at a time, first come, first served."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lib.report.backends import Cancelled

#: Seconds between two looks whether somebody has left.
_LOOK = 0.1


class Line:
    """First come, first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: list[object] = []

    def __len__(self) -> int:
        return len(self._tickets)

    @contextmanager
    def turn(self, waiting: Callable[[int], None], cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait for one's turn and keep it inside the `with`.

        Args:
            waiting: told how many are before, whenever that changes; 0 at last.
            cancelled: asked while waiting.

        Raises:
            Cancelled: it became true before the turn.
        """
        ticket = object()
        with self._changed:
            self._tickets.append(ticket)
        try:
            told = -1
            while told != 0:
                with self._changed:
                    place = self._tickets.index(ticket)
                    if place == told:
                        self._changed.wait(_LOOK)
                        place = self._tickets.index(ticket)
                if cancelled():
                    raise Cancelled
                if place != told:
                    waiting(place)
                    told = place
            yield
        finally:
            with self._changed:
                self._tickets.remove(ticket)
                self._changed.notify_all()
