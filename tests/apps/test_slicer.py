"""The server driven by MONAI Label's own client class, with the parameters that 3D Slicer's module builds."""

import gzip
import json
import re

import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClientException
from serving import LABELS, ROOT, Server, save_image

from lib.pet import make_phantom, read_mask, read_volume
from scripts.demo import PATIENTS

STUDY = "Doe_Jane"


def deepedit(client, model, study, session_id=None, **clicks):
    """What Slicer sends: a list for each of the app's labels, the current label, the model's options."""
    info = client.info()
    params = {name: clicks.get(name, []) for name in info["labels"]}
    params["label"] = next(iter(clicks), "lesion")
    options = info["models"][model]["config"]
    params |= {key: value[0] if isinstance(value, list) else value for key, value in options.items()}
    params |= {"result_extension": ".nrrd", "result_dtype": "uint8"}
    path, params = client.infer(model, study, params, session_id=session_id)
    return read_mask(path)[0], params


def deepgrow(client, model, study, label, foreground, background=()):
    params = {"label": label, "foreground": foreground, "background": list(background)}
    params |= {"result_extension": ".nrrd", "result_dtype": "uint8"}
    path, params = client.infer(model, study, params)
    return read_mask(path)[0], params


def test_info_offers_both_click_tools_and_lists_background(server):
    info = server.client().info()
    assert info["labels"] == list(LABELS)
    types = {name: model["type"] for name, model in info["models"].items()}
    assert types == {
        "segpet": "deepedit",
        "segpet_click": "deepgrow",
        "segpet_auto": "segmentation",
        "suv_region": "deepedit",
        "impression": "others",
    }
    assert info["models"]["segpet"]["labels"] == {name: value for value, name in enumerate(LABELS)}
    assert "random" in info["strategies"]


def test_the_next_study_is_one_of_the_studies(server):
    client = server.client()
    sample = client.next_sample("random", {})
    assert sample["id"] in client.datastore()["objects"]


def test_a_click_gives_the_lesion_on_the_grid_of_the_study(server, lesions, phantom):
    mask, params = deepedit(server.client("one-click"), "suv_region", STUDY, lesion=[lesions[0]])
    assert mask.shape == phantom.volume.shape
    assert set(np.unique(mask)) == {0, 1}
    truth = phantom.lesions == 1
    assert (mask[truth] == 1).mean() > 0.5
    assert params["label_names"] == {name: value for value, name in enumerate(LABELS)}
    assert params["unit"] == "SUVbw"
    assert params["objects"][0]["suv_max"] == pytest.approx(phantom.volume.array[mask > 0].max())
    assert {"read", "encode", "decode", "mask", "write", "total"} <= params["latencies"].keys()
    assert params["weights"]["name"] == "suv_region"
    assert params["regions"][0]["click"] == lesions[0]


def test_two_lesions_are_two_objects_and_one_taken_back_is_gone(server, lesions):
    client = server.client("two-lesions")
    both, params = deepedit(client, "suv_region", STUDY, lesion=lesions[:2])
    assert [obj["label"] for obj in params["objects"]] == ["lesion", "lesion"]
    assert len({obj["uid"] for obj in params["objects"]}) == 2
    one, params = deepedit(client, "suv_region", STUDY, lesion=lesions[:1])
    assert len(params["objects"]) == 1
    assert 0 < np.count_nonzero(one) < np.count_nonzero(both)
    none, params = deepedit(client, "suv_region", STUDY)
    assert params["objects"] == []
    assert not none.any()


def test_several_labels_come_in_one_reply(server, lesions, phantom):
    liver = [int(at) for at in np.argwhere(phantom.labels == 1).mean(axis=0).round()]
    mask, params = deepedit(server.client("labels"), "suv_region", STUDY, lesion=[lesions[0]], liver=[liver])
    assert mask[tuple(lesions[0])] == LABELS.index("lesion")
    assert mask[tuple(liver)] == LABELS.index("liver")
    assert {obj["label"] for obj in params["objects"]} == {"lesion", "liver"}


def test_a_background_click_takes_away(server, lesions, phantom):
    client = server.client("background")
    liver = [int(at) for at in np.argwhere(phantom.labels == 1).mean(axis=0).round()]
    before, _ = deepedit(client, "suv_region", STUDY, liver=[liver])
    taken = [int(at) for at in np.argwhere(before > 0)[0]]
    after, params = deepedit(client, "suv_region", STUDY, liver=[liver], background=[taken])
    assert before[tuple(taken)]
    assert not after[tuple(taken)]
    assert after[tuple(liver)]
    assert params["objects"][0]["negative"] == [taken]


