"""Training through the real server with MONAI Label's client: start, watch, stop, kill, resume, promote."""

import json
import time

import pytest
import requests
from monailabel.client.client import MONAILabelClientException
from serving import Server
from small_network import small_seganypet

from lib.network import save_network
from tests.learning.small_studies import write_studies

RECIPE = {"mode": "decoder", "max_epochs": 2, "seed": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_studies(folder / "studies", 6, labelled=4)
    save_network(small_seganypet(), folder / "small.safetensors")
    server = Server(folder, model=folder / "small.safetensors", unit="SUVbw", labels="lesion")
    try:
        yield server.start()
    finally:
        requests.delete(f"{server.url}/train/", timeout=10)
        server.stop()


def learning(server):
    return requests.get(f"{server.url}/segpet/training", timeout=30).json()


def until(server, wanted, seconds=240):
    """Wait until the training is as wanted; the statuses and stages on the way."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        training = learning(server)["training"]
        if seen[-1:] != [(training["status"], training["stage"])]:
            seen.append((training["status"], training["stage"]))
        if wanted(training):
            return seen
        time.sleep(0.1)
    raise AssertionError(f"waited in vain: {seen}")


def weights_of(server, study, client):
    """The digest of what answers a click."""
    clicks = {"lesion": [[8, 8, 8]], "background": [], "client_id": client}
    reply = requests.post(
        f"{server.url}/infer/segpet?image={study}&output=json",
        data={"params": json.dumps(clicks)},
        timeout=60,
    )
    assert reply.ok, reply.text
    return reply.json()["weights"]["digest"]


def test_a_team_s_labels_become_weights_that_answer(server):
    client = server.client()
    with pytest.raises(MONAILabelClientException):
        client.train_status()
    base = weights_of(server, "p5", "early")

    started = client.train_start("segpet", RECIPE)
    assert started["status"] == "RUNNING"
    assert client.train_status(check_if_running=True)
    again = requests.post(f"{server.url}/train/segpet", json=RECIPE, timeout=10)
    assert (again.status_code, "running already" in again.json()["detail"]) == (429, True)

    until(server, lambda training: training["stage"] not in ("starting", "reading"))
    assert learning(server)["training"]["mode"] == "decoder"
    assert weights_of(server, "p4", "during") == base
    client.train_stop()
    until(server, lambda training: training["status"] == "stopped")
    assert client.train_status()["status"] == "STOPPED"
    assert not client.train_status(check_if_running=True)

    server.kill()
    server.start()
    assert learning(server)["training"]["status"] == "stopped"
    assert weights_of(server, "p5", "early") == base
    resumed = requests.post(f"{server.url}/segpet/training", json={"resume": True}, timeout=10)
    assert resumed.json()["training"]["status"] == "running"
    until(server, lambda training: training["stage"] != "starting")
    server.kill()  # the training goes on without it
    server.start()
    stages = until(server, lambda training: training["status"] != "running")
    assert stages[-1][0] == "done", (stages, server.log.read_text()[-500:])
    assert learning(server)["training"]["curve"][0]["epoch"] == 0

    told = learning(server)
    (version,) = told["versions"]
    assert version["studies"] == {"training": 2, "validation": 2}
    assert set(version["after"]) == {"1", "3", "5"}
    assert (told["champion"], told["training"]["promoted"]) == (
        None,
        False,
    )  # two patients are too few
    assert "the rule asks for 3" in told["training"]["message"]

    assert weights_of(server, "p5", "early") == base
    promoted = requests.post(f"{server.url}/segpet/weights/promote", json={"version": 1}, timeout=60).json()
    assert (promoted["champion"], promoted["answers"]["version"]) == (1, 1)
    assert weights_of(server, "p5", "late") == version["digest"] == promoted["answers"]["digest"]
    assert weights_of(server, "p5", "early") == base  # an open session finishes on its own
    rolled = requests.post(f"{server.url}/segpet/weights/rollback", json={}, timeout=60).json()
    assert (rolled["champion"], rolled["answers"]["digest"]) == (None, base)
    assert "p0" not in json.dumps(rolled)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/train/segpet", {"mode": "magic"}, 422, "mode must be one of"),
        ("/train/segpet", {"max_epochs": "many"}, 422, "whole number"),
        ("/train/other", {}, 404, "there are segpet"),
        ("/segpet/training", {"mode": "magic"}, 422, "malformed"),
        ("/segpet/training", {"unheard": 1}, 422, "malformed"),
        ("/segpet/weights/promote", {"version": 99}, 404, "no version 99"),
        ("/segpet/weights/promote", {}, 422, "malformed"),
        ("/segpet/weights/rollback", {}, 409, "nothing to roll back"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(server, path, body, status, said):
    reply = requests.post(f"{server.url}{path}", json=body, timeout=30)
    assert reply.status_code == status, reply.text
    assert said in reply.json()["detail"]


def test_a_form_of_another_page_starts_no_training(server):
    reply = requests.post(f"{server.url}/segpet/training", data={"resume": "true"}, timeout=10)
    assert reply.status_code == 415
