"""The next study by strategy, through the real server: scores in the background, tracers, open studies."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from serving import Server
from small_network import small_seganypet

from lib.learning.next_study import StudyScores
from lib.network import save_network
from tests.learning.small_studies import write_studies

OF_FDG = ("p0", "p3")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    write_studies(folder / "studies", 5, labelled=0)
    for study in OF_FDG:
        sidecar = '{"Units": "g/mL", "TracerName": "FDG", "TracerRadionuclide": "F18"}'
        (folder / "studies" / f"{study}.json").write_text(sidecar)
    (folder / "studies/broken.nii.gz").write_bytes(b"no image")
    save_network(small_seganypet(), folder / "small.safetensors")
    server = Server(folder, model=folder / "small.safetensors", unit="SUVbw", labels="lesion")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def nobody_is_at_work(server):
    """End what former proposals have lent."""
    shutil.rmtree(server.state / "leases")
    (server.state / "leases").mkdir()


@pytest.fixture(scope="module")
def scores(server):
    """The scores of the five studies, as the background leaves them."""
    assert requests.post(f"{server.url}/activelearning/uncertain", json={}, timeout=10).ok
    kept = StudyScores(server.state / "scores")
    for _ in range(900):
        found = {f"p{n}": kept.get(f"p{n}", server.studies / f"p{n}.nii.gz") for n in range(5)}
        if all(found.values()):
            return found
        time.sleep(0.2)
    raise AssertionError(server.log.read_text()[-2000:])


def sample(server, strategy="uncertain", **request):
    reply = requests.post(f"{server.url}/activelearning/{strategy}", json=request, timeout=30)
    assert reply.ok, reply.text
    return reply.json()


def proposed(server, strategy="uncertain", **request):
    return sample(server, strategy, **request).get("id")


def test_before_anything_is_scored_a_study_of_the_tracer_comes_and_the_reply_says_how(server):
    found = sample(server, "mixed", tracer="FDG")
    assert found["id"] in OF_FDG
    assert (found["chosen_by"], "has a score yet" in found["why"]) == ("random", True)
    body = {"strategy": "mixed", "client": "reader", "tracer": "fdg"}
    told = requests.post(f"{server.url}/segpet/next", json=body, timeout=30).json()
    assert (told["chosen_by"], told["why"], told["study"]["open"]) == ("random", found["why"], [])


def test_uncertain_proposes_by_the_scores_that_lie_in_the_state_folder(server, scores):
    order = sorted(scores, key=lambda study: (-scores[study].disagreement, study))
    found = sample(server)
    assert (found["id"], found["chosen_by"], found["why"]) == (order[0], "uncertain", "")
    assert proposed(server, but_not=order[:2]) == order[2]
    assert proposed(server, but_not=list(scores)) is None  # the broken one is not to be labelled
    info = requests.get(f"{server.url}/info/", timeout=10).json()
    assert set(info["strategies"]) == {"random", "uncertain", "mixed"}
    assert {one.weights for one in scores.values()} == {one.weights for one in scores.values() if one.weights}


@pytest.mark.parametrize("strategy", ["random", "uncertain", "mixed"])
def test_only_studies_of_the_asked_tracer_come(server, scores, strategy):
    assert {proposed(server, strategy, tracer="FDG") for _ in range(6)} <= set(OF_FDG)
    assert proposed(server, strategy, tracer="PSMA-11") is None


@pytest.mark.parametrize("strategy", ["random", "uncertain", "mixed"])
def test_a_study_that_one_annotator_has_open_is_not_proposed_to_another(server, scores, strategy):
    listed = requests.get(f"{server.url}/segpet/studies", timeout=30).json()["studies"]
    uids = {one["title"]: one["id"] for one in listed}
    names = [f"p{n}" for n in range(4)]
    for name in names:
        requests.put(f"{server.url}/segpet/studies/{uids[name]}/sessions/first", json={}, timeout=60)
    try:
        body = {"strategy": strategy, "client": "second"}
        reply = requests.post(f"{server.url}/segpet/next", json=body, timeout=30).json()
        assert reply["study"]["title"] == "p4"
        assert proposed(server, strategy, client_id="second") == "p4"
        reply = requests.post(f"{server.url}/segpet/next", json=body | {"current": uids["p4"]}, timeout=30)
        assert reply.json() == {"study": None, "open_elsewhere": 4}
        assert proposed(server, strategy, client_id="first", but_not=["p4"]) in names
    finally:
        for name in names:
            requests.delete(f"{server.url}/segpet/studies/{uids[name]}/sessions/first/seen", timeout=30)


@pytest.mark.parametrize("strategy", ["random", "uncertain", "mixed"])
def test_two_annotators_who_ask_at_once_are_sent_to_different_studies(server, scores, strategy):
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda n: proposed(server, strategy, client_id=f"reader {n}"), range(5)))
    assert sorted(found) == sorted(scores)
    assert proposed(server, strategy, client_id="a sixth") is None
    assert proposed(server, strategy, client_id="reader 3") == found[3]


@pytest.mark.parametrize(("tracer", "status"), [(3, 422), ("F" * 100, 422)])
def test_a_tracer_that_is_no_name_is_refused(server, tracer, status):
    reply = requests.post(f"{server.url}/activelearning/random", json={"tracer": tracer}, timeout=10)
    assert reply.status_code == status, reply.text


def test_a_study_whose_image_changed_is_passed_over_until_it_is_scored_again(server, scores):
    order = sorted(scores, key=lambda study: (-scores[study].disagreement, study))
    os.utime(server.studies / f"{order[0]}.nii.gz")
    found = sample(server)
    assert (found["id"], found["chosen_by"]) == (order[1], "uncertain")
