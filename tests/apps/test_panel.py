"""What the panel is told of studies, where clicks lie in them, and what is refused."""

import json
import time

import numpy as np
import pytest
import requests
from dicom_series import write_series
from panel_client import FRAME, PanelClient, RefusedError, checked, lps, packed
from serving import LABELS, Server, save_image

from lib.pet import read_volume, write_mask

#: Axis orders, flips and a tilt: from voxels of the study to those of the file.
TURNS = {
    "descending": np.diag([1.0, 1, -1, 1]),
    "flipped": np.diag([-1.0, -1, 1, 1]),
    "sagittal": np.array([[0, 0, 1.0, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]]),
    "tilted": np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
}


def write_descending(folder):
    """A DICOM series whose first instance is the highest slice, hot in one place."""
    stored = np.full((20, 24, 30), 100, np.int16)
    stored[11:14, 5:8, 20:23] = 900
    write_series(folder, stored, orientation=(1, 0, 0, 0, -1, 0))


@pytest.fixture(scope="module")
def without_weights(tmp_path_factory, phantom):
    """A server without weights; one study has a label that somebody put there, one a batch's proposals."""
    folder = tmp_path_factory.mktemp("panel")
    studies = folder / "studies"
    studies.mkdir()
    for name in ("open", "labelled", "batch", "other"):
        save_image(studies / f"{name}.nii.gz", phantom.volume.array, phantom.volume.affine)
    write_descending(studies / "series")
    (studies / "open.json").write_text('{"Units": "g/ml"}')
    for name, turn in TURNS.items():
        save_image(studies / f"{name}.nii.gz", phantom.volume.array, phantom.volume.affine @ turn)
    (studies / "labels/final").mkdir(parents=True)
    mask = (phantom.lesions > 0).astype(np.uint8) + 2 * (phantom.labels == 1).astype(np.uint8)
    write_mask(studies / "labels/final/labelled.nii.gz", np.minimum(mask, 2), phantom.volume.affine)
    server = Server(folder, model="none", unit="SUVbw", labels=",".join(LABELS[1:]))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def read_only(tmp_path_factory, phantom):
    """A server that saves nothing, with a labelled study."""
    folder = tmp_path_factory.mktemp("read-only")
    (folder / "studies/labels/final").mkdir(parents=True)
    save_image(folder / "studies/labelled.nii.gz", phantom.volume.array, phantom.volume.affine)
    mask = (phantom.lesions > 0).astype(np.uint8)
    write_mask(folder / "studies/labels/final/labelled.nii.gz", mask, phantom.volume.affine)
    server = Server(folder, model="none", unit="SUVbw", read_only="yes")
    try:
        yield server.start()
    finally:
        server.stop()


def listed(server, **query):
    return checked(requests.get(f"{server.url}/segpet/studies", params=query)).json()


def test_the_work_list_tells_every_study_and_how_far_its_label_is(without_weights):
    told = listed(without_weights)
    studies = {one["title"]: one for one in told["studies"]}
    assert told["total"] == len(studies) == 9
    assert told["strategies"] == ["random", "uncertain", "mixed"]
    assert studies["labelled"]["status"] == "final" and studies["other"]["status"] == "none"
    assert studies["other"]["saved"] is None and studies["other"]["version"] == 0
    (one,) = listed(without_weights, study_uid=studies["other"]["study_uid"])["studies"]
    assert one == studies["other"]
    assert [one["title"] for one in listed(without_weights, status="final")["studies"]] == ["labelled"]
    some = listed(without_weights, offset=2, limit=3)
    assert (some["total"], some["studies"]) == (9, told["studies"][2:5])


