"""Images and clicks that are not as they should be: they work, or get a 4xx with a sentence."""

import json
import time

import nibabel
import numpy as np
import pytest
import requests
from serving import save_image

from lib.pet import read_mask, read_volume, write_mask

RANDOM = np.random.default_rng(0)
GRID = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def odd_images(server):
    """Odd images in the studies folder, once the server has seen them."""
    folder = server.studies
    values = RANDOM.random((20, 20, 20), dtype=np.float32)
    turn = GRID.copy()
    turn[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) * 4
    save_image(folder / "four_axes.nii.gz", np.stack([values, values], axis=-1), GRID)
    save_image(folder / "constant.nii.gz", np.full((20, 20, 20), 3, np.float32), GRID)
    save_image(folder / "zero.nii.gz", np.zeros((20, 20, 20), np.float32), GRID)
    save_image(folder / "thin.nii.gz", values[:, :, :2], GRID)
    save_image(folder / "rotated.nii.gz", values, turn)
    hole = values.copy()
    hole[5, 5, 5] = np.nan
    save_image(folder / "hole.nii.gz", hole, GRID)
    (folder / "empty_file.nii.gz").write_bytes(b"")
    (folder / "no_image.nii.gz").write_bytes(b"this is text")
    whole = (folder / "rotated.nii.gz").read_bytes()
    (folder / "cut_off.nii.gz").write_bytes(whole[: len(whole) // 2])
    singular = nibabel.Nifti1Image(values, None)
    singular.header["sform_code"], singular.header["qform_code"] = 1, 0
    singular.header["srow_x"] = singular.header["srow_y"] = [4, 0, 0, 0]
    singular.header["srow_z"] = [0, 0, 4, 0]
    raw = singular.header.binaryblock + bytes(4) + values.tobytes(order="F")
    (folder / "singular.nii").write_bytes(raw)
    empty = singular.header.copy()
    empty["dim"] = [3, 0, 20, 20, 1, 1, 1, 1]
    (folder / "no_voxels.nii").write_bytes(empty.binaryblock + bytes(4))
    names = {path.name.split(".")[0] for path in folder.iterdir() if ".nii" in path.suffixes}
    for _ in range(100):
        seen = requests.get(f"{server.url}/datastore/?output=all").json()["objects"]
        if names <= seen.keys():
            return seen
        time.sleep(0.1)
    raise AssertionError(f"the server did not see {names - seen.keys()}")


def infer(server, study, model="suv_region", **params):
    url = f"{server.url}/infer/{model}?image={study}&output=json"
    return requests.post(url, data={"params": json.dumps({"client_id": "odd", **params})})


@pytest.mark.parametrize("model", ["suv_region", "segpet"])
@pytest.mark.parametrize("study", ["constant", "zero", "thin", "rotated", "hole"])
def test_an_odd_image_works(server, odd_images, study, model):
    reply = infer(server, study, model, lesion=[[10, 10, 1]])
    assert reply.status_code == 200, reply.text
    assert reply.json()["objects"][0]["positive"] == [[10, 10, 1]]


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("four_axes", "3-D"),
        ("empty_file", "cannot be read"),
        ("no_image", "cannot be read"),
        ("cut_off", "cut_off"),
        ("singular", "singular"),
        ("no_voxels", ""),
    ],
)
@pytest.mark.parametrize("model", ["suv_region", "segpet"])
def test_an_impossible_image_is_refused_with_the_reason(server, odd_images, study, said, model):
    before = server.files()
    reply = infer(server, study, model, lesion=[[10, 10, 10]])
    assert reply.status_code == 422
    sentence = reply.json()["detail"]
    assert said in sentence
    assert sentence.endswith(".")
    assert str(server.folder) not in sentence
    assert server.files() == before


