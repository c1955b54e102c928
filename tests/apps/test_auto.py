"""Proposals over HTTP: without weights on a server of its own, with the network on the common one."""

import json
import time

import numpy as np
import pytest
import requests
from serving import LABELS, Server, parse_nrrd, save_image

from lib.pet import read_mask, write_mask

HOT = ([20, 20, 20], [20, 34, 44])
FAINT = [34, 20, 44]
GRID = np.diag([4.0, 4.0, 4.0, 1.0])


def image():
    """Tissue with two hot balls and a faint one."""
    values = np.full((56, 56, 64), 0.8, np.float32)
    at = np.moveaxis(np.indices(values.shape), 0, -1)
    for centre, suv in ((HOT[0], 9.0), (HOT[1], 7.0), (FAINT, 2.0)):
        away = np.linalg.norm((at - centre) * 4.0, axis=-1)
        values[away <= 12] = (suv - 0.01 * away)[away <= 12]
    return values


def save_mapped(studies):
    """Save a study of FDG whose organ map says that the hottest ball is the brain."""
    save_image(studies / "mapped.nii.gz", image(), GRID)
    (studies / "mapped.json").write_text(json.dumps({"TracerName": "FDG", "Units": "Bq/mL"}))
    brain = np.zeros(image().shape, np.uint8)
    brain[14:27, 14:27, 14:27] = 1
    (studies / "organs/mapped").mkdir(parents=True)
    write_mask(studies / "organs/mapped/brain.nii.gz", brain, GRID)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server without weights."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "studies").mkdir()
    for name in ("one", "two", "three"):
        save_image(folder / f"studies/{name}.nii.gz", image(), GRID)
    (folder / "studies/broken.nii.gz").write_bytes(b"no image")
    save_mapped(folder / "studies")
    server = Server(folder, unit="SUVbw", labels="liver,lesion", model="none")
    try:
        yield server.start()
    finally:
        server.stop()


def clicked(client, study, **clicks):
    path, params = client.infer("suv_region", study, {**clicks, "result_extension": ".nrrd"})
    return read_mask(path)[0], params


def test_ohif_gets_all_proposals_as_raw_uint8_in_the_first_lesion_label(bare):
    options = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    reply = requests.post(
        f"{bare.url}/infer/segpet_auto?image=one&output=image",
        files={"params": (None, json.dumps({**options, "restore_label_idx": False}))},
    )
    assert reply.status_code == 200
    _, mask = parse_nrrd(reply.content)
    assert mask.shape == image().shape
    assert set(np.unique(mask)) == {0, 2}  # liver is 1, and no lesion
    assert all(mask[tuple(place)] == 2 for place in HOT)
    assert mask[tuple(FAINT)] == 0


def test_slicer_gets_proposed_objects_and_is_told_who_answered(bare):
    client = bare.client("slicer")
    info = client.info()["models"]["segpet_auto"]
    assert (info["type"], info["labels"]) == ("segmentation", {"background": 0, "liver": 1, "lesion": 2})
    _, params = client.infer("segpet_auto", "one", {**info["config"], "result_extension": ".nrrd"})
    assert [(obj["label"], obj["status"], obj["positive"]) for obj in params["objects"]] == [
        ("lesion", "proposed", [place]) for place in HOT
    ]
    assert params["weights"]["name"] == "suv_region"
    assert any("no weights" in warning for warning in params["warnings"])
    assert any("brain, heart" in warning for warning in params["warnings"])
    journal = [json.loads(line) for line in (bare.state / "journal/one.jsonl").read_text().splitlines()]
    last = [line for line in journal if line["client"] == "slicer"][-1]
    assert (last["event"], last["model"], len(last["objects"])) == ("proposed", "suv_region", 2)


def test_an_organ_map_leaves_normal_uptake_of_the_tracer_out(bare):
    _, params = bare.client("mapped").infer("segpet_auto", "mapped", {"result_extension": ".nrrd"})
    proposed = [obj["positive"] for obj in params["objects"]]
    assert [HOT[1]] in proposed and [HOT[0]] not in proposed
    assert any("organs that take up FDG" in warning for warning in params["warnings"])


