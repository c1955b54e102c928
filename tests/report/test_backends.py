"""Back ends: order, stop texts, cancelling, time-outs, and servers that are down or send rubbish."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from lib.report.backends import BackendError, Cancelled, Options, open_backend
from lib.report.backends.line import Line
from lib.report.backends.local import LocalBackend, load_model
from lib.report.backends.pieces import before_stop, from_thread
from lib.report.demo_model import make_model, make_tokenizer, save_demo_model
from lib.report.language import ReportError

FINDINGS = "1 lesion.\nLesion 1 in the liver: SUVmax 8.2.\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of the demonstration model's kind."""
    path = tmp_path_factory.mktemp("models") / "small"
    tokenizer = make_tokenizer([FINDINGS] * 3)
    save_demo_model(make_model(tokenizer), tokenizer, path)
    return path


def test_greedy_writing_is_the_same_each_time_and_a_seed_repeats_a_drawn_one(folder: Path) -> None:
    backend = LocalBackend(str(folder), device=torch.device("cpu"))
    greedy = Options(max_tokens=12)
    assert list(backend.generate(FINDINGS, "en", greedy)) == list(backend.generate(FINDINGS, "en", greedy))
    drawn = [
        "".join(backend.generate(FINDINGS, "en", Options(1.5, max_tokens=12, seed=n))) for n in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_cancelling_half_way_ends_it_and_the_next_one_is_written(folder: Path) -> None:
    backend = LocalBackend(str(folder))
    got: list[str] = []
    with pytest.raises(Cancelled):
        for piece in backend.generate(FINDINGS, "en", Options(1.0, max_tokens=1500), lambda: bool(got)):
            got.append(piece)
    pieces = backend.generate(FINDINGS, "en", Options(1.0, max_tokens=1500))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name == "impression"]
    assert list(backend.generate(FINDINGS, "en", Options(1.0, max_tokens=8)))


def test_what_takes_too_long_ends_with_a_sentence(folder: Path) -> None:
    backend = LocalBackend(str(folder))
    list(backend.generate(FINDINGS, "en", Options(max_tokens=1)))
    assert backend._loaded
    backend._loaded[0].generation_config.eos_token_id = None  # it never ends by itself
    with pytest.raises(BackendError, match=r"not done in 0\.1 seconds") as caught:
        list(backend.generate(FINDINGS, "en", Options(max_tokens=1500, timeout=0.1)))
    assert caught.value.status == 504


def test_findings_that_do_not_fit_the_model_are_refused(folder: Path) -> None:
    backend = LocalBackend(str(folder))
    with pytest.raises(ReportError, match="shorten them"):
        list(backend.generate(FINDINGS * 200, "en"))
    with pytest.raises(ReportError, match="no findings"):
        list(backend.generate("  \n", "en"))


def test_long_findings_leave_what_room_there_is_for_an_impression(folder: Path) -> None:
    backend = LocalBackend(str(folder))
    _, tokenizer = load_model(str(folder), torch.device("cpu"))
    each = len(tokenizer(FINDINGS)["input_ids"])
    pieces = backend.generate(FINDINGS * (1_700 // each), "en", Options(1.0, max_tokens=512))
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_a_model_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackendError, match=f"read from {name}: name a folder"):
        list(open_backend(str(tmp_path / name)).generate(FINDINGS, "en"))


def test_a_pickled_adapter_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(BackendError, match=r"no adapter_model\.safetensors"):
        list(open_backend(str(folder), tmp_path).generate(FINDINGS, "en"))


@pytest.mark.parametrize("wrong", [{"temperature": 3}, {"max_tokens": 0}, {"stop": ("",)}, {"timeout": "1"}])
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ReportError, match="must be"):
        Options(**wrong)  # type: ignore[arg-type]


def test_a_stop_text_ends_the_text_before_it_however_it_is_cut() -> None:
    assert "".join(before_stop(iter("a liver EN" + "D of it"), ("END",))) == "a liver "
    assert "".join(before_stop(iter(["liver E", "N"]), ("END",))) == "liver EN"


def test_who_waits_is_told_the_place_and_comes_in_order() -> None:
    line, places, order = Line(), [], []
    entered, release = threading.Event(), threading.Event()

    def first() -> None:
        with line.turn(lambda place: None, bool):
            entered.set()
            release.wait(10)
            order.append("first")

    def second() -> None:
        with line.turn(places.append, bool):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    while not places:
        time.sleep(0.01)
    with pytest.raises(Cancelled), line.turn(lambda place: None, lambda: True):
        pass
    release.set()
    for thread in threads:
        thread.join(10)
    assert (places, order, len(line)) == ([1, 0], ["first", "second"], 0)


def test_an_error_in_the_thread_reaches_the_reader() -> None:
    def make(put: Callable[[str], None], ended: threading.Event) -> None:
        put("a")
        raise BackendError("It failed.")

    pieces = from_thread(make, 10, bool)
    assert next(pieces) == "a"
    with pytest.raises(BackendError, match="It failed"):
        next(pieces)


@contextmanager
def answering(body: bytes, status: int = 200, seconds: float = 0) -> Iterator[str]:
    """A server that is none: it sends the same bytes to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(seconds)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"<html>hello</html>\n", 200, "no chat completion"),
        (b"data: {\n\n", 200, "no chat completion"),
        (b"data: [1]\n\n", 200, "no chat completion"),
        (b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', 200, "no chat completion"),
        (b'data: {"error": {"message": "x"}}\n\n', 200, "failed while"),
        (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', 200, "broke off half-way"),
        (b"", 200, "broke off half-way"),
        (b"", 401, "another key"),
        (b"", 429, "busy"),
        (b"", 500, "status 500"),
        (b"", 302, "status 302"),
    ],
)
def test_a_server_that_sends_rubbish_gives_a_sentence(body: bytes, status: int, sentence: str) -> None:
    with answering(body, status) as url, pytest.raises(BackendError, match=sentence) as caught:
        list(open_backend(url, model="m").generate(FINDINGS, "en"))
    assert caught.value.status in (502, 503)


def test_a_slow_server_is_left_after_the_time_out() -> None:
    with answering(b"", seconds=2) as url, pytest.raises(BackendError) as caught:
        list(open_backend(url, model="m").generate(FINDINGS, "en", Options(timeout=0.5)))
    assert caught.value.status == 504


def test_a_server_that_is_down_gives_a_sentence() -> None:
    with answering(b"") as url:
        pass
    with pytest.raises(BackendError, match="cannot be reached") as caught:
        list(open_backend(url, model="m").generate(FINDINGS, "en"))
    assert caught.value.status == 503


@pytest.mark.parametrize("url", ["http://", "http://user:key@host/v1", "http://host/v1?key=1"])
def test_an_address_that_is_none_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(BackendError, match="address is like"):
        open_backend(url)