def test_a_study_says_what_the_panel_needs(without_weights, phantom):
    study = PanelClient(without_weights.url, "open", "info").study
    assert (study["rows"], study["columns"]) == (48, 48) and len(study["instances"]) == 80
    assert study["preflight"] == "Numbers are SUV (body weight), from the sidecar beside the file."
    assert (study["unit"], study["scale"], study["read_only"]) == ("SUVbw", 1.0, False)
    assert [label["name"] for label in study["labels"]] == list(LABELS[1:])
    assert [label["lesion"] for label in study["labels"]] == [True, False, False]
    assert len({tuple(label["color"]) for label in study["labels"]}) == 3
    network, grower = study["methods"]
    assert (network["state"], network["weights"]) == ("missing", None) and "--model" in network["why"]
    assert grower["state"] == "ready"
    low, high = study["window"]
    assert low == 0 and 1 < high < phantom.volume.array.max()


@pytest.mark.parametrize("name", ["open", *TURNS])
def test_the_mask_lies_under_the_click_whatever_way_the_image_lies(without_weights, phantom, lesions, name):
    affine = phantom.volume.affine @ TURNS.get(name, np.eye(4))
    panel = PanelClient(without_weights.url, name, "turns").open()
    point = lps(affine, lesions[0])
    panel.click(point)
    assert panel.grid[tuple(lesions[0])] == 1
    assert panel.objects[1]["hottest"] == pytest.approx(point, abs=0.01)
    assert lies_under(without_weights, panel, point)


def lies_under(server, panel, point):
    """Whether the mask is 1 where DICOMweb says that a point lies."""
    series = f"{server.url}/dicom-web/studies/{panel.study['study_uid']}/series/{panel.study['id']}"
    metadata = requests.get(f"{series}/metadata", headers={"Accept": "application/dicom+json"}).json()
    for instance in metadata:
        (uid,) = instance["00080018"]["Value"]
        origin, orientation = (np.array(instance[tag]["Value"], float) for tag in ("00200032", "00200037"))
        down_mm, along_mm = instance["00280030"]["Value"]
        away = np.array(point) - origin
        normal = np.cross(orientation[:3], orientation[3:])
        if abs(away @ normal) < panel.study["spacing"][2] / 2:
            row, column = round(away @ orientation[3:] / down_mm), round(away @ orientation[:3] / along_mm)
            return panel.image[uid][row, column] == 1
    return False


def test_the_mask_lies_under_the_click_in_a_dicom_series_of_descending_slices(without_weights):
    panel = PanelClient(without_weights.url, "series", "dicom").open()
    assert panel.study["unit"] == "SUVbw" and len(panel.study["instances"]) == 30
    volume = read_volume(without_weights.studies / "series")
    hot = np.argwhere(volume.array == volume.array.max())[0]
    point = lps(volume.affine, hot)
    panel.click(point)
    assert lies_under(without_weights, panel, point)
    assert panel.objects[1]["voxels"] == 27
    x, y, z = point
    assert not lies_under(without_weights, panel, (x, y, z + 12))


def test_without_weights_the_network_refuses_and_region_growing_answers(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "open", "weightless").open()
    point = lps(phantom.volume.affine, lesions[0])
    with pytest.raises(RefusedError, match="409 This server has no weights"):
        panel.click(point, method="segpet")
    assert panel.click(point, method=None).objects[1]["method"] == "suv_region"


def test_a_first_pass_proposes_and_leaves_what_is_there(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "open", "proposals").open()
    panel.click(lps(phantom.volume.affine, lesions[0]))
    first = panel.grid == 1
    panel.post("proposals")
    np.testing.assert_array_equal(panel.grid == 1, first)
    proposed = [number for number, obj in panel.objects.items() if obj["status"] == "proposed"]
    assert len(proposed) == len(panel.objects) - 1 > 0
    number = proposed[0]
    panel.click(
        [*panel.objects[number]["clicks"][0]["point"][:2], phantom.volume.affine[2, 3]], object=number
    )
    assert panel.objects[number]["status"] == "draft"
    panel.post("undo").post("undo")
    assert set(panel.objects) == {1}


