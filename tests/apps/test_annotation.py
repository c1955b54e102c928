"""What an annotator does in the panel, over the real server."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import requests
from panel_client import PanelClient, RefusedError, lps
from serving import LABELS, ROOT, Server, save_studies

from lib.pet import read_mask


@pytest.fixture(scope="module")
def server(tmp_path_factory, weights, phantom):
    """A server of our own: these tests save labels. Every study is the same phantom."""
    folder = tmp_path_factory.mktemp("annotation")
    save_studies(
        folder, ("clicks", "saving", "negative", "conflict", "restart", "restored", "drawn"), phantom.volume
    )
    server = Server(folder, model=weights, unit="SUVbw", labels=",".join(LABELS[1:]))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def panel(server, request):
    return PanelClient(server.url, "clicks", request.node.name[:64].translate({91: "-", 93: "-"})).open()


def quantified(image, mask, *options):
    """What `segpet quantify` says."""
    command = [sys.executable, "-m", "scripts", "quantify", image, mask, "--json", *options]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_a_click_begins_an_object_and_only_slices_that_changed_come(panel, places, lesions):
    assert panel.objects == {}
    panel.click(places[0])
    assert panel.head["changed"] == [1]
    assert panel.grid[tuple(lesions[0])] == 1
    first = panel.changed_slices
    assert first and all(panel.image[uid].any() for uid in first)
    panel.click(places[1])
    assert panel.grid[tuple(lesions[1])] == 2
    assert {uid for uid in panel.changed_slices if (panel.image[uid] == 2).any()} == panel.changed_slices
    assert panel.objects[1]["clicks"] == [{"point": pytest.approx(places[0], abs=0.01), "positive": True}]


def test_a_click_lies_where_the_dicom_geometry_says(server, panel, places):
    panel.click(places[0])
    (hit,) = [uid for uid in panel.changed_slices if in_plane(server, panel, uid, places[0]) is not None]
    assert panel.image[hit][in_plane(server, panel, hit, places[0])] == 1


def in_plane(server, panel, uid, point):
    """Row and column of a point in an instance as DICOMweb describes it, None where it lies off its plane."""
    series = f"{server.url}/dicom-web/studies/{panel.study['study_uid']}/series/{panel.study['id']}"
    metadata = requests.get(f"{series}/metadata", headers={"Accept": "application/dicom+json"}).json()
    one = next(instance for instance in metadata if instance["00080018"]["Value"] == [uid])
    origin, orientation = (np.array(one[tag]["Value"], float) for tag in ("00200032", "00200037"))
    row_mm, column_mm = one["00280030"]["Value"]
    along_row, down_column = orientation[:3], orientation[3:]
    away = np.array(point) - origin
    if abs(away @ np.cross(along_row, down_column)) > panel.study["spacing"][2] / 2:
        return None
    return round(away @ down_column / row_mm), round(away @ along_row / column_mm)


def test_negative_clicks_undo_and_redo(panel, places, phantom):
    panel.click(places[0])
    before = panel.grid
    edge = np.argwhere(before == 1)[0]
    panel.click(edge_of(panel, 1, phantom), object=1, positive=False)
    after = panel.grid
    assert after[tuple(edge)] == 0
    assert 0 < np.count_nonzero(after) < np.count_nonzero(before)
    np.testing.assert_array_equal(panel.post("undo").grid, before)
    assert not panel.post("undo").grid.any()
    assert panel.head["objects"] == [] and not panel.head["can_undo"]
    with pytest.raises(RefusedError, match="409 There is nothing to undo"):
        panel.post("undo")
    panel.post("redo")
    np.testing.assert_array_equal(panel.post("redo").grid, after)
    assert not panel.head["can_redo"]


def test_the_network_answers_and_is_named(panel, places):
    assert panel.study["methods"][0]["state"] in ("loading", "ready")
    panel.click(places[0], method="segpet")
    assert panel.objects[1]["method"] == "segpet"
    assert panel.head["seconds"]["decode"] > 0
    (network, _) = requests.get(panel.study_url).json()["methods"]
    assert (network["state"], network["weights"]["name"]) == ("ready", "small")
    assert len(network["weights"]["digest"]) == 64


def test_a_study_without_a_method_named_is_answered_by_the_network(panel, places):
    assert panel.click(places[0], method=None).objects[1]["method"] == "segpet"


def test_another_method_answers_the_same_clicks_and_can_be_compared_first(panel, places):
    panel.click(places[0], threshold="percent", value=41)
    before = panel.grid
    url = f"{panel.session_url}/objects/1/comparison"
    other = PanelClient(panel.url, "clicks", panel.client).take(
        requests.get(url, params={"threshold": "percent", "value": 70})
    )
    assert other.head["number"] == 1
    shared = np.count_nonzero(other.grid & before)
    total = np.count_nonzero(other.grid) + np.count_nonzero(before)
    assert other.head["dice"] == pytest.approx(2 * shared / total, abs=1e-4)
    np.testing.assert_array_equal(panel.reload().grid, before)
    panel.patch(1, method="suv_region", threshold="percent", value=70)
    np.testing.assert_array_equal(panel.grid, other.grid)
    assert (panel.objects[1]["threshold"], panel.objects[1]["value"]) == ("percent", 70)
    assert panel.objects[1]["voxels"] == other.head["numbers"]["voxels"]


def test_a_brush_stroke_is_kept_under_the_next_click_until_one_against_it(panel, places, phantom, lesions):
    panel.click(places[0])
    uid = panel.study["instances"][lesions[0][2]]
    stroke = panel.image[uid].copy()
    stroke[2:5, 2:5] = 1
    panel.brush({uid: stroke})
    assert panel.changed_slices == {uid}
    np.testing.assert_array_equal(panel.image[uid], stroke)
    assert panel.objects[1]["edited"]
    i, j, k = lesions[0]
    panel.click(lps(phantom.volume.affine, (i + 1, j, k)), object=1)
    assert (panel.image[uid][2:5, 2:5] == 1).all()
    panel.click(lps(phantom.volume.affine, (2, 2, k)), object=1, positive=False)
    assert panel.image[uid][2, 2] == 0
    assert panel.grid[tuple(lesions[0])] == 1


def test_an_object_may_begin_with_a_brush(panel, places):
    uid = panel.study["instances"][7]
    stroke = panel.image[uid].copy()
    stroke[10:12, 10:20] = 1
    panel.brush({uid: stroke}, label="liver")
    assert (panel.objects[1]["label"], panel.objects[1]["voxels"]) == ("liver", 20)
    with pytest.raises(RefusedError, match="422 This object was painted only"):
        panel.take(requests.get(f"{panel.session_url}/objects/1/comparison"))
    panel.brush({uid: np.zeros_like(stroke)})
    assert panel.objects[1]["voxels"] == 0 and panel.objects[1]["hottest"] is None
    assert panel.objects[1]["warnings"]


def test_objects_are_renamed_relabelled_accepted_merged_and_deleted(panel, places):
    for place in places[:3]:
        panel.click(place)
    assert [obj["label"] for obj in panel.head["objects"]] == ["lesion"] * 3
    panel.patch(2, label="liver", name="links ≥ 4", status="accepted")
    changed = panel.objects[2]
    assert (changed["label"], changed["name"], changed["status"]) == ("liver", "links ≥ 4", "accepted")
    assert panel.head["patient"]["count"] == 2 and panel.changed_slices == set()
    voxels = panel.objects[1]["voxels"] + panel.objects[3]["voxels"]
    panel.post("merge", into=1, objects=[3])
    assert panel.objects[1]["voxels"] == voxels and set(panel.objects) == {1, 2}
    panel.post("accept")
    assert {obj["status"] for obj in panel.head["objects"]} == {"accepted"}
    panel.delete(2)
    assert not (panel.grid == 2).any() and set(panel.objects) == {1}
    assert not panel.post("clear").grid.any()
    for _ in range(5):
        panel.post("undo")
    assert set(panel.objects) == {1, 2, 3}


def test_a_lesion_is_seen_over_an_organ_and_the_numbers_are_of_what_is_seen(panel, phantom):
    liver = np.argwhere(phantom.labels == 1).mean(axis=0).round()
    panel.click(lps(phantom.volume.affine, liver), label="liver")
    whole = panel.objects[1]["voxels"]
    k = int(liver[2])
    uid = panel.study["instances"][k]
    stroke = panel.image[uid].copy()
    inside = stroke == 1
    stroke[inside] = 2
    panel.brush({uid: stroke}, label="lesion")
    assert panel.objects[1]["voxels"] == whole - np.count_nonzero(inside)
    assert panel.objects[2]["voxels"] == np.count_nonzero(inside)
    assert panel.head["patient"]["count"] == 1


def test_the_numbers_are_those_of_segpet_quantify_on_the_saved_label(server, places, phantom):
    panel = PanelClient(server.url, "saving", "numbers").open()
    for place in places[:3]:
        panel.click(place)
    saved = panel.save("final")
    assert (saved["status"], saved["author"], saved["unchanged"]) == ("final", "numbers", True)
    image = server.studies / "saving.nii.gz"
    told = quantified(image, server.studies / "labels/final/saving.nii.gz", "--unit", "SUVbw")
    own = sorted((obj["voxels"], obj["number"]) for obj in panel.head["objects"])
    theirs = sorted((lesion["voxels"], lesion["id"]) for lesion in told["lesions"])
    for (_, number), (_, other) in zip(own, theirs, strict=True):
        lesion = next(one for one in told["lesions"] if one["id"] == other)
        for key in (
            "suv_max",
            "suv_mean",
            "suv_peak",
            "suv_sd",
            "mtv_ml",
            "tlg_g",
            "feret_mm",
            "thresholds_ml",
        ):
            assert panel.objects[number][key] == lesion[key], key
        flipped = np.array(lesion["centroid_mm"]) * (-1, -1, 1)
        assert panel.objects[number]["centroid"] == pytest.approx(flipped.tolist(), abs=1e-3)
    patient = panel.head["patient"]
    assert (patient["count"], patient["unit"]) == (3, "SUVbw")
    for key in ("tmtv_ml", "total_tlg_g", "dmax_mm"):
        assert patient[key] == pytest.approx(told["patient"][key], rel=1e-9)  # added up in another order


def test_lesions_that_touch_keep_their_numbers_in_the_instance_map(server, places, lesions):
    panel = PanelClient(server.url, "saving", "touching").open().post("clear")
    uid = panel.study["instances"][30]
    stroke = np.zeros_like(panel.image[uid])
    stroke[10:20, 10:15], stroke[10:20, 15:20] = 3, 4
    panel.brush({uid: stroke}, label="lesion")
    version = panel.save("submitted")["version"]
    mask = server.state / f"labels/saving/{version}/instances.nii.gz"
    options = ("--unit", "SUVbw", "--instances", "values")
    told = {
        one["value"]: one for one in quantified(server.studies / "saving.nii.gz", mask, *options)["lesions"]
    }
    assert set(told) == {3, 4}
    for number, lesion in told.items():
        assert panel.objects[number]["tlg_g"] == lesion["tlg_g"]


def test_a_label_is_monai_labels_and_is_saved_once(server, places, lesions):
    panel = PanelClient(server.url, "drawn", "drawer").open().click(places[0])
    draft = panel.save("draft")
    assert panel.save("draft") == draft
    assert panel.reload().head["saved"] == draft.pop("counts") == draft
    panel.click(places[1])
    assert not panel.head["saved"]["unchanged"]
    submitted = panel.save("submitted")
    assert submitted["version"] == draft["version"] + 1
    client = server.client("somebody")
    labels = client.datastore()["objects"]["drawn"]["labels"]
    assert set(labels) == {"draft", "submitted"}
    mask, _ = read_mask(client.download_label("drawn", "submitted"))
    np.testing.assert_array_equal(mask, (panel.grid > 0).astype(np.uint8))
    stored = json.loads((server.state / f"labels/drawn/{submitted['version']}/objects.json").read_text())
    assert [obj["id"] for obj in stored["objects"]] == [1, 2]
    assert [obj["uid"] for obj in stored["objects"]] == [obj["uid"] for obj in panel.head["objects"]]


def test_an_empty_session_is_a_negative_study(server):
    panel = PanelClient(server.url, "negative", "reader").open()
    saved = panel.save("final")
    mask, _ = read_mask(server.client().download_label("negative", "final"))
    assert saved["version"] == 1 and not mask.any()
    other = PanelClient(server.url, "negative", "second-reader").open()
    assert other.head["saved"]["status"] == "final" and other.head["saved"]["unchanged"]
    assert other.head["objects"] == []


def test_whoever_opens_a_labelled_study_goes_on_from_its_label(server, places, lesions, phantom):
    first = PanelClient(server.url, "restored", "first").open().click(places[0]).click(places[1])
    first.patch(1, name="the big one").save("final")
    second = PanelClient(server.url, "restored", "second").open()
    np.testing.assert_array_equal(second.grid, first.grid)
    assert [obj["uid"] for obj in second.head["objects"]] == [obj["uid"] for obj in first.head["objects"]]
    assert second.objects[1]["name"] == "the big one"
    assert second.head["saved"]["unchanged"] and not second.head["can_undo"]
    second.click(edge_of(second, 1, phantom), object=1, positive=False)
    assert 0 < (second.grid == 1).sum() < (first.grid == 1).sum()
    assert second.grid[tuple(lesions[0])] == 1
    np.testing.assert_array_equal(second.post("restore").grid, first.grid)


def edge_of(panel, number, phantom):
    """A voxel of an object far from its middle, LPS mm."""
    return lps(phantom.volume.affine, np.argwhere(panel.grid == number)[0])


def test_a_label_that_somebody_else_saved_meanwhile_is_told_not_replaced(server, places):
    mine = PanelClient(server.url, "conflict", "mine").open().click(places[0])
    PanelClient(server.url, "conflict", "theirs").open().click(places[1]).save("final")
    mine.save("draft")
    with pytest.raises(RefusedError, match=r"409 theirs has saved a label \(final\)"):
        mine.save("final")
    assert mine.reload().head["saved"]["author"] == "theirs"
    assert mine.save("final", replace=True)["author"] == "mine"
    mine.click(places[2])
    assert mine.save("final")["author"] == "mine"


def test_two_browsers_see_each_other_and_lose_nothing(server, places):
    one = PanelClient(server.url, "clicks", "browser-1").open().click(places[0])
    two = PanelClient(server.url, "clicks", "browser-2").open().click(places[1]).click(places[2])
    assert "browser-1" in two.head["others"]
    assert "browser-2" in requests.post(f"{one.session_url}/seen", json={}).json()["others"]
    listed = requests.get(f"{server.url}/segpet/studies", params={"study_uid": one.study["study_uid"]}).json()
    assert {"browser-1", "browser-2"} <= set(listed["studies"][0]["open"])
    requests.delete(f"{two.session_url}/seen")
    assert "browser-2" not in requests.post(f"{one.session_url}/seen", json={}).json()["others"]
    assert len(one.reload().objects) == 1 and len(two.reload().objects) == 2


def test_a_tab_that_lags_behind_is_told_and_can_go_on(server, places):
    first = PanelClient(server.url, "clicks", "tabs").open()
    second = PanelClient(server.url, "clicks", "tabs").open()
    first.click(places[0])
    with pytest.raises(RefusedError, match="409 The session has moved on"):
        second.click(places[1])
    assert len(second.reload().click(places[1]).objects) == 2


def test_a_killed_server_has_lost_nothing(server, places, phantom):
    panel = PanelClient(server.url, "restart", "survivor").open().click(places[0]).click(places[1])
    panel.click(edge_of(panel, 1, phantom), object=1, positive=False)
    uid = panel.study["instances"][3]
    panel.brush({uid: np.full_like(panel.image[uid], 2)}).post("undo")
    server.kill()
    server.start()
    again = PanelClient(server.url, "restart", "survivor").open()
    np.testing.assert_array_equal(again.grid, panel.grid)
    for key in ("objects", "patient", "revision", "can_undo", "can_redo"):
        assert again.head[key] == panel.head[key]
    assert (again.post("redo").image[uid] == 2).all()
    for _ in range(4):
        again.post("undo")
    assert not again.grid.any() and not again.head["can_undo"]


def test_other_requests_are_answered_while_a_click_waits(server, places):
    panel = PanelClient(server.url, "clicks", "waiting").open()
    waits = threading.Thread(target=panel.click, args=(places[0],), kwargs={"method": "segpet"})
    waits.start()
    slowest = 0.0
    while waits.is_alive():
        begin = time.perf_counter()
        assert requests.post(f"{panel.session_url}/seen", json={}).ok
        slowest = max(slowest, time.perf_counter() - begin)
    assert panel.objects