@pytest.mark.parametrize(
    "params",
    [
        {"lesion": [[20, 0, 0]]},
        {"lesion": [[-1, 0, 0]]},
        {"lesion": [[1.5, 0, 0]]},
        {"lesion": [[1, 2]]},
        {"lesion": "1,2,3"},
        {"lesion": [["a", "b", "c"]]},
        {"lesion": [[1e308, 0, 0]]},
        {"lesion": [[float("nan"), 0, 0]]},
        {"lesion": {"0": [1, 2, 3]}},
        {"lesion": [[5, 5, 5]]},  # a voxel without a value
        {"lesion": [[1, 1, 1]], "background": [[1, 1, 1]]},
        {"tumor": [[1, 1, 1]]},
        {"foreground": [[1, 1, 1]], "label": "tumor"},
        {"foreground": [[1, 1, 1]], "label": ["lesion"]},
        {"foreground": [[20, 20, 20]]},
        {"lesion": [[1, 1, 1]], "result_extension": ".exe"},
        {"lesion": [[1, 1, 1]], "result_extension": ["../x.nii"]},
        {"lesion": [[1, 1, 1]], "client_id": {"a": 1}},
        {"lesion": [[1, 1, 1]], "client_id": "x" * 10_000},
        {"lesion": [[1, 1, 1]], "method": "magic"},
        {"lesion": [[1, 1, 1]], "method": {"a": 1}},
        {"lesion": [[1, 1, 1]], "value": "much"},
        {"lesion": [[1, 1, 1]], "value": [1]},
        {"lesion": [[1, 1, 1]], "method": "percent", "value": -1},
        {"lesion": [[1, 1, 1]], "method": "fixed", "value": float("inf")},
        {"lesion": [[1, 1, 1]], "save_label": True, "label_tag": "../../x"},
    ],
)
def test_bad_parameters_are_refused_with_a_sentence(server, odd_images, params):
    before = server.files()
    reply = infer(server, "hole", **params)
    assert reply.status_code == 422, reply.text
    assert isinstance(reply.json()["detail"], str)
    assert server.files() == before


@pytest.mark.parametrize("params", ["{", "[]", "1", '"x"', "[" * 100_000])
def test_parameters_that_are_no_json_object_are_refused(server, params):
    reply = requests.post(f"{server.url}/infer/suv_region?image=Doe_Jane", data={"params": params})
    assert reply.status_code == 422
    assert "params" in reply.json()["detail"]


def test_what_is_nested_too_deep_to_be_read_again_is_not_kept(server):
    deep = '{"note": ' + "[" * 400 + "]" * 400 + "}"
    kept = requests.put(f"{server.url}/datastore/image/info?image=Doe_Jane", data={"info": deep})
    assert kept.status_code == 422 and "nested" in kept.json()["detail"]
    assert requests.get(f"{server.url}/datastore/?output=all").status_code == 200


def test_clicks_in_a_json_body_are_not_taken_for_no_clicks(server):
    reply = requests.post(f"{server.url}/infer/suv_region?image=Doe_Jane", json={"lesion": [[1, 1, 1]]})
    assert reply.status_code == 415
    assert "params" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/infer/nothing?image=Doe_Jane"),
        ("POST", "/infer/suv_region?image=nobody"),
        ("POST", "/infer/suv_region"),
        ("POST", "/infer/suv_region?session_id=nobody"),
        ("POST", "/activelearning/magic"),
        ("POST", "/batch/infer/nothing"),
        ("GET", "/datastore/image?image=nobody"),
        ("GET", "/datastore/image/info?image=nobody"),
        ("GET", "/datastore/label?label=nobody&tag=final"),
        ("GET", "/datastore/label/info?label=nobody&tag=final"),
        ("HEAD", "/datastore/image?image=nobody"),
        ("HEAD", "/datastore/label?image=nobody&tag=final"),
        ("GET", "/session/nobody"),
        ("DELETE", "/session/nobody"),
        ("GET", "/nothing"),
    ],
)
def test_what_does_not_exist_is_a_404_with_a_sentence(server, method, path):
    reply = requests.request(method, server.url + path)
    assert reply.status_code == 404
    assert method == "HEAD" or isinstance(reply.json()["detail"], str)


def test_a_model_that_needs_clicks_does_not_run_over_all_studies(server):
    before = server.files()
    reply = requests.post(f"{server.url}/batch/infer/suv_region", json={})
    assert reply.status_code == 422
    assert "needs clicks" in reply.json()["detail"]
    assert server.files() == before