def test_a_label_put_there_by_hand_is_gone_on_from(without_weights, phantom):
    panel = PanelClient(without_weights.url, "labelled", "hand").open()
    assert (panel.head["saved"]["status"], panel.head["saved"]["version"]) == ("final", 0)
    assert {obj["label"] for obj in panel.head["objects"]} == {"lesion", "liver"}
    np.testing.assert_array_equal(panel.grid > 0, (phantom.lesions > 0) | (phantom.labels == 1))


def test_what_the_panel_s_head_says_of_the_unit_is_no_warning_of_every_click(without_weights):
    panel = PanelClient(without_weights.url, "series", "unit").open()
    assert panel.study["preflight"] and panel.head["warnings"] == []


def test_a_label_that_cannot_be_used_does_not_lock_the_study_up(without_weights):
    (without_weights.studies / "labels/final/flipped.nii.gz").write_bytes(b"no image")
    for _ in range(50):
        (entry,) = [one for one in listed(without_weights)["studies"] if one["title"] == "flipped"]
        if entry["status"] == "final":
            break
        time.sleep(0.2)  # the folder's watcher is a thread of its own
    panel = PanelClient(without_weights.url, "flipped", "locked").open()
    assert panel.head["objects"] == [] and "saved label cannot be used" in panel.head["warnings"][0]
    with pytest.raises(RefusedError, match="422"):
        panel.post("restore")


def test_without_a_label_there_is_nothing_to_go_back_to(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "open", "back").open()
    panel.click(lps(phantom.volume.affine, lesions[0]))
    with pytest.raises(RefusedError, match="409 This study has no saved label"):
        panel.post("restore")
    assert panel.reload().objects


def test_a_batchs_proposals_are_gone_on_from(without_weights):
    batch = f"{without_weights.url}/batch/infer/segpet_auto?run_sync=true"
    checked(requests.post(batch, json={"images": ["batch"]}))
    panel = PanelClient(without_weights.url, "batch", "after").open()
    assert panel.objects and {obj["status"] for obj in panel.head["objects"]} == {"proposed"}
    assert panel.head["saved"] is None and panel.study["status"] == "none"
    assert set(np.unique(panel.grid)) == {0, *panel.objects}


def test_a_label_can_be_reviewed_without_a_session(read_only, phantom):
    panel = PanelClient(read_only.url, "labelled", "reviewer")
    assert panel.study["read_only"]
    panel.take(requests.get(f"{panel.study_url}/label"))
    np.testing.assert_array_equal(panel.grid > 0, phantom.lesions > 0)
    assert panel.head["patient"]["count"] == len(panel.objects) > 0
    assert panel.head["saved"]["status"] == "final"


def test_a_read_only_server_refuses_every_change(read_only, tmp_path, phantom):
    panel = PanelClient(read_only.url, "labelled", "reviewer")
    before = read_only.files()
    for change in (
        panel.open,
        lambda: checked(requests.post(f"{panel.session_url}/seen", json={})),
        lambda: checked(requests.post(f"{panel.session_url}/undo", json={"revision": 0})),
        lambda: checked(requests.post(f"{panel.session_url}/label", json={"revision": 0, "status": "final"})),
        lambda: checked(
            requests.put(
                f"{panel.session_url}/slices", packed({"revision": 0}, {}), headers={"Content-Type": FRAME}
            )
        ),
    ):
        with pytest.raises(RefusedError, match="403 This server is read only"):
            change()
    path = tmp_path / "mask.nii.gz"
    write_mask(path, np.zeros(phantom.volume.shape, np.uint8), phantom.volume.affine)
    with path.open("rb") as file:
        saved = requests.put(f"{read_only.url}/datastore/label?image=labelled", files={"label": file})
    assert saved.status_code == 403
    assert read_only.files() == before


