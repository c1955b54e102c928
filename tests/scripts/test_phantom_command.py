"""`segpet phantom` as a person types it."""

import json

import pytest
from typer.testing import CliRunner

from lib.pet import read_mask, read_volume
from scripts.__main__ import app

SMALL = ["--shape", "64,48,108", "--voxel", "6,6,6"]


def run(*arguments):
    return CliRunner().invoke(app, ["phantom", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "dotatate-5"
    return folder, run("--tracer", "DOTATATE", "--seed", 5, "-o", folder, "--lesions", 3, *SMALL, "--json")


def test_a_study_is_written_and_described(made):
    folder, result = made
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["tracer"], told["seed"], len(told["lesions"])) == ("DOTATATE", 5, 3)
    assert told["organs"] >= 20 and told["shape"] == [64, 48, 108]
    assert "Drawing the patient" in result.stderr and "Writing DICOM" in result.stderr
    image, series = read_volume(folder / "PET_image.nii.gz"), read_volume(folder / "dicom")
    assert image.shape == series.shape == (64, 48, 108)
    assert image.unit == series.unit == "SUVbw"
    assert read_mask(folder / "lesions.nii.gz")[0].max() == 3


def test_the_same_options_give_the_same_bytes(made, tmp_path):
    folder, _ = made
    again = run("--tracer", "DOTATATE", "--seed", 5, "-o", tmp_path / "x", "--lesions", 3, *SMALL)
    assert again.exit_code == 0, again.stderr
    assert "lesion 3:" in again.stdout and "liver CV" in again.stdout
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "x" / path.relative_to(folder)).read_bytes()


def test_options_reach_the_phantom(tmp_path):
    options = ["--sex", "F", "--height", 1.6, "--weight", 90, "--arms", "down", "--orientation", "odd"]
    result = run(
        "-o", tmp_path / "x", *options, "--kind", "bone", "--lesions", 2, *SMALL, "--no-dicom", "--json"
    )
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["patient"] == {"sex": "F", "height_m": 1.6, "weight_kg": 90, "arms": "down"}
    assert {one["kind"] for one in told["lesions"]} == {"bone"}
    assert sorted(told["shape"]) == [48, 64, 108]
    assert not (tmp_path / "x" / "dicom").exists()


def test_the_extent_says_how_much_of_the_body_is_shown(tmp_path):
    lengths = {}
    for extent in ("trunk", "thighs", "whole"):
        result = run(
            "-o",
            tmp_path / extent,
            "--extent",
            extent,
            "--voxel",
            "8,8,8",
            "--no-dicom",
            "--lesions",
            0,
            "--json",
        )
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        names = (tmp_path / extent / "labels.csv").read_text()
        lengths[extent] = told["shape"][2] * 8
        assert ("brain" in names, "tibia_left" in names) == (extent != "trunk", extent == "whole")
    assert lengths["trunk"] < lengths["thighs"] < lengths["whole"]


def test_bad_input_is_one_sentence_and_status_2(made, tmp_path):
    folder, _ = made
    (tmp_path / "table.toml").write_text("[X]\n")
    cases = {
        "holds a study already": ["-o", folder],
        "'water': use one of FDG": ["-o", tmp_path / "a", "--tracer", "water"],
        "'4' is no voxel size": ["-o", tmp_path / "b", "--voxel", "4"],
        "'a,b,c' is no shape": ["-o", tmp_path / "c", "--shape", "a,b,c"],
        "spacings of 0.5 to 20 mm": ["-o", tmp_path / "d", "--voxel", "0,4,4"],
        "seed must be 0 or more": ["-o", tmp_path / "e", "--seed", "-1"],
        "of the kinds sphere": ["-o", tmp_path / "f", "--kind", "oval"],
        "must have the fields": ["-o", tmp_path / "g", "--uptake", tmp_path / "table.toml"],
        "body mass index": ["-o", tmp_path / "h", "--height", "1.7", "--weight", "400"],
        "lesions found room": ["-o", tmp_path / "i", "--shape", "8,8,8"],
        "three spacings of 0.5": ["-o", tmp_path / "j", "--voxel", "nan,4,4"],
        "height must be 1.2 to 2.2 m": ["-o", tmp_path / "k", "--height", "0"],
        "kg at 1.70 m": ["-o", tmp_path / "l", "--height", "1.7", "--weight", "0"],
        "'' is no shape": ["-o", tmp_path / "m", "--shape", ""],
        "uptake tables: is a directory.": ["-o", tmp_path / "n", "--uptake", tmp_path],
        "400 mm found no room": [
            "-o",
            tmp_path / "o",
            "--largest",
            "400",
            "--shape",
            "64,48,60",
            "--voxel",
            "6,6,6",
        ],
    }
    for expected, arguments in cases.items():
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), (expected, result.output)
        told = result.stderr.removeprefix("Drawing the patient ...\n")
        # What is refused for its options is refused before anything is said to be drawn.
        assert (told != result.stderr) == ("room" in expected)
        assert expected in told and told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["table.toml"]