@pytest.mark.parametrize("model", ["segpet", "segpet_click", "suv_region"])
def test_every_model_answers_several_labels_by_name(server, lesions, model):
    client = server.client(f"several-{model}")
    _, params = deepedit(client, model, STUDY, lesion=[lesions[0]], liver=[lesions[1]])
    assert {obj["label"] for obj in params["objects"]} == {"lesion", "liver"}
    assert params["label_names"] == {name: value for value, name in enumerate(LABELS)}


@pytest.mark.parametrize("model", ["segpet", "segpet_click", "suv_region"])
def test_every_model_answers_both_forms(server, lesions, model):
    client = server.client(f"forms-{model}")
    by_name, _ = deepedit(client, model, STUDY, lesion=[lesions[0]])
    by_ground, _ = deepgrow(client, model, STUDY, "lesion", [lesions[0]])
    np.testing.assert_array_equal(by_name, by_ground)


def test_a_deepgrow_result_is_1_whatever_the_label(server, lesions):
    mask, params = deepgrow(server.client("deepgrow"), "segpet_click", STUDY, "liver", [lesions[0]])
    assert set(np.unique(mask)) <= {0, 1}
    assert params["label_names"] == {"background": 0, "liver": 1}
    assert params["objects"][0]["label"] == "liver"


def test_labels_clicked_one_by_one_do_not_undo_each_other(server, lesions):
    client = server.client("one-by-one")
    _, first = deepgrow(client, "segpet_click", STUDY, "lesion", [lesions[0]])
    deepgrow(client, "segpet_click", STUDY, "liver", [lesions[1]])
    _, again = deepgrow(client, "segpet_click", STUDY, "lesion", [lesions[0]])
    assert again["objects"] == first["objects"]


def test_the_network_answers_and_is_named(server, lesions):
    client = server.client("network")
    first, params = deepedit(client, "segpet", "brighter", lesion=[lesions[3]])
    assert params["weights"]["name"] == "small"
    assert params["latencies"]["encode"] > 0  # nobody else clicks in this image
    _, params = deepedit(client, "segpet", "brighter", lesion=[lesions[3]], background=[[1, 1, 1]])
    assert params["objects"][0]["negative"] == [[1, 1, 1]]
    fresh, params = deepedit(server.client("network-2"), "segpet", "brighter", lesion=[lesions[3]])
    np.testing.assert_array_equal(fresh, first)


def test_a_reset_begins_anew(server, lesions):
    client = server.client("reset")
    _, first = deepedit(client, "suv_region", STUDY, lesion=[lesions[0]])
    params = {"lesion": [lesions[0]], "reset_state": True}
    _, second = client.infer("suv_region", STUDY, params)
    assert second["objects"][0]["uid"] != first["objects"][0]["uid"]


def test_a_saved_label_comes_back_and_its_former_version_is_kept(server, lesions):
    client = server.client("saver")
    path, _ = client.infer("suv_region", "second", {"lesion": [lesions[0]], "result_extension": ".nii.gz"})
    first, _ = read_mask(path)
    saved = client.save_label("second", path, params={"label_info": [{"name": "lesion", "idx": 1}]})
    assert (saved["image"], saved["label"]) == ("second", "second")
    path, _ = client.infer("suv_region", "second", {"lesion": [], "result_extension": ".nrrd"})
    client.save_label("second", path, params={"label_info": []})  # a negative study: an empty mask

    back, _ = read_mask(client.download_label("second", "final"))
    assert not back.any()
    stored = client.datastore()["objects"]["second"]["labels"]["final"]
    assert stored["info"]["client_id"] == "saver"
    assert [path.name for path in (server.studies / "labels/final").iterdir()] == ["second.nrrd"]
    old, _ = read_mask(server.state / "labels/second/1/mask.nii.gz")
    np.testing.assert_array_equal(old, first)
    journal = (server.state / "journal/second.jsonl").read_text()
    assert journal.count('"event":"save"') == 2


def test_slicers_names_are_those_of_the_values_though_it_counts_background(server, lesions, phantom):
    client = server.client("names")
    liver = [int(at) for at in np.argwhere(phantom.labels == 1).mean(axis=0).round()]
    clicks = {"lesion": [lesions[0]], "liver": [liver], "result_extension": ".nii.gz"}
    path, reply = client.infer("suv_region", "second", clicks)
    # The module has a segment `background` first; it counts it in `idx`, and saves the others as 1, 2, 3.
    told = [{"name": name, "idx": value + 1} for value, name in enumerate(LABELS) if value]
    client.save_label("second", path, params={"label_info": told})
    newest = max(
        (server.state / "labels/second").glob("*/version.json"), key=lambda one: int(one.parent.name)
    )
    saved = json.loads((newest.parent / "objects.json").read_text())["objects"]
    assert [(one["label"], one["uid"]) for one in saved] == [
        (one["label"], one["uid"]) for one in reply["objects"]
    ]
    assert all(one["steps"] for one in saved)


