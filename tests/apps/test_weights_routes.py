"""Promotion and rollback at the real server where cards or weights are damaged, and options of trainings."""

import json

import pytest
import requests
from serving import Server
from small_network import tiny_compact

from lib.network import save_network
from lib.store import Models
from tests.learning.small_studies import write_studies

CARD = {"mode": "decoder", "data": {"training": ["p0"]}, "validation": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose registry has versions 1 and 2, and three that are damaged, each in another way."""
    folder = tmp_path_factory.mktemp("weights")
    write_studies(folder / "studies", 2, labelled=0)
    server = Server(folder, model=folder / "base.safetensors", unit="SUVbw", labels="lesion")
    save_network(tiny_compact(), folder / "base.safetensors")
    models = Models(server.state / "models")
    for seed in range(5):
        save_network(tiny_compact(seed), folder / "tuned.safetensors")
        models.add(folder / "tuned.safetensors", CARD)
    (server.state / "models/3/card.json").write_text("junk")
    path = models.version(4).path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    path = models.version(5).path
    path.write_bytes(path.read_bytes()[:-100])
    try:
        yield server.start()
    finally:
        server.stop()


def learning(server):
    reply = requests.get(f"{server.url}/segpet/training", timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.json()


def post(server, path, **body):
    return requests.post(f"{server.url}/segpet/{path}", json=body, timeout=60)


def test_a_damaged_card_hides_no_other_version_and_keeps_none_from_answering(server):
    told = learning(server)
    assert ([one["version"] for one in told["versions"]], told["damaged"]) == ([5, 4, 2, 1], [3])
    told = post(server, "weights/promote", version=2).json()
    assert (told["champion"], told["answers"]["version"], told["fault"]) == (2, 2, "")
    told = post(server, "weights/rollback").json()
    assert (told["champion"], told["answers"]["version"], told["damaged"]) == (None, None, [3])


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_damaged_version_is_not_promoted_and_nothing_changes(server, version):
    post(server, "weights/promote", version=1)
    reply = post(server, "weights/promote", version=version)
    said = f"Version {version} of the weights is damaged: restore it from a backup."
    assert (reply.status_code, reply.json()["detail"]) == (409, said)
    told = learning(server)
    assert (told["champion"], told["answers"]["version"]) == (1, 1)


def test_a_card_that_holds_anything_is_damaged(server):
    card = server.state / "models/2/card.json"
    kept = card.read_text()
    try:
        for wrong in ([1], {"validation": [1]}, {"validation": {"before": {"p": 3}}}, {"data": "x"}):
            card.write_text(json.dumps({**json.loads(kept), "card": wrong}))
            assert learning(server)["damaged"] == [3, 2]
    finally:
        card.write_text(kept)


def test_a_champion_that_cannot_answer_is_told_with_the_reason(server):
    post(server, "weights/promote", version=1)
    champions = server.state / "models/champion.json"
    champions.write_text('{"champions":[1,5]}')
    told = learning(server)
    assert (told["champion"], told["answers"]["version"]) == (5, 1)
    assert told["fault"].startswith("Version 5 of the weights is damaged")
    told = post(server, "weights/rollback").json()
    assert (told["champion"], told["fault"]) == (1, "")
    champions.write_text("junk")
    assert "segpet doctor" in learning(server)["fault"]
    assert post(server, "weights/promote", version=2).status_code == 503
    assert post(server, "weights/rollback").status_code == 503
    champions.write_text('{"champions":[1]}')


def test_a_damaged_registry_of_adapters_does_not_hide_the_weights(server):
    adapters = server.state / "adapters"
    (adapters / "1").mkdir()
    (adapters / "champion.json").write_text("junk")
    told = learning(server)
    assert (told["impression"]["damaged"], "segpet doctor" in told["impression"]["fault"]) == ([1], True)
    assert len(told["versions"]) == 4


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("train/segpet", {"labels": {"a": 1}}, "labels must be one of"),
        ("train/segpet", {"epochs": 3}, "no option 'epochs'"),
        ("train/segpet", {"segpet": {"labels": []}}, "labels must be one of"),
        ("train/", {"segpet": {"rate": 5}}, "no option 'rate'"),
        ("segpet/training", {"tracer": "a\nb"}, "tracer must be a name"),
        ("segpet/training", {"tracer": "x" * 65}, "malformed"),
    ],
)
def test_a_training_that_cannot_be_meant_is_refused(server, path, body, said):
    reply = requests.post(f"{server.url}/{path}", json=body, timeout=30)
    assert (reply.status_code, said in reply.json()["detail"]) == (422, True), reply.text


def test_the_panel_may_say_the_tracer_and_what_was_refused_is_not_in_the_audit_log(server):
    def events():
        files = (server.state / "audit").glob("*.jsonl")
        return [json.loads(line)["event"] for file in files for line in file.read_text().splitlines()]

    assert requests.post(f"{server.url}/train/segpet", json={"epochs": 3}, timeout=30).status_code == 422
    assert requests.delete(f"{server.url}/train/", timeout=30).ok
    assert not {"training started", "training stopped"} & set(events())
    assert post(server, "training", tracer="FDG").ok
    post(server, "training/stop")
    request = json.loads((server.state / "training/request.json").read_text())
    assert request == {"trainer": "segpet", "tracer": "FDG"}
    assert "training started" in events() and "training stopped" in events()
