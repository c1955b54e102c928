"""The middleware by itself, before an app that reads its body, or fails."""

import errno
import json
import logging
import tempfile

import pytest
from starlette.testclient import TestClient

from apps.segpet.failures import status_and_sentence
from apps.segpet.routes import work
from apps.segpet.shield import Shield
from tests import own_loop


async def reads(scope, receive, send):
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def unread(scope, receive, send):
    raise AssertionError("the app was asked")


def ask(app, chunks=(b"",), path="/infer/x", method="POST", headers=(), origins=(), hosts=()):
    """Return status and body of one request."""
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting[-1]["more_body"] = False
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path}
    headers = [("host", "localhost"), *headers]
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    own_loop.run(Shield(app, origins, hosts)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"]


def test_a_body_within_the_limit_passes_whole():
    assert ask(reads, [bytes(1 << 20)] * 3) == (200, str(3 << 20).encode())


def test_a_body_over_the_limit_stops_where_it_is_over():
    status, body = ask(reads, [bytes(1 << 20)] * 100)
    assert status == 413
    assert "at most 4 MB" in json.loads(body)["detail"]


def test_uploads_have_a_larger_limit():
    chunks = [bytes(1 << 20)] * 8
    assert ask(reads, chunks, path="/datastore/label")[0] == 200
    assert ask(reads, chunks, path="/session/")[0] == 200
    assert ask(reads, chunks, path="/datastore/image/info")[0] == 413


@pytest.mark.parametrize(
    "path", ["/activelearning/random", "/batch/infer/segpet_auto", "/train/", "/train/x"]
)
def test_parameters_without_files_are_small(path):
    assert ask(reads, [bytes(64 << 10)], path=path)[0] == 200
    status, body = ask(reads, [bytes(64 << 10), b"1"], path=path)
    assert status == 413
    assert json.loads(body)["detail"] == "The request is too large; at most 64 kB are taken here."


def test_a_stated_length_over_the_limit_is_refused_unread():
    assert ask(unread, headers=[("content-length", str(1 << 40))])[0] == 413


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://segpet.example:8000", 200),
        ("https://viewer.example", 200),
        ("http://viewer.example", 403),
        ("http://segpet.example", 403),
        ("http://segpet.example:8000.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
def test_only_its_own_and_named_origins_may_change_things(origin, status):
    headers = [("origin", origin), ("host", "segpet.example:8000")]
    known = {"origins": ["https://viewer.example"], "hosts": ["segpet.example"]}
    assert ask(reads, headers=headers, **known)[0] == status
    assert ask(reads, headers=headers, method="GET", **known)[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("SegPET.example:8000", 200),
        ("viewer.example", 200),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("10.0.0.7:8000", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_a_name_that_was_led_here_by_its_owner_reads_and_changes_nothing(host, status, method):
    headers = [("host", host), ("origin", f"http://{host}")]
    known = {"origins": ["https://viewer.example"], "hosts": ["segpet.example"]}
    assert ask(reads, headers=headers, method=method, **known)[0] == status


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("MONAI_LABEL_RELOAD_APP_LIB", "false")  # the import sets it, for good
    from apps.segpet.server import api

    return api


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 503), (errno.ENOENT, 500)])
def test_an_upload_for_which_there_is_no_room_is_told_and_logged(api, caplog, monkeypatch, number, status):
    def full(*_, **__):
        raise OSError(number, "Doe_Jane")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    client = TestClient(Shield(api), "http://localhost", raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR):
        reply = client.put("/datastore/label?image=x", files={"label": bytes(2 << 20)})
    assert reply.status_code == status
    assert reply.json()["detail"] == status_and_sentence(OSError(number, ""))[1]
    assert "Error at" in caplog.text
    assert "Doe_Jane" not in reply.text + caplog.text


def test_a_form_that_is_none_is_the_clients_fault(api):
    client = TestClient(Shield(api), "http://localhost")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.put("/datastore/label?image=x", content=b"no form", headers=kind).status_code == 400


def test_a_failure_says_nothing_of_the_inside(api, caplog, monkeypatch):
    monkeypatch.setattr(work, "app_instance", _fails)
    client = TestClient(Shield(api), "http://localhost", raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR):
        reply = client.get("/info/")
    assert reply.status_code == 500
    assert reply.json()["detail"].endswith("its log says where.")
    assert "Doe_Jane" not in reply.text + caplog.text
    assert "KeyError" in caplog.text
    assert "test_shield.py" in caplog.text


def _fails():
    raise KeyError("Doe_Jane")