def test_a_forgotten_field_takes_no_clicks_back(server, lesions):
    url = f"{server.url}/infer/suv_region?image=second&output=json"

    def clicked(clicks):
        asked = {"params": json.dumps({"client_id": "forgetful", "lesion": clicks})}
        return requests.post(url, data=asked, timeout=60).json()

    (first,) = clicked(lesions[:1])["objects"]
    for fields in ({}, {"parameters": "{}"}):
        reply = requests.post(url, data=fields, timeout=60)
        assert (reply.status_code, "params is missing" in reply.json()["detail"]) == (422, True)
    (again,) = clicked(lesions[:1])["objects"]
    assert again["uid"] == first["uid"]
    emptied = clicked([])
    assert emptied["objects"] == [] and "There are no clicks" in emptied["warnings"][0]


def test_no_message_names_a_file_of_the_servers_own(server):
    broken = ("mask.nii.gz", b"\x1f\x8b no image")
    url = f"{server.url}/datastore/label?image=second"
    reply = requests.put(url, files={"label": broken}, timeout=60)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("The file cannot be read")
    session = requests.put(f"{server.url}/session/", files={"files": broken}, timeout=60).json()["session_id"]
    url = f"{server.url}/infer/suv_region?session_id={session}"
    reply = requests.post(url, data={"params": '{"lesion": [[1, 1, 1]]}'}, timeout=60)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("The file cannot be read")


@pytest.mark.parametrize(
    "path", ["activelearning/random", "batch/infer/segpet_auto", "train/", "train/segpet"]
)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"client_id": ' + "[" * 400 + "]" * 400 + "}", "nested"),
        ('{"client_id": NaN}', "finite"),
        ('{"seed": -1e999}', "finite"),
        ('{"client_id": "\\ud800"}', "Unicode"),
    ],
)
def test_parameters_that_could_not_be_told_again_are_refused(server, path, body, said):
    reply = requests.post(f"{server.url}/{path}", body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


@pytest.mark.parametrize("client", [["a"], {"a": 1}, 7, "a" * 200])
def test_a_client_is_called_by_a_short_text(server, client):
    asked = requests.post(f"{server.url}/activelearning/random", json={"client_id": client})
    clicked = requests.post(
        f"{server.url}/infer/suv_region?image=second", data={"params": json.dumps({"client_id": client})}
    )
    for reply in (asked, clicked):
        assert reply.status_code == 422
        assert reply.json()["detail"].startswith("client_id must be a text")


@pytest.mark.parametrize("passed", [[["a"]], [{}], "second", 3, {"second": 1}])
def test_studies_to_be_left_out_that_are_none_leave_none_out(server, passed):
    assert requests.post(f"{server.url}/activelearning/random", json={"but_not": passed}).json()["id"]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_label_that_says_nothing_of_where_it_lies_is_stored_on_its_studys_grid(
    server, odd_images, tmp_path, ending
):
    mask = RANDOM.integers(0, 2, (20, 20, 20), np.uint8)
    write_mask(tmp_path / f"mask{ending}", mask, np.eye(4))
    url = f"{server.url}/datastore/label?image=rotated&tag=reviewed"
    with (tmp_path / f"mask{ending}").open("rb") as file:
        assert requests.put(url, files={"label": file}).ok
    stored, affine = read_mask(server.studies / f"labels/reviewed/rotated{ending}")
    np.testing.assert_array_equal(stored, mask)
    np.testing.assert_allclose(affine, read_volume(server.studies / "rotated.nii.gz").affine, atol=1e-6)


def test_slicers_button_to_upload_a_study_is_told_what_to_do_instead(server):
    image = {"file": ("large.nii.gz", bytes(5 << 20))}
    reply = requests.put(f"{server.url}/datastore/?image=mine", {"params": "{}"}, files=image)
    assert reply.status_code == 405 and "studies folder" in reply.json()["detail"]


def test_a_form_with_another_boundary_than_its_header_says_is_told_so(server):
    spoilt = {"Content-Type": "multipart/form-data; boundary=other"}  # as MONAI Label's client keeps it
    reply = requests.put(f"{server.url}/session/", files={"files": ("a.nii", b"x")}, headers=spoilt)
    assert reply.status_code == 400 and "make a new client" in reply.json()["detail"]