def test_sites_are_named_by_an_organ_map_in_the_folder(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "other", "sites").open()
    panel.click(lps(phantom.volume.affine, lesions[0]))
    assert not panel.study["sites"] and panel.objects[1]["site"] is None
    folder = without_weights.studies / "organs/other"
    folder.mkdir(parents=True)
    organ = np.zeros(phantom.volume.shape, np.uint8)
    i, j, k = lesions[0]
    organ[i - 4 : i + 5, j - 4 : j + 5, k - 4 : k + 5] = 1
    write_mask(folder / "prostate.nii.gz", organ, phantom.volume.affine)
    panel.click(lps(phantom.volume.affine, lesions[1]))
    assert panel.objects[1]["site"] == "in the prostate" and "前列腺" in panel.objects[1]["site_zh"]
    assert PanelClient(without_weights.url, "other", "sites").study["sites"]


def test_the_next_study_is_another_one_and_none_is_told_when_all_are_done(without_weights):
    panel = PanelClient(without_weights.url, "open", "next").open()
    body = {"strategy": "random", "client": "next", "current": panel.study["id"]}
    PanelClient(without_weights.url, "flipped", "somebody-else").open()
    for one in listed(without_weights)["studies"]:
        for client in one["open"] if one["title"] not in ("labelled", "flipped") else ():
            requests.delete(f"{without_weights.url}/segpet/studies/{one['id']}/sessions/{client}/seen")
    for _ in range(4):
        study = checked(requests.post(f"{without_weights.url}/segpet/next", json=body)).json()["study"]
        assert study["title"] not in ("open", "labelled", "flipped")
        assert study["id"] and study["study_uid"]
    for title in [one["title"] for one in listed(without_weights)["studies"]]:
        if title not in ("open", "labelled", "flipped"):
            PanelClient(without_weights.url, title, "next").open().post("clear").save("final")
    assert requests.post(f"{without_weights.url}/segpet/next", json=body).json()["study"] is None
    body.pop("current")
    assert requests.post(f"{without_weights.url}/segpet/next", json=body).json()["study"]["title"] == "open"


CLICK = {"revision": 1, "object": None, "label": "lesion", "point": [0, 0, 1000], "positive": True}


