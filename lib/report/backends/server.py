"""A model behind a server that speaks OpenAI's API: vLLM, `transformers serve`, llama.cpp."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import requests

from lib.report.backends import BackendError, Options
from lib.report.backends.line import Line
from lib.report.backends.pieces import before_stop, from_thread
from lib.report.language import Language, ReportError, check_text
from lib.report.prompts import messages

_CONNECT_SECONDS = 5.0
_MOST_CHARACTERS = 100_000
_RUBBISH = "The language model's server sends what is no chat completion: is its address right?"


class ServerBackend:
    """A server's model.

    Args:
        url: with the API's path, such as `http://127.0.0.1:8001/v1`.
        model: its name at the server; the first one that the server lists if not given.
        key: sent as a bearer token.

    Raises:
        BackendError: the address is none.
    """

    def __init__(self, url: str, model: str | None = None, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise BackendError("A server's address is like http://127.0.0.1:8001/v1; its key is given apart.")
        self._url, self._model, self._key = url.rstrip("/"), model, key
        self._line = Line()

    @property
    def name(self) -> str:
        """The model's name at the server, as far as it is known."""
        return self._model or "the server's model"

    def generate(
        self,
        findings: str,
        language: Language,
        options: Options = Options(),  # noqa: B008 -- frozen
        cancelled: Callable[[], bool] = bool,
        waiting: Callable[[int], None] = lambda place: None,
    ) -> Iterator[str]:
        """See `lib.report.backends.Backend`."""
        if not check_text(findings, "The findings").strip():
            raise ReportError("There are no findings to write an impression of.")
        with self._line.turn(waiting, cancelled):
            pieces = from_thread(
                lambda put, ended: self._stream(findings, language, options, put, ended),
                options.timeout,
                cancelled,
            )
            with closing(pieces):  # type: ignore[type-var]
                yield from before_stop(pieces, options.stop)

    def _stream(
        self,
        findings: str,
        language: Language,
        options: Options,
        put: Callable[[str], None],
        ended: threading.Event,
    ) -> None:
        if self._model is None:
            self._model = self._first_model(options.timeout)
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages(findings, language),
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "seed": options.seed,
            "stream": True,
        }
        if options.stop:
            body["stop"] = list(options.stop)
        with self._ask("POST", "/chat/completions", options.timeout, body) as reply:
            # Closing the connection wakes what waits for a line, and tells the server to stop.
            watcher = threading.Thread(target=_close_when, args=(ended, reply), daemon=True)
            watcher.start()
            try:
                self._read(reply, put, ended)
            except (requests.RequestException, AttributeError, OSError) as error:
                if not ended.is_set():
                    raise BackendError(
                        "The language model's server broke off half-way: try again.", 502
                    ) from error
            finally:
                ended.set()

    def _read(self, reply: requests.Response, put: Callable[[str], None], ended: threading.Event) -> None:
        length, finished = 0, False
        for line in reply.iter_lines(chunk_size=1):
            if ended.is_set():
                return
            if not line.startswith(b"data:"):
                if line and not line.startswith((b":", b"event:", b"id:", b"retry:")):
                    raise BackendError(_RUBBISH, 502)
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            text, last = _piece(data)
            finished = finished or last
            length += len(text)
            if length > _MOST_CHARACTERS:
                raise BackendError("The language model's server does not end its answer.", 502)
            put(text)
        if not finished:
            raise BackendError("The language model's server broke off half-way: try again.", 502)

    def _first_model(self, timeout: float) -> str:
        with self._ask("GET", "/models", timeout) as reply:
            try:
                return str(reply.json()["data"][0]["id"])
            except (ValueError, LookupError, TypeError) as error:
                raise BackendError("The language model's server lists no model: name one.", 502) from error

    def _ask(
        self, method: str, path: str, timeout: float, body: dict[str, Any] | None = None
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            reply = requests.request(
                method, self._url + path, json=body, headers=headers, stream=True,
                timeout=(_CONNECT_SECONDS, timeout), allow_redirects=False,
            )  # fmt: skip
        except requests.Timeout as error:
            raise BackendError(
                f"The language model's server did not answer in {timeout:g} seconds.", 504
            ) from error
        except requests.RequestException as error:
            raise BackendError(
                "The language model's server cannot be reached: is it running, and its address right?", 503
            ) from error
        if reply.status_code in (401, 403):
            raise BackendError("The language model's server wants another key.", 502)
        if reply.status_code in (429, 503):
            raise BackendError("The language model's server is busy: try again later.", 503)
        if reply.status_code != 200:
            raise BackendError(f"The language model's server refuses with status {reply.status_code}.", 502)
        return reply


def _close_when(ended: threading.Event, reply: requests.Response) -> None:
    ended.wait()
    reply.close()


def _piece(data: bytes) -> tuple[str, bool]:
    """Return an event's text, and whether the answer ends with it."""
    try:
        event = json.loads(data)
        if "error" in event:
            raise BackendError("The language model's server failed while it wrote the impression.", 502)
        choices = event["choices"]
        if not choices:  # the last event of some servers: usage only
            return "", False
        text = choices[0].get("delta", {}).get("content") or ""
        return check_text(text, "A piece"), bool(choices[0].get("finish_reason"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackendError(_RUBBISH, 502) from error
