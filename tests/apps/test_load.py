"""One server under load: health, log, queue, clients that leave, memory that runs out, and the stop."""

import json
import re
import resource
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import requests
from panel_client import PanelClient, RefusedError, lps
from serving import LABELS, Server, save_studies

from apps.segpet.routes import health
from scripts.bench_load import run_load

#: Voxels of a study that does not fit, float32: as a file it takes no room, being a hole.
GIANT = (512, 512, 400)


class Loaded(Server):
    """Logs JSON, and knows its process."""

    def __init__(self, folder, **conf):
        super().__init__(folder, **conf)
        self._command += ["--log-format", "json"]

    @property
    def process(self):
        return self._process

    def lines(self):
        """What is in the log now, each line as JSON; what could not be read is a failure."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def requests(self, route, status, least=1):
        """The log's requests of a route that got a status; it waits for as many: a line follows its reply."""
        until = time.monotonic() + 30
        while True:
            lines = self.lines()
            found = [line for line in lines if (line.get("route"), line.get("status")) == (route, status)]
            if len(found) >= least or time.monotonic() > until:
                return found
            time.sleep(0.05)

    def propose(self, client, **options):
        """Ask for proposals: the longest work that one request can ask for."""
        params = {"params": json.dumps({"client_id": client})}
        return requests.post(
            f"{self.url}/infer/segpet_auto?image=Doe_Jane&output=json", data=params, **options
        )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, weights, phantom):
    folder = tmp_path_factory.mktemp("loaded")
    save_studies(folder, ("Doe_Jane", "second", "third", "fourth", "fifth"), phantom.volume)
    write_hole(folder / "studies/giant.nii")
    server = Loaded(folder, model=weights, unit="SUVbw", labels=",".join(LABELS[1:]), impression="none")
    try:
        yield server.start()
    finally:
        server.stop()


def write_hole(path):
    """Write a NIfTI file whose voxels are a hole in it, all 0."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape(GIANT)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header.set_sform(np.diag([-1.0, -1.0, 2.0, 1.0]), 1)
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        file.truncate(352 + 4 * int(np.prod(GIANT)))


@pytest.fixture(scope="module")
def points(phantom, lesions):
    return [lps(phantom.volume.affine, voxel) for voxel in lesions]


@pytest.fixture
def tight(loaded):
    """Limits of the server's process, as `setrlimit` has them; taken back afterwards."""

    def limit(kind, size):
        resource.prlimit(loaded.process.pid, kind, (size, resource.RLIM_INFINITY))

    yield limit
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        limit(kind, resource.RLIM_INFINITY)


def test_health_tells_nothing_and_ready_tells_why_not(loaded, tight):
    told = requests.get(f"{loaded.url}/health", timeout=5)
    assert (told.status_code, told.json()) == (200, {"status": "ok"})
    while (told := requests.get(f"{loaded.url}/ready", timeout=5)).status_code == 503:
        assert told.json()["reasons"] == ["The weights are being loaded."]
    assert told.json() == {"ready": True, "reasons": []}
    for path in ("/health", "/ready"):
        assert requests.head(f"{loaded.url}{path}", timeout=5).status_code == 200
    tight(resource.RLIMIT_FSIZE, 0)  # what a full disk is to a process
    told = requests.get(f"{loaded.url}/ready", timeout=5)
    assert told.status_code == 503
    assert told.json()["ready"] is False
    assert "cannot be written" in told.json()["reasons"][0]
    assert str(loaded.folder) not in told.text


def test_ready_looks_also_where_uploads_lie(monkeypatch, tmp_path):
    options = SimpleNamespace(read_only=False, state=SimpleNamespace(path=tmp_path))
    app = SimpleNamespace(network=SimpleNamespace(state="ready"), options=options, studies=str(tmp_path))
    monkeypatch.setattr(health, "app_instance", lambda: app)
    assert health._reasons() == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    (reason,) = health._reasons()
    assert "cannot be written" in reason


def test_each_request_is_a_line_with_its_route_and_a_pseudonym(loaded, points):
    panel = PanelClient(loaded.url, "Doe_Jane", "Smith").open().click(points[0])
    requests.get(f"{loaded.url}/no/such/Doe_Jane", timeout=10)
    panel.save("draft")
    session = "/segpet/studies/{uid}/sessions/{client}"
    clicks = loaded.requests(f"{session}/clicks", 200)
    assert [line["method"] for line in clicks] == ["POST"]
    assert loaded.requests("-", 404)
    assert loaded.requests(f"{session}/label", 200)
    lines = loaded.lines()
    assert clicks[0]["ms"] > clicks[0]["wait_ms"] >= 0
    assert re.fullmatch("[0-9a-f]{8}", clicks[0]["client"])
    of_session = {line["client"] for line in lines if "{client}" in str(line.get("route"))}
    assert of_session == {clicks[0]["client"]}
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    assert not any("/health" in str(line.get("route")) for line in lines)
    for name in ("Doe", "Smith", panel.study_url.rsplit("/", 1)[1]):
        assert name not in loaded.log.read_text()


