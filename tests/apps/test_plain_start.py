"""MONAI Label's own `start_server` with our app: it works, and is closed as far as an app can close it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from serving import ROOT, Server, parse_nrrd, save_image

from lib.pet import read_mask


@pytest.fixture(scope="module")
def plain(tmp_path_factory, phantom) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "studies").mkdir()
    save_image(folder / "studies/Roe_Richard.nii.gz", phantom.volume.array, phantom.volume.affine)
    save_image(folder / "outside.nii.gz", phantom.volume.array, phantom.volume.affine)
    server = Server(folder, plain=True, labels="lesion,liver", unit="SUVbw", model="none")
    try:
        yield server.start()
    finally:
        server.stop()


def infer(server, image="Roe_Richard", model="suv_region", output="image", **params):
    return requests.post(
        f"{server.url}/infer/{model}",
        params={"image": image, "output": output},
        data={"params": json.dumps(params)},
    )


def test_click_save_and_read_back_work(plain, lesions):
    client = plain.client()
    assert client.next_sample("random", {})["id"] == "Roe_Richard"
    assert client.next_sample("random", {})["id"] == "Roe_Richard"  # proposed again within the second
    path, params = client.infer("suv_region", "Roe_Richard", {"lesion": [lesions[0]]})
    mask, _ = read_mask(path)
    assert mask[tuple(lesions[0])] == 1
    assert params["objects"][0]["label"] == "lesion"
    client.save_label("Roe_Richard", path)
    np.testing.assert_array_equal(read_mask(client.download_label("Roe_Richard", "final"))[0], mask)
    assert (plain.state / "labels/Roe_Richard/1/mask.nrrd").is_file()
    assert client.next_sample("random", {}) == {}
    reply = infer(plain, lesion=[lesions[0]])
    np.testing.assert_array_equal(parse_nrrd(reply.content)[1], mask)
    for _ in range(50):  # MONAI Label deletes it once the reply is sent
        if not (left := list((plain.state / "results").iterdir())):
            break
        time.sleep(0.1)
    assert left == []


def test_without_weights_the_network_says_how_to_get_them(plain, lesions):
    for model in ("segpet", "segpet_click"):
        assert model in plain.client().info()["models"]
        reply = infer(plain, model=model, foreground=[lesions[0]])
        assert reply.status_code == 409
        assert "get a checkpoint" in reply.json()["detail"]


def test_bad_input_is_refused_with_a_sentence_and_changes_nothing(plain, lesions):
    before = plain.files()
    outside = str(plain.folder / "outside.nii.gz")
    for status, reply in [
        (422, infer(plain, lesion=[[1, 2, 999]])),
        (422, infer(plain, tumor=[[1, 2, 3]])),
        (404, infer(plain, image=outside, lesion=[lesions[0]])),
        (404, infer(plain, image="/etc/passwd")),
        (404, infer(plain, model="nothing")),
        (422, infer(plain, lesion=[lesions[0]], save_label=True, label_tag="../../x")),
        (404, requests.post(f"{plain.url}/activelearning/magic", json={})),
        (403, requests.put(f"{plain.url}/datastore/image?image=../../x", files={"file": ("x.py", b"x")})),
        (403, requests.delete(f"{plain.url}/datastore/image?id=Roe_Richard")),
        (403, requests.delete(f"{plain.url}/datastore/label?id=Roe_Richard&tag=final")),
        (422, requests.put(f"{plain.url}/session/", files={"files": ("x.py", b"x")})),
        (422, requests.put(f"{plain.url}/session/?uncompress=true", files={"files": ("x.nii", b"x")})),
    ]:
        assert reply.status_code == status, reply.text
        assert isinstance(reply.json()["detail"], str)
    overruled = requests.post(
        f"{plain.url}/infer/suv_region?image=Roe_Richard", data={"params": json.dumps({"image": outside})}
    )
    assert overruled.status_code == 404
    label = (plain.studies / "Roe_Richard.nii.gz").read_bytes()
    for query, name in (("tag=../../x", "a.nii.gz"), ("tag=final", "a.py"), ("tag=final", "a.nii.gz")):
        reply = requests.put(
            f"{plain.url}/datastore/label?image=Roe_Richard&{query}", files={"label": (name, label)}
        )
        assert reply.status_code == 422  # the last: an image is no mask
    assert plain.files() == before


def test_the_log_names_no_study(plain, lesions):
    assert infer(plain, lesion=[lesions[0]]).ok
    assert "Roe_Richard" not in plain.log.read_text()
    assert "Roe_Richard" not in (ROOT / "apps/segpet/logs/app.log").read_text()


def test_scoring_does_not_start_by_itself(plain):
    assert requests.get(f"{plain.url}/scoring/").status_code == 404  # never ran


def test_from_another_folder_the_app_gets_our_lib(tmp_path):
    """MONAI Label makes apps/segpet/lib and puts it first on the path: an empty namespace package."""
    (ROOT / "apps/segpet/lib").mkdir(exist_ok=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "studies").mkdir()
    program = (
        "import sys; from monailabel.interfaces.utils.app import app_instance;"
        f"app = app_instance({str(ROOT / 'apps/segpet')!r}, {str(tmp_path / 'studies')!r}, {{}});"
        "import lib, lib.pet; print('OURS', lib.__file__, lib.pet.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("OURS")]
    assert found == [f"OURS {ROOT / 'lib/__init__.py'} {ROOT / 'lib/pet/__init__.py'}"], done.stderr


def test_a_bad_option_is_one_sentence(tmp_path: Path):
    (tmp_path / "studies").mkdir()
    command = [sys.executable, "-m", "apps.segpet", "--studies", "studies", "--conf", "unit", "SUVlbm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "unit must be one of SUVbw, Bq/ml" in done.stderr
    assert "Traceback" not in done.stderr