@pytest.mark.parametrize(
    ("what", "body", "status", "sentence"),
    [
        ("clicks", {**CLICK, "point": [0, 0, 9e4]}, 422, "outside of the image"),
        ("clicks", {**CLICK, "point": [0, 0, 1e300]}, 422, "malformed"),
        ("clicks", {**CLICK, "point": [0, 0]}, 422, "malformed"),
        ("clicks", {**CLICK, "point": ["0", "0", "0"]}, 422, "malformed"),
        ("clicks", {**CLICK, "label": "moon"}, 422, "no such label"),
        ("clicks", {**CLICK, "label": "background"}, 422, "no such label"),
        ("clicks", {**CLICK, "label": None}, 422, "which label"),
        ("clicks", {**CLICK, "positive": False}, 422, "positive click"),
        ("clicks", {**CLICK, "positive": "yes"}, 422, "malformed"),
        ("clicks", {**CLICK, "object": 7}, 422, "PATCH"),
        ("clicks", {**CLICK, "object": 7, "label": None}, 422, "no object 7"),
        ("clicks", {**CLICK, "object": 256, "label": None}, 422, "malformed"),
        ("clicks", {**CLICK, "method": "magic"}, 422, "malformed"),
        ("clicks", {**CLICK, "method": "segpet", "threshold": "fixed"}, 422, "Only suv_region"),
        ("clicks", {**CLICK, "method": "suv_region", "value": 101}, 422, "100 %"),
        ("clicks", {**CLICK, "revison": 1}, 422, "malformed"),
        ("clicks", {**CLICK, "revision": 2}, 409, "moved on"),
        ("clicks", [], 422, "malformed"),
        ("undo", {"revision": 1}, 409, "nothing to undo"),
        ("redo", {"revision": 1}, 409, "nothing to redo"),
        ("undo", {}, 422, "malformed"),
        ("merge", {"revision": 1, "into": 1, "objects": []}, 422, "malformed"),
        ("merge", {"revision": 1, "into": 1, "objects": [1]}, 422, "others"),
        ("merge", {"revision": 1, "into": 1, "objects": [2]}, 422, "no object"),
        ("proposals", {"revision": 1, "label": "moon"}, 422, "no such label"),
        ("label", {"revision": 1, "status": "original"}, 422, "malformed"),
        ("nonsense", {"revision": 1}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(without_weights, what, body, status, sentence):
    panel = PanelClient(without_weights.url, "open", "careless").open()
    before = without_weights.files()
    reply = requests.post(f"{panel.session_url}/{what}", json=body)
    assert (reply.status_code, sentence in reply.json()["detail"]) == (status, True), reply.text
    assert without_weights.files() == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(without_weights, number):
    panel = PanelClient(without_weights.url, "open", "careless").open()
    body = json.dumps(CLICK).replace("[0, 0, 1000]", f"[0, 0, {number}]")
    headers = {"Content-Type": "application/json"}
    reply = requests.post(f"{panel.session_url}/clicks", body, headers=headers)
    assert reply.status_code == 422 and reply.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff{}",
        b"\x02\x00\x00\x00[]",
        b"\x02\x00\x00\x00{}",
        packed({"revision": 1}, {"1.2.3": np.zeros((48, 48), np.uint8)}),
        packed({"revision": 1}, {"1.2.3": np.zeros((4, 4), np.uint8)}),
        packed({"revision": "1"}, {}),
        packed({"revision": 1, "label": "moon"}, {}),
    ],
)
def test_what_is_no_frame_of_this_study_is_refused(without_weights, content):
    panel = PanelClient(without_weights.url, "open", "careless").open()
    reply = requests.put(f"{panel.session_url}/slices", content, headers={"Content-Type": FRAME})
    assert reply.status_code == 422 and reply.json()["detail"]
    assert panel.reload().head["revision"] == 1


def test_a_new_number_needs_a_label(without_weights):
    panel = PanelClient(without_weights.url, "open", "careless").open()
    uid = panel.study["instances"][0]
    with pytest.raises(RefusedError, match="422 No object has the number 9"):
        panel.brush({uid: np.full_like(panel.image[uid], 9)})


def test_other_origins_and_forms_change_nothing(without_weights):
    panel = PanelClient(without_weights.url, "open", "careless").open()
    url = f"{panel.session_url}/clear"
    body = json.dumps({"revision": 1})
    for headers, status in (
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "http://elsewhere.example"}, 403),
        ({}, 415),
    ):
        reply = requests.post(url, body.encode(), headers=headers)
        assert (reply.status_code, list(reply.json())) == (status, ["detail"])


@pytest.mark.parametrize("uid", ["1.2.3", "..", "a", "1" * 65, "%2e%2e"])
def test_a_series_that_is_no_study_is_told(without_weights, uid):
    reply = requests.get(f"{without_weights.url}/segpet/studies/{uid}")
    assert reply.status_code in (404, 422) and reply.json()["detail"]


@pytest.mark.parametrize("client", ["a b", "a/b", "a=b", "a\u200bb", "x" * 65])
def test_a_client_needs_a_plain_name(without_weights, client):
    study = PanelClient(without_weights.url, "open", "fine").study_url
    assert requests.put(f"{study}/sessions/{client}", json={}).status_code in (404, 422)


def test_a_session_that_was_never_opened_is_not_there(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "open", "never")
    with pytest.raises(RefusedError, match="404 This client never opened"):
        panel.reload()
    panel.head = {"revision": 0}
    with pytest.raises(RefusedError, match="422 This study is not open"):
        panel.click(lps(phantom.volume.affine, lesions[0]))


def test_frames_are_compressed_for_those_who_take_it(without_weights, phantom, lesions):
    panel = PanelClient(without_weights.url, "open", "gzip").open()
    panel.click(lps(phantom.volume.affine, lesions[0]))
    plain = requests.get(panel.session_url, headers={"Accept-Encoding": "identity"})
    small = requests.get(panel.session_url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers and small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 4
