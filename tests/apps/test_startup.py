"""What a server says when it starts, and what it does with files that are no studies."""

import subprocess
import sys
import tomllib

import numpy as np
import pytest
import requests
from serving import ROOT, Server, save_image


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, phantom):
    """A server without weights, with two good studies among files that are none."""
    folder = tmp_path_factory.mktemp("startup")
    studies = folder / "studies"
    studies.mkdir()
    for name in ("good.nii.gz", "twice.nii", "twice.nii.gz"):
        save_image(studies / name, phantom.volume.array, phantom.volume.affine)
    save_image(studies / "flat.nii", phantom.volume.array[:, :, 0], phantom.volume.affine)
    save_image(studies / "frames.nii", np.ones((4, 4, 4, 3), np.float32), np.eye(4))
    (studies / "broken.nii.gz").write_bytes(b"\x1f\x8b no image")
    (studies / "Doe_notes.txt").touch()
    server = Server(folder, unit="SUVbw", model="none")
    try:
        yield server.start()
    finally:
        server.stop()


def test_a_few_lines_say_what_is_served(own_server):
    log = own_server.log.read_text()
    for line in (
        "5 studies.",
        "Not served: 1 x hidden by another file of the same name",
        "Not served: 1 x no image",
        f"Labels go to {own_server.studies / 'labels'}",
        "taken for SUVbw",
        "No weights: suv_region",
        f"Uvicorn running on {own_server.url}",
    ):
        assert log.count(line) == 1, log
    assert len(log.splitlines()) == 7
    assert "Doe_notes" not in log  # nobody reads along: names may be patients'


def test_the_version_is_that_of_the_project(own_server):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert requests.get(f"{own_server.url}/info/", timeout=10).json()["version"] == project["version"]


def test_tasks_that_lack_weights_say_so(own_server):
    models = requests.get(f"{own_server.url}/info/", timeout=10).json()["models"]
    assert {name for name, model in models.items() if "No weights" in model["description"]} == {
        "segpet",
        "segpet_click",
        "segpet_auto",
    }


def test_with_weights_no_description_says_that_there_are_none(server):
    models = requests.get(f"{server.url}/info/", timeout=10).json()["models"]
    assert "No weights" not in str([model["description"] for model in models.values()])


def test_what_cannot_be_read_is_never_proposed(own_server):
    url = f"{own_server.url}/activelearning/random"
    proposed = {requests.post(url, json={}, timeout=10).json()["id"] for _ in range(20)}
    assert proposed == {"good", "twice"}


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_model_that_is_none_is_refused_before_anything_is_served(tmp_path, name):
    (tmp_path / "studies").mkdir()
    (tmp_path / name).write_text("no weights")
    command = [sys.executable, "-m", "scripts", "serve", "--studies", tmp_path / "studies"]
    command += ["--model", tmp_path / name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert f"{name} is not a" in result.stderr
