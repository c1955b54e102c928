"""Pieces of text that another thread makes: cut at stop texts, ended on wish or when time is over."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from lib.report.backends import BackendError, Cancelled

_LOOK = 0.1  # seconds between two looks whether somebody cancelled


def from_thread(
    make: Callable[[Callable[[str], None], threading.Event], None],
    timeout: float,
    cancelled: Callable[[], bool],
) -> Iterator[str]:
    """Yield what `make(put, ended)` puts, from a thread of its own.

    `ended` is set as soon as nobody wants more; `make` then returns soon, and this waits for it a moment, so
    that the next one does not run beside it.

    Raises:
        BackendError: 504 after `timeout` seconds.
        Cancelled: `cancelled` became true.
        Exception: what `make` raised.
    """
    made: queue.Queue[str | BaseException | None] = queue.Queue()
    ended = threading.Event()

    def run() -> None:
        try:
            make(made.put, ended)
            made.put(None)
        except BaseException as error:
            made.put(error)

    thread = threading.Thread(target=run, daemon=True, name="impression")
    thread.start()
    until = time.monotonic() + timeout
    try:
        while True:
            if cancelled():
                raise Cancelled
            if time.monotonic() > until:
                raise BackendError(f"The impression was not done in {timeout:g} seconds.", 504)
            try:
                piece = made.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            if piece:
                yield piece
    finally:
        ended.set()
        thread.join(timeout=10)


def before_stop(pieces: Iterator[str], stop: tuple[str, ...]) -> Iterator[str]:
    """Yield the text before the first stop text; holds back what may be the beginning of one."""
    held = ""
    for piece in pieces:
        held += piece
        found = [place for text in stop if (place := held.find(text)) >= 0]
        if found:
            if first := held[: min(found)]:
                yield first
            return
        keep = max((n for text in stop for n in range(1, len(text)) if held.endswith(text[:n])), default=0)
        if ready := held[: len(held) - keep]:
            yield ready
        held = held[len(held) - keep :]
    if held:
        yield held
