"""A DICOM folder with several series or frames, on the command line."""

import json

import numpy as np
import pytest
from dicom_series import in_study, tags, write_frames, write_series
from typer.testing import CliRunner

from scripts.__main__ import app


@pytest.fixture
def stored():
    values = np.random.default_rng(0).integers(10, 300, (12, 10, 6)).astype(np.int16)
    values[4:8, 4:8, 2:4] = 3000
    return values


def segment(folder, tmp_path, *options):
    arguments = ["segment", folder, "--method", "suv_region", "--point", "5,5,2", "-o", tmp_path / "m.nii.gz"]
    return CliRunner().invoke(app, [str(part) for part in (*arguments, "--json", *options)])


def test_the_choice_among_series_is_explained_and_can_be_overruled(stored, tmp_path):
    write_series(tmp_path / "pet", stored, edit=in_study("1"))
    write_series(tmp_path / "pet", (stored * 2).astype(np.int16), edit=in_study("2"))
    chosen = segment(tmp_path / "pet", tmp_path)
    assert chosen.exit_code == 0, chosen.stderr
    assert "series" in chosen.stderr
    maxima = set()
    for place in ("0", "1"):
        result = segment(tmp_path / "pet", tmp_path, "--series", place)
        assert result.exit_code == 0, result.stderr
        maxima.add(json.loads(result.stdout)["regions"][0]["maximum"])
    assert maxima == {3000.0, 6000.0}


def test_a_frame_can_be_chosen(stored, tmp_path):
    write_frames(tmp_path / "pet", stored, lambda frame: tags(TriggerTime=frame * 125), kind="GATED")
    maxima = [
        json.loads(segment(tmp_path / "pet", tmp_path, "--frame", str(frame)).stdout)["regions"][0]["maximum"]
        for frame in range(3)
    ]
    assert np.array(maxima) / maxima[0] == pytest.approx([1, 2, 3], rel=1e-3)


def test_a_series_that_is_not_there_is_one_sentence(stored, tmp_path):
    write_series(tmp_path / "pet", stored, edit=in_study("1"))
    for options in (["--series", "7"], ["--frame", "9"], ["--series", "1.2.3"]):
        result = segment(tmp_path / "pet", tmp_path, *options)
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr


def test_series_of_a_file_are_refused(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"")
    result = segment(tmp_path / "x.nii.gz", tmp_path, "--series", "0")
    assert result.exit_code == 2
    assert "for DICOM folders" in result.stderr
