"""Which cases `segpet evaluate segmentation` measures, with which methods, and what it says of the others."""

import csv
import json
import shutil

from typer.testing import CliRunner

from scripts.__main__ import app
from tests.learning.small_studies import write_studies


def evaluate(folder, *options, clicks="1"):
    asked = ["--model", "none", "--clicks", clicks, *map(str, options)]
    return CliRunner().invoke(app, ["evaluate", "segmentation", str(folder), *asked])


def test_where_a_method_leaves_cases_out_everybody_is_told(tmp_path):
    write_studies(tmp_path / "cases", 2)
    (tmp_path / "cases/p1.json").write_text('{"Units": "Bq/mL"}')
    done = evaluate(tmp_path / "cases", "-o", tmp_path / "out")
    assert "Cases: 2 (suv_fixed 1)." in done.stdout
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["cases"], summary["baselines"][0]["cases"]) == (2, 1)
    said = "Its values are in Bq/ml: it was not measured with suv_fixed."
    assert summary["warnings"] == [{"number": 2, "warning": said}]
    assert f"Case 2: {said}" in " ".join(done.stderr.split())
    assert "cases: 2 (suv_fixed 1); without" in (tmp_path / "out/report.html").read_text()


def test_a_run_in_which_no_method_can_measure_says_why(tmp_path):
    write_studies(tmp_path, 1)
    (tmp_path / "p0.json").unlink()
    done = evaluate(tmp_path, "--method", "suv_fixed")
    assert done.exit_code == 2
    assert "Case 1: Its values are of unknown unit: it was not measured with suv_fixed." in done.stderr


def test_an_image_beside_another_of_its_name_is_left_out_and_told(tmp_path):
    write_studies(tmp_path / "cases", 1)
    shutil.copy(tmp_path / "cases/p0.nii.gz", tmp_path / "cases/p0.nii")
    done = evaluate(tmp_path / "cases", "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["cases"] == 1
    assert "1 image has the name of another one, left out (left_out.csv says which)." in done.stderr
    with (tmp_path / "out/left_out.csv").open() as file:
        assert [(row["number"], row["case"]) for row in csv.DictReader(file)] == [("", "p0.nii")]


def test_a_case_whose_click_file_ends_too_early_is_left_out(tmp_path):
    write_studies(tmp_path / "cases", 2)
    for name, count in (("p0", 2), ("p1", 3)):
        content = {"tumor": [[n, 7, 7] for n in range(count)], "background": []}
        (tmp_path / f"{name}_clicks.json").write_text(json.dumps(content))
    options = ["--protocol", "autopet", "--read-clicks", tmp_path, "--json"]
    summary = json.loads(evaluate(tmp_path / "cases", *options, clicks="3").stdout)
    assert summary["cases"] == 1
    said = "Its click file holds 2 of 3 clicks: ask for fewer by --clicks."
    assert summary["left_out"] == [{"number": 1, "reason": said}]


def test_seconds_are_a_step_s_where_each_has_two_clicks(tmp_path):
    write_studies(tmp_path / "cases", 1)
    for protocol, title in (("autopet", "s a step"), ("corrective", "s a click")):
        done = evaluate(tmp_path / "cases", "--protocol", protocol, "-o", tmp_path / "out")
        page = (tmp_path / "out/report.html").read_text()
        assert title in done.stdout and f"<th>{title}</th>" in page


def test_the_settings_name_the_channel_of_nnunet_that_was_measured(tmp_path):
    write_studies(tmp_path / "team", 1)
    for folder, source, name in (
        ("imagesTr", "p0.nii.gz", "p0_0000.nii.gz"),
        ("imagesTr", "p0.nii.gz", "p0_0001.nii.gz"),
        ("labelsTr", "labels/final/p0.nii.gz", "p0.nii.gz"),
    ):
        (tmp_path / "nnunet" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "team" / source, tmp_path / "nnunet" / folder / name)
    (tmp_path / "nnunet/dataset.json").write_text('{"channel_names": {"0": "CT", "1": "PET"}}')
    assert "nnunet_channel 1" in evaluate(tmp_path / "nnunet").stdout
    summary = json.loads(evaluate(tmp_path / "nnunet", "--json").stdout)
    assert summary["settings"]["nnunet_channel"] == 1
