"""`segpet train bundled`: weights from cases, and refusals in one sentence."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors import safe_open
from small_network import tiny_compact
from typer.testing import CliRunner

from lib.network import CompactPET, load_network, save_network
from scripts.__main__ import app


@pytest.fixture
def cases(tmp_path):
    """Two patients of 24^3 voxels with a ball of uptake."""
    at = np.stack(np.indices((24, 24, 24)), -1)
    mask = np.linalg.norm(at - 12, axis=-1) < 4
    for name in ("a", "b"):
        folder = tmp_path / "cases" / name
        folder.mkdir(parents=True)
        for file, array in (("PET_image", 0.5 + 5.0 * mask), ("PET_mask", mask)):
            image = nibabel.Nifti1Image(array.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
            nibabel.save(image, folder / f"{file}.nii.gz")
    return tmp_path / "cases"


def train(cases, tmp_path, *options):
    command = ["train", "bundled", str(cases), "-o", str(tmp_path / "weights.safetensors")]
    command += ["--work", str(tmp_path / "work"), "--phantoms", "0", "--threads", "1", *options]
    return CliRunner().invoke(app, command)


def test_training_writes_weights_a_log_and_goes_on_from_its_checkpoint(cases, tmp_path):
    result = train(cases, tmp_path, "--steps", "1", "--leave-out", "b")
    assert result.exit_code == 0, result.output
    assert isinstance(load_network(tmp_path / "weights.safetensors"), CompactPET)
    (line,) = (tmp_path / "work" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 1
    again = train(cases, tmp_path, "--steps", "1", "--leave-out", "b")
    assert "1 steps: " in again.output  # done before: nothing more was learnt
    assert len((tmp_path / "work" / "log.jsonl").read_text().splitlines()) == 1


def test_ctrl_c_stops_between_steps_and_the_same_command_goes_on(cases, tmp_path):
    work, root = tmp_path / "work", Path(__file__).parents[2]
    save_network(tiny_compact(), start := tmp_path / "start.safetensors")
    command = [sys.executable, "-m", "scripts", "train", "bundled", str(cases), "--work", str(work)]
    command += ["-o", str(tmp_path / "weights.safetensors"), "--start", str(start), "--steps", "100000"]
    command += ["--phantoms", "0", "--threads", "1", "--batch", "2"]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as running:
        while not ((log := work / "log.jsonl").exists() and log.read_text()):
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    steps = len(log.read_text().splitlines())
    assert f"Stopped after step {steps}; the same command goes on." in told
    with safe_open(work / "checkpoint.safetensors", framework="pt") as checkpoint:
        assert checkpoint.metadata()["step"] == str(steps)
    assert not (tmp_path / "weights.safetensors").exists()


def test_of_the_trained_weights_as_much_comes_out_as_is_wanted(cases, tmp_path):
    start = tmp_path / "start.safetensors"
    save_network(tiny_compact(), start)
    options = ("--steps", "1", "--start", str(start), "--rate", "0.1")
    came_out = {}
    for share in ("0", "0.5", "1"):
        assert train(cases, tmp_path, *options, "--share", share).exit_code == 0
        came_out[share] = load_network(tmp_path / "weights.safetensors").state_dict()
    for key, value in load_network(start).state_dict().items():
        torch.testing.assert_close(came_out["0"][key], value.half().float())
        middle = (came_out["0"][key] + came_out["1"][key]) / 2
        torch.testing.assert_close(came_out["0.5"][key], middle, atol=1e-3, rtol=1e-2)
    assert any((came_out["1"][key] != value).any() for key, value in came_out["0"].items())


def test_images_in_another_unit_than_suv_teach_nothing(cases, tmp_path):
    (cases / "b" / "PET_image.json").write_text('{"Units": "BQML"}')
    result = train(cases, tmp_path, "--steps", "1")
    assert result.exit_code == 2
    assert "The values of b are in Bq/ml: give images in SUVbw." in result.output


def test_a_unit_that_is_none_is_refused_before_anything_is_read(cases):
    done = CliRunner().invoke(app, ["train", "segmentation", str(cases), "--unit", "banana"])
    assert done.exit_code == 2
    assert "The unit must be one of SUVbw" in done.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--steps", "1", "--leave-out", "c"), "There is no case c"),
        ((), "Give the number of steps or the minutes"),
        (("--steps", "1", "--share", "0.5"), "leave --share out"),
        (("--steps", "0"), "must be above 0"),
        (("--steps", "1", "--rate", "nan"), "The learning rate must be"),
        (("--steps", "1", "--seed", "-1"), "The seed must be"),
        (("--steps", "1", "--minutes", "1"), "Give the number of steps or the minutes"),
        (("--steps", "1", "--leave-out", "a", "--leave-out", "b"), "No case is left"),
    ],
)
def test_what_cannot_be_trained_is_refused(cases, tmp_path, options, sentence):
    result = train(cases, tmp_path, *options)
    assert result.exit_code == 2
    assert sentence in result.output
