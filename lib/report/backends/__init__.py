"""Language models that write impressions: in this process, or behind a server that speaks OpenAI's API.

A `Backend` yields an impression piece by piece. It writes one at a time; others wait in a line
and are told their place. Closing the iterator, or `cancelled` becoming true, ends it and frees the line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lib.report.language import Language, ReportError


class BackendError(RuntimeError):
    """No impression came; the message is a sentence for the reader.

    Attributes:
        status: the HTTP status that says so: 503 down, 504 too slow, 502 rubbish, 500 else.
    """

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class Cancelled(Exception):  # noqa: N818 -- no error: somebody wished it
    """Somebody ended it half-way; the pieces so far are good."""


@dataclass(frozen=True)
class Options:
    """How to write.

    Args:
        temperature: 0 takes the likeliest word each time (greedy); above, words are drawn.
        top_p: words are drawn from the likeliest ones that hold this share.
        max_tokens: longest impression.
        stop: texts that end it; they are not part of it.
        seed: of drawing.
        timeout: seconds, waiting in the line apart.

    Raises:
        ReportError: a value is out of its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int = 0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0, 2), ("top_p", 0.01, 1), ("max_tokens", 1, 4096), ("timeout", 0.1, 3600),
            ("seed", 0, 2**31 - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ReportError(f"{name} must be a number from {low} to {high}.")
        for name in ("max_tokens", "seed"):
            if not isinstance(getattr(self, name), int):
                raise ReportError(f"{name} must be a whole number.")
        if len(self.stop) > 4 or not all(isinstance(one, str) and 0 < len(one) <= 64 for one in self.stop):
            raise ReportError("stop must be at most four texts of 1 to 64 characters.")


class Backend(Protocol):
    """What writes impressions."""

    @property
    def name(self) -> str:
        """What it is called in a reply and in a stored pair; holds no key and no path."""

    def generate(
        self,
        findings: str,
        language: Language,
        options: Options = ...,
        cancelled: Callable[[], bool] = ...,
        waiting: Callable[[int], None] = ...,
    ) -> Iterator[str]:
        """Yield the impression piece by piece.

        Args:
            findings: the text that it is written from.
            language: "en" or "zh".
            options: how.
            cancelled: asked between pieces and while waiting.
            waiting: told the place in the line whenever it changes: 2 means two are before,
                0 that it begins.

        Raises:
            ReportError: nothing can be written of these findings (empty, too long).
            BackendError: the model failed.
            Cancelled: `cancelled` became true.
        """


def open_backend(
    where: str, adapter: Path | None = None, model: str | None = None, key: str | None = None
) -> Backend:
    """Return a back end; a model in process is loaded when it is first used.

    Args:
        where: a server's address (`http://127.0.0.1:8001/v1`), a folder, or a name on Hugging Face's hub.
        adapter: folder of a PEFT adapter, for a model in process.
        model: the model's name at the server; the first one that it lists if not given.
        key: the server's key; from the environment or a file, never from a command line.

    Raises:
        BackendError: there is no such folder, or an address is none.
    """
    if where.startswith(("http://", "https://")):
        from lib.report.backends.server import ServerBackend

        if adapter:
            raise BackendError("A server has its own adapters: name one with the model's name instead.")
        return ServerBackend(where, model, key)
    from lib.report.backends.local import LocalBackend

    return LocalBackend(where, adapter)
