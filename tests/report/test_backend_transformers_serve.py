"""The demonstration model behind `transformers serve`, a real OpenAI-compatible server on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from lib.report.backends import Cancelled, Options, open_backend
from lib.report.synthetic_pairs import pairs

MODEL = Path(__file__).resolve().parents[2] / "apps" / "segpet" / "model" / "impression"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = Path(sys.executable).with_name("transformers")
    with log.open("w") as out:
        server = subprocess.Popen(
            [str(command), "serve", "--host", "127.0.0.1", "--port", str(port), str(MODEL)],
            stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                    break
            except requests.RequestException:
                pass
            assert server.poll() is None and time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


def test_a_real_server_writes_what_the_model_writes_in_process(url: str) -> None:
    served, local = open_backend(url, model=str(MODEL)), open_backend(str(MODEL))
    for pair in pairs(4, "A", 99):
        pieces = list(served.generate(pair.findings, pair.language, Options(max_tokens=200)))
        assert len(pieces) > 1
        there = "".join(pieces)
        here = "".join(local.generate(pair.findings, pair.language, Options(max_tokens=200)))
        assert there.strip() == here.strip()


def test_cancelling_leaves_a_server_that_still_answers(url: str) -> None:
    backend, got = open_backend(url, model=str(MODEL)), []
    pair = next(pairs(1, "A", 5))
    with pytest.raises(Cancelled):
        for piece in backend.generate(pair.findings, "en", Options(max_tokens=200), lambda: bool(got)):
            got.append(piece)
    assert "".join(backend.generate(pair.findings, "en", Options(max_tokens=200))).strip()
