"""The demonstration model behind `transformers serve`, a real OpenAI-compatible server on loopback."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from panel_client import PanelClient, lps
from serving import Server, save_image

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


def test_a_saved_label_becomes_an_impression_that_the_other_server_writes(
    url, tmp_path, phantom, lesions
) -> None:
    """From a click to a streamed and checked impression, as with a model in SegPET's own process."""
    (tmp_path / "studies").mkdir()
    save_image(tmp_path / "studies/one.nii.gz", phantom.volume.array, phantom.volume.affine)
    server = Server(tmp_path, model="none", unit="SUVbw", impression=url, impression_model=str(MODEL))
    try:
        client = PanelClient(server.start().url, "one", "reader-1")
        client.open()
        client.click(lps(phantom.volume.affine, lesions[0]))
        client.save("final")
        route = f"{client.study_url}/impression"
        findings = requests.get(route, timeout=60).json()["findings"]
        body = {"findings": findings, "language": "en", "max_tokens": 200}
        with requests.post(f"{route}/stream", json=body, stream=True, timeout=120) as reply:
            *lines, last = [json.loads(line) for line in reply.iter_lines()]
        assert sum("text" in line for line in lines) > 3
        assert "SUVmax" in last["done"]["text"] and set(last["done"]["check"]) >= {"marks", "missing"}
        told = requests.post(f"{server.url}/train/impression", json={}, timeout=30)
        assert told.status_code == 422 and "own process" in told.json()["detail"]
    finally:
        server.stop()
