"""`segpet weights`, with a server in the hub's place where one is needed."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from small_network import small_seganypet
from typer.testing import CliRunner

from lib.network import SegAnyPET, SegAnyPETConfig, save_network
from scripts.__main__ import app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The command in this process, with an endpoint at which nobody listens unless another one is given."""
    monkeypatch.setenv("SEGPET_WEIGHTS", str(tmp_path))

    def run(*arguments, endpoint="http://127.0.0.1:9"):
        template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        done = CliRunner().invoke(app, ["weights", *map(str, arguments)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return run


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> bytes:
    """A file with the published keys and shapes; all tensors are views of one, so that it is small."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in SegAnyPET(SegAnyPETConfig()).state_dict().items()}
    values = torch.zeros(max(shape.numel() for shape in shapes.values()))
    state = {key: values[: shape.numel()].view(shape) for key, shape in shapes.items()}
    path = tmp_path_factory.mktemp("published") / "file.pth"
    torch.save({"model_state_dict": state}, path)
    return path.read_bytes()


@pytest.fixture
def hub(published):
    """A server that answers for one file as the hub does, and breaks the connection once halfway."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._head(200, len(self.server.content))

        def do_GET(self):
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            rest = self.server.content[begin:]
            if not self._head(206 if begin else 200, len(rest), begin):
                return
            self.server.begins.append(begin)
            if self.server.breaks:
                self.server.breaks -= 1
                rest = rest[:11_000_000]  # more than the library reads at a time
                self.close_connection = True
            self.wfile.write(rest)

        def _head(self, status, length, begin=0):
            known = self.path.endswith("/YichiZhang98/SegAnyPET/resolve/main/seganypet_v2.pth")
            self.send_response(status if known else 404)
            if not known:
                self.send_header("X-Error-Code", "EntryNotFound")
                length = 0
            else:
                whole = len(self.server.content)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
                self.send_header("ETag", f'"{self.server.etag}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            return known

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.content, server.etag = published, hashlib.sha256(published).hexdigest()
    server.breaks, server.begins = 0, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_download_that_broke_goes_on_is_verified_and_is_what_serve_takes(hub, tmp_path, weights):
    hub.breaks = 1
    done = subprocess.run(
        [sys.executable, "-m", "scripts", "weights", "get", "seganypet-v2", "--json"],
        cwd=ROOT,
        env={
            **os.environ,
            "SEGPET_WEIGHTS": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "TQDM_POSITION": "-1",  # the progress bar, though nobody looks at a terminal
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["keys"], report["architecture"], report["finite"]) == (324, "SegAnyPET", True)
    assert report["sha256"] == hub.etag
    assert (tmp_path / "seganypet_v2.pth").read_bytes() == hub.content
    assert len(hub.begins) == 2
    assert hub.begins[0] == 0 < hub.begins[1]
    assert "Licence" in done.stderr
    assert "100%" in done.stderr  # the progress bar
    assert "no SHA-256" not in done.stderr

    listed = json.loads(weights("list", "--json").stdout)
    first = next(row for row in listed if row["name"] == "seganypet-v2")
    assert first["default"]
    assert (first["where"], first["sha256"], first["size_bytes"]) == (
        "your folder",
        hub.etag,
        len(hub.content),
    )
    again = weights("get", "seganypet_v2.pth")  # offline: it is here, and verified again
    assert again.exit_code == 0
    assert hub.etag in again.stdout


def test_without_the_hub_one_sentence_says_what_to_do(tmp_path, weights, monkeypatch):
    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        done = weights("get", "seganypet-v2")
        assert done.exit_code == 2
        said = done.stderr.strip().splitlines()
        assert len(said) == 2  # the file with its licence, and the sentence
        assert "cannot be reached from here" in said[1]
        assert f"by hand and put it into {tmp_path}" in said[1]
        assert "Traceback" not in done.stderr


def test_a_file_that_the_hub_does_not_have_or_that_is_another_is_refused(hub, tmp_path, weights):
    missing = weights("get", "seganypet-lesion", endpoint=hub.url)
    assert missing.exit_code == 2
    assert "has no seganypet_lesion.pth" in missing.stderr
    hub.etag = "0" * 64
    other = weights("get", "seganypet-v2", endpoint=hub.url)
    assert other.exit_code == 2
    assert "not the file that the hub states" in other.stderr
    hub.content = b"<html>sign in to the hospital's network</html>"
    page = weights("get", "seganypet-v2", endpoint=hub.url)
    assert page.exit_code == 2
    assert "not a checkpoint" in page.stderr
    assert not list(tmp_path.glob("*.pth"))
    assert not list(tmp_path.rglob("seganypet_v2.pth"))


def test_a_wrong_file_is_told_and_kept_and_once_moved_the_right_one_is_fetched(hub, tmp_path, weights):
    for name in ("seganypet_v2.pth", "SegAnyPET-v2.safetensors"):
        torch.save({"a": torch.ones(2)}, wrong := tmp_path / name)
        content = wrong.read_bytes()
        row = json.loads(weights("list", "--json").stdout)[0]
        assert (row["name"], row["fits"], row["default"]) == ("seganypet-v2", False, True)
        listed = weights("list").stdout
        assert f"cannot be used: segpet weights verify {wrong.stem}" in listed
        assert "serve takes: seganypet-v2, and stops there" in listed
        done = weights("get", "seganypet-v2", endpoint=hub.url)
        assert done.exit_code == 2
        assert f"Move {wrong} elsewhere and run this again: {name} " in done.stderr.splitlines()[-1]
        assert (wrong.read_bytes(), hub.begins) == (content, [])
        wrong.rename(tmp_path / "elsewhere")
    assert weights("get", "seganypet-v2", endpoint=hub.url).exit_code == 0
    assert "serve takes: seganypet-v2; " in weights("list").stdout


def test_where_the_hub_states_no_sha256_it_is_said(hub, weights, caplog):
    hub.etag = "0" * 40
    assert weights("get", "seganypet-v2", endpoint=hub.url).exit_code == 0
    assert "states no SHA-256 of seganypet_v2.pth" in caplog.text


def test_verify_tells_what_is_in_a_file(tmp_path, weights):
    save_network(small_seganypet(), tmp_path / "ours.safetensors")
    report = json.loads(weights("verify", "ours", "--json").stdout)
    assert report["dtypes"] == {"float32": report["keys"]}
    assert (report["image_size"], report["spacing"]) == (32, 6.0)
    content = (tmp_path / "ours.safetensors").read_bytes()
    assert (report["bytes"], report["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    text = weights("verify", tmp_path / "ours.safetensors").stdout
    assert "32 voxels of 6 mm (192 mm)" in text
    listed = weights("list").stdout
    assert "a file of yours" in listed
    assert "Source of seganypet-v2, seganypet-v1, seganypet-lesion: YichiZhang98/SegAnyPET on the" in listed
    assert "seganypet-v2" in listed


def test_bad_input_is_one_sentence_and_status_2(tmp_path, weights):
    (tmp_path / "torn.pth").write_bytes(b"PK not weights")
    for expected, arguments in {
        "there are seganypet-v2, seganypet-v1, seganypet-lesion": ["get", "sam"],
        "torn.pth is not a checkpoint": ["verify", "torn"],
        "no weights at": ["verify", tmp_path / "absent.pth"],
        "not here yet: run `segpet weights get seganypet-v1`": ["verify", "seganypet-v1"],
    }.items():
        done = weights(*arguments)
        assert done.exit_code == 2, (expected, done)
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