def test_clicks_afterwards_correct_reject_and_add_and_are_undone(bare):
    client = bare.client("corrector")
    client.infer("segpet_auto", "one", {})
    with_third, params = clicked(client, "one", lesion=[FAINT])
    assert [obj["status"] for obj in params["objects"]] == ["proposed", "proposed", "draft"]
    assert all(with_third[tuple(place)] == 2 for place in (*HOT, FAINT))
    beside = [place + offset for place, offset in zip(HOT[0], (1, 0, 0), strict=True)]
    _, params = clicked(client, "one", lesion=[FAINT, beside])
    assert [obj["status"] for obj in params["objects"]] == ["draft", "proposed", "draft"]
    assert params["objects"][0]["positive"] == [HOT[0], beside]
    _, params = clicked(client, "one", lesion=[FAINT])  # undone
    assert [obj["status"] for obj in params["objects"]] == ["proposed", "proposed", "draft"]
    mask, params = clicked(client, "one", lesion=[FAINT], background=[HOT[1]])
    assert [obj["positive"] for obj in params["objects"]] == [[HOT[0]], [FAINT]]
    assert mask[tuple(HOT[1])] == 0
    _, params = client.infer("suv_region", "one", {"reset_state": True})
    assert params["objects"] == []


def test_a_batch_saves_originals_that_others_go_on_from_and_tells_what_failed(bare):
    reply = requests.post(f"{bare.url}/batch/infer/segpet_auto", json={"multi_gpu": True, "max_workers": 1})
    assert reply.status_code == 200
    for _ in range(200):
        state = requests.get(f"{bare.url}/batch/infer").json()
        if state["status"] != "RUNNING":
            break
        time.sleep(0.05)
    assert (state["status"], state["total"], state["finished"]) == ("DONE", 5, 5)
    assert list(state["failed"]) == ["broken"]
    assert requests.delete(f"{bare.url}/batch/infer").json()["status"] == "DONE"
    client = bare.client("a-new-annotator")
    mask, _ = read_mask(client.download_label("two", "original"))
    assert all(mask[tuple(place)] == 2 for place in HOT)
    info = client.datastore()["objects"]["two"]["labels"]["original"]["info"]
    assert info["params"]["label_names"]["lesion"] == 2  # Slicer's next sample reads it there
    assert bare.files().keys() >= {str(bare.studies / "labels/original/three.nrrd")}
    assert client.next_sample("random", {})  # an original is no finished label
    _, params = clicked(client, "two", lesion=[FAINT])
    assert len(params["objects"]) == 3


def test_a_batch_can_be_waited_for(bare):
    url = f"{bare.url}/batch/infer/segpet_auto?run_sync=true"
    results = requests.post(url, json={"images": ["three", "broken"]}).json()
    assert results["three"]["tag"] == "original"
    assert len(results["three"]["params"]["objects"]) == 2
    assert results["broken"]["error"]


def test_requests_for_a_batch_that_cannot_be_used_get_a_sentence(bare):
    def work():  # that somebody asked is in the audit log
        return {file: state for file, state in bare.files().items() if "/audit/" not in str(file)}

    before = work()
    for status, path, body in (
        (404, "nothing", {}),
        (422, "suv_region", {}),
        (422, "segpet", {}),
        (404, "segpet_auto", {"images": ["absent"]}),
        (404, "segpet_auto", {"images": [["one"]]}),
        (422, "segpet_auto", {"images": "magic"}),
        (422, "segpet_auto", {"images": {"one": 1}}),
        (422, "segpet_auto", {"label_tag": "final"}),
        (422, "segpet_auto", {"max_batch_size": "all"}),
    ):
        reply = requests.post(f"{bare.url}/batch/infer/{path}", json=body)
        assert reply.status_code == status, (path, body, reply.text)
        assert isinstance(reply.json()["detail"], str)
    reply = requests.post(
        f"{bare.url}/batch/infer/segpet_auto?run_sync=true",
        json={"images": ["one"], "result_extension": ".exe"},
    )
    assert "result_extension" in reply.json()["one"]["error"]
    assert work() == before


def test_the_network_answers_where_it_has_weights(server):
    client = server.client("auto")
    path, params = client.infer("segpet_auto", "Doe_Jane", {"result_extension": ".nrrd"})
    assert params["weights"]["name"] == "small"
    assert params["label_names"] == {name: value for value, name in enumerate(LABELS)}
    assert all(obj["status"] == "proposed" for obj in params["objects"])
    mask, _ = read_mask(path)
    # Random weights: what leaks or is empty is left out, and said.
    left_out = [warning for warning in params["warnings"] if "proposals left out" in warning]
    assert params["objects"] or left_out
    assert mask.any() == any(obj["voxels"] for obj in params["objects"])
