"""The short form of `segpet fuzz`, and that it would see what it looks for."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scripts.fuzzing.attacker import Attacker
from scripts.fuzzing.openapi import Known, told_of
from scripts.fuzzing.routes import Asked
from scripts.fuzzing.world import CANARY, World, changed

ROOT = Path(__file__).resolve().parents[2]
REPLIES = {
    "/fails": (500, "application/json", b'{"detail": "x"}'),
    "/leaks": (200, "text/plain", f"... {CANARY} ...".encode()),
    "/silent": (404, "application/json", b'{"detail": []}'),
    "/refuses": (422, "application/json", b'{"detail": "The voxel lies outside."}'),
    "/answers": (200, "application/octet-stream", b"\0"),
}


class Replies(http.server.BaseHTTPRequestHandler):
    """Answers each path of REPLIES, and hangs up on others."""

    def do_GET(self):
        if self.path in REPLIES:
            status, kind, content = REPLIES[self.path]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def attacker(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        known = Known(f"http://127.0.0.1:{server.server_port}", {}, (4, 4, 4), [[1, 1, 1]], ["1.2"])
        yield Attacker(known, tmp_path, seed=1)
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/fails", "status 500"),
        ("/leaks", "outside the studies"),
        ("/silent", "without a sentence"),
        ("/hangs-up", "no reply"),
    ],
)
def test_a_wrong_reply_is_a_fault_with_a_command_that_repeats_it(attacker, path, said):
    attacker.send(Asked("GET", path, {"Accept": "*/*"}, b"body"), "kind", 7)
    (fault,) = attacker.faults
    assert said in fault and "number 7" in fault
    assert f"-X GET -H 'Accept: */*' --data-binary @{attacker.folder}/body-1-7-0 " in fault
    assert fault.endswith(f"'{attacker.known.url}{path}'")
    assert (attacker.folder / "body-1-7-0").read_bytes() == b"body"


def test_an_answer_and_a_refusal_in_a_sentence_are_no_faults(attacker):
    for path in ("/refuses", "/answers"):
        attacker.send(Asked("GET", path, {}))
    assert attacker.faults == []
    assert attacker.replies == {("", 422): 1, ("", 200): 1}


def test_the_same_seed_makes_the_same_requests(attacker):
    names = ("image", "label", "tag", "model", "strategy", "uid", "study", "series", "instance")
    attacker.known.names.update({name: ["known"] for name in names})

    def sent():
        kept = []
        attacker.send = lambda asked, *_: kept.append(asked) or Replied
        for number in range(40):
            attacker.send_number(number)
        return kept

    class Replied:
        status, body = 404, b""

    assert sent() == sent()


def test_a_file_outside_the_studies_labels_and_the_state_is_seen(tmp_path):
    world = World(tmp_path)
    for folder in ("studies/labels/final", "state/journal", "home"):
        (tmp_path / folder).mkdir(parents=True)
    before = world.seen()
    for allowed in ("studies/labels/final/one.nii.gz", "state/journal/one.jsonl"):
        (tmp_path / allowed).write_text("x")
    assert changed(before, world.seen()) == []
    (tmp_path / "home/evil").write_text("x")
    (tmp_path / "studies/evil").mkdir()
    assert changed(before, world.seen()) == [f"{tmp_path}/home/evil", f"{tmp_path}/studies/evil"]


def test_schemathesis_gets_names_that_there_are():
    operation = {"parameters": [{"name": "uid", "schema": {"type": "string"}}, {"name": "x", "schema": {}}]}
    known = Known("", {"uid": ["1.2"]}, (1, 1, 1), [], [])
    told = told_of({"paths": {"/": {"get": operation}}}, known)
    uid, other = told["paths"]["/"]["get"]["parameters"]
    assert {"enum": ["1.2"]} in uid["schema"]["anyOf"] and {"type": "string"} in uid["schema"]["anyOf"]
    assert other["schema"] == {}


def test_strange_requests_break_nothing():
    command = [sys.executable, "-P", "-m", "scripts", "fuzz", "--minutes", "0.16", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Schemathesis v" in done.stdout  # its verdict is in the status; a slow machine may finish no check
    assert "Nothing broke" in done.stdout