def test_a_full_share_is_refused_with_a_time_and_others_go_on(loaded, points):
    panel = PanelClient(loaded.url, "second", "patient-clicker").open()
    with ThreadPoolExecutor(24) as crowd:
        many = [crowd.submit(loaded.propose, "greedy", timeout=120) for _ in range(24)]
        time.sleep(0.3)
        begun = time.monotonic()
        panel.click(points[0])
        took = time.monotonic() - begun
        slowest = max(_timed_health(loaded) for _ in range(5))
        unanswered = sum(not one.done() for one in many)
        replies = [one.result() for one in many]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert {reply.status_code for reply in replies} == {200, 429}
    assert 10 <= len(refused) <= 20  # one is worked on, eight wait
    for reply in refused:
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
        assert "8 requests of yours wait already; nothing is lost" in reply.json()["detail"]
    assert unanswered, f"the click came after all proposals, in {took:.1f} s"
    assert slowest < 1
    assert panel.objects
    answered = loaded.requests("/infer/{model}", 200, least=len(many) - len(refused))
    assert max(line["wait_ms"] for line in answered) > 0


def _timed_health(server):
    begun = time.monotonic()
    assert requests.get(f"{server.url}/health", timeout=5).ok
    return time.monotonic() - begun


def test_what_a_client_asked_that_left_before_its_turn_is_not_done(loaded):
    journal = loaded.state / "journal"
    with ThreadPoolExecutor(24) as crowd:  # each has its turn before: six are done in 0.3 s at times
        before = [crowd.submit(loaded.propose, f"someone-{n}", timeout=120) for n in range(24)]
        time.sleep(0.2)
        body = b"params=" + json.dumps({"client_id": "impatient"}).encode()
        with socket.create_connection(("127.0.0.1", loaded.port)) as connection:
            connection.sendall(
                b"POST /infer/segpet_auto?image=second HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            time.sleep(0.1)
        assert all(one.result().ok for one in before)
    assert len(loaded.requests("/infer/{model}", 499)) == 1
    kept = "".join(path.read_text() for path in journal.rglob("*") if path.is_file())
    assert '"someone-0"' in kept
    assert "impatient" not in kept


def test_memory_that_runs_out_is_a_sentence_and_the_next_click_works(loaded, points, tight):
    panel = PanelClient(loaded.url, "third", "in-memory").open().click(points[0])
    tight(resource.RLIMIT_AS, psutil.Process(loaded.process.pid).memory_info().vms + (160 << 20))
    with pytest.raises(RefusedError, match="no memory left"):
        PanelClient(loaded.url, "giant", "in-memory")
    params = {"params": json.dumps({"lesion": [[1, 1, 1]]})}
    refused = requests.post(f"{loaded.url}/infer/suv_region?image=giant", data=params, timeout=60)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert len(panel.click(points[1]).objects) == 2  # read and encoded anew
    panel.post("undo")
    assert len(panel.objects) == 1


def test_a_team_at_work_sees_no_error(loaded, points):
    names = ("Doe_Jane", "second", "third", "fourth", "fifth")
    clicks, health = 0, 0
    for seed in range(10):  # once or twice, but on a machine that is busy with other things
        load = run_load(loaded.url, dict.fromkeys(names, points), 4, 3, loaded.process.pid, (0.1, 0.6), seed)
        assert load.faults == []
        # A click into a voxel that was clicked before is refused, and waits for nothing.
        assert len(load.waits) <= load.rows()["clicks"]
        clicks, health = clicks + len(load.waits), health + len(load.health)
        if clicks >= 8:
            break
    assert clicks >= 8
    assert health >= 4


def test_a_stop_answers_what_has_begun_refuses_the_rest_and_ends_with_0(loaded):
    with ThreadPoolExecutor(12) as crowd:  # more than is done before the stop comes
        many = [crowd.submit(loaded.propose, f"late-{n}", timeout=60) for n in range(12)]
        time.sleep(0.3)
        begun = time.monotonic()
        loaded.process.terminate()
        replies = [one.result() for one in many]
    status = loaded.process.wait(timeout=15)
    assert status == 0
    assert time.monotonic() - begun < 12
    assert {reply.status_code for reply in replies} == {200, 503}
    for reply in replies:
        if reply.status_code == 503:
            assert "stopping; nothing is lost" in reply.json()["detail"]
            assert int(reply.headers["Retry-After"]) > 0
    assert [line["event"] for line in loaded.lines()][-1] == "Stopped."