def test_what_the_manual_says_of_slicer_works_as_it_stands(tmp_path_factory, weights, tmp_path, monkeypatch):
    folder = tmp_path_factory.mktemp("manual")
    (folder / "studies").mkdir()
    name, seed, tracer = PATIENTS[0]
    image = make_phantom(seed, tracer=tracer).volume
    save_image(folder / f"studies/{name}.nii.gz", image.array, image.affine)
    save_image(tmp_path / "image.nii.gz", image.array, image.affine)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/slicer.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 7
    server = Server(folder, model=weights, unit="SUVbw")
    try:
        server.start()
        known = {}
        for block in blocks:
            exec(compile(block.replace("http://127.0.0.1:8000", server.url), "docs/slicer.md", "exec"), known)
    finally:
        server.stop()
    assert known["suv_max"] > 1


def test_a_label_on_another_grid_is_refused(server, lesions, phantom, tmp_path):
    save_image(tmp_path / "small.nii.gz", np.zeros((4, 4, 4), np.uint8), phantom.volume.affine)
    flipped = phantom.volume.affine @ np.diag([-1.0, 1, 1, 1])
    save_image(tmp_path / "flipped.nii.gz", np.zeros(phantom.volume.shape, np.uint8), flipped)
    save_image(tmp_path / "fractions.nii.gz", np.full(phantom.volume.shape, 0.5), phantom.volume.affine)
    (tmp_path / "torn.nii.gz").write_bytes(gzip.compress(b"no image"))
    before = server.files()
    for name, said in (
        ("small", "4 x 4 x 4"),
        ("flipped", "mm from the study's"),
        ("fractions", "whole numbers"),
        ("torn", "cannot be read"),
    ):
        with pytest.raises(MONAILabelClientException) as error:
            server.client().save_label("second", str(tmp_path / f"{name}.nii.gz"))
        assert "Status: 422" in error.value.msg
        assert said in error.value.msg
    assert server.files() == before


def test_infer_can_save_its_result_as_a_label(server, lesions):
    client = server.client("saving-infer")
    params = {
        "lesion": [lesions[0]],
        "save_label": True,
        "label_tag": "original",
        "result_extension": ".nii.gz",
    }
    path, reply = client.infer("suv_region", STUDY, params)
    back, _ = read_mask(client.download_label(STUDY, "original"))
    np.testing.assert_array_equal(back, read_mask(path)[0])
    info = client.datastore()["objects"][STUDY]["labels"]["original"]["info"]
    assert info["params"]["label_names"] == reply["label_names"]  # Slicer's next sample reads it there


def test_an_uploaded_image_can_be_clicked_in(server, lesions, phantom):
    client = server.client("uploader")
    session = client.create_session(str(server.studies / "second.nii.gz"))["session_id"]
    assert client.get_session(session)["name"] == session
    mask, _ = deepedit(client, "suv_region", "MRHead", session_id=session, lesion=[lesions[0]])
    assert mask.shape == phantom.volume.shape
    assert mask[tuple(lesions[0])] == 1
    assert (server.state / f"journal/{session}.jsonl").is_file()
    client.remove_session(session)
    assert not (server.state / f"journal/{session}.jsonl").exists()
    with pytest.raises(MONAILabelClientException):
        client.get_session(session)
    reply = requests.post(f"{server.url}/infer/suv_region?session_id={session}", data={"params": "{}"})
    assert reply.status_code == 404
    assert "upload the image again" in reply.json()["detail"]


def test_a_real_study_is_segmented_corrected_saved_and_read_back(server):
    path = server.studies / "STS_001.nii.gz"
    if not path.is_file():
        pytest.skip("no ../shared/data/sts-pet beside the repository")
    client, volume = server.client("real"), read_volume(path)
    hot = [int(at) for at in np.unravel_index(np.nanargmax(volume.array), volume.shape)]
    mask, params = deepedit(client, "suv_region", "STS_001", lesion=[hot])
    assert params["objects"][0]["suv_max"] == pytest.approx(float(np.nanmax(volume.array)))
    inside = [int(at) for at in np.argwhere(mask > 0)[-1]]
    corrected, _ = deepedit(client, "suv_region", "STS_001", lesion=[hot], background=[inside])
    assert corrected[tuple(hot)]
    assert not corrected[tuple(inside)]
    file, _ = client.infer("suv_region", "STS_001", {"lesion": [hot], "background": [inside]})
    client.save_label("STS_001", file)
    np.testing.assert_array_equal(read_mask(client.download_label("STS_001", "final"))[0], corrected)
