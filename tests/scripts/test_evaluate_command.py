"""`segpet evaluate segmentation` as a person types it."""

import csv
import json
import re
import shutil
from importlib.metadata import version

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from small_network import small_seganypet
from typer.testing import CliRunner

from lib.learning.metrics import METRICS
from lib.network import save_network
from lib.pet import write_mask
from scripts.__main__ import app

NAMES = ("Doe^Jane 1970", "Roe^Richard")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Two phantoms with hot lesions in a quiet box, as folders named after people."""
    folder = tmp_path_factory.mktemp("cases")
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    for seed, name in enumerate(NAMES):
        random = np.random.default_rng(seed)
        lesions = np.zeros((48, 40, 56), np.uint16)
        for number, middle in enumerate(((14, 12, 14), (34, 26, 16), (22, 20, 40))[: 2 + seed], start=1):
            squared = ((np.indices(lesions.shape) - np.reshape(middle, (3, 1, 1, 1))) ** 2).sum(axis=0)
            lesions[squared <= random.uniform(3, 7) ** 2] = number
        image = gaussian_filter(np.where(lesions, 9.0, 0.8), 0.7)
        image += 0.05 * random.standard_normal(lesions.shape)
        (folder / name).mkdir()
        nibabel.save(
            nibabel.Nifti1Image(image.astype(np.float32), affine), folder / name / "PET_image.nii.gz"
        )
        write_mask(folder / name / "PET_mask.nii.gz", lesions, affine)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(small_seganypet(), path)
    return path


def evaluate(*arguments):
    if "--model" not in arguments:
        arguments = (*arguments, "--model", "none")
    return CliRunner().invoke(app, ["evaluate", "segmentation", *map(str, arguments)])


@pytest.fixture(scope="module")
def with_region_growing(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "new"
    result = evaluate(cases, "--unit", "SUVbw", "--clicks", "0,1,3", "-o", folder, "--json")
    assert result.exit_code == 0, result.stderr
    return folder, json.loads(result.stdout)


def test_one_method_is_summarised_in_the_stated_form(with_region_growing):
    _, summary = with_region_growing
    assert (summary["weights"], summary["cases"]) == ("suv_region", 2)
    assert list(summary["clicks"]) == ["0", "1", "3"]
    at_one = summary["clicks"]["1"]
    assert at_one.keys() == {*METRICS, "seconds"}
    low, high = at_one["dice"]["ci95"]
    assert 0.6 < low <= at_one["dice"]["mean"] <= high < 1
    assert at_one["seconds"] > 0
    assert summary["clicks"]["0"]["dice"]["mean"] == 0
    assert [baseline["weights"] for baseline in summary["baselines"]] == ["suv_fixed"]
    assert summary["settings"]["protocol"] == "corrective"


def test_the_table_of_cases_agrees_with_the_summary(with_region_growing):
    folder, summary = with_region_growing
    lines = list(csv.DictReader((folder / "cases.csv").open()))
    assert len(lines) == 2 * 2 * 3  # cases, methods, numbers of clicks
    of_one = [
        float(line["dice"]) for line in lines if (line["method"], line["clicks"]) == ("suv_region", "1")
    ]
    assert np.mean(of_one) == pytest.approx(summary["clicks"]["1"]["dice"]["mean"], abs=1e-4)
    assert {(line["number"], line["case"]) for line in lines} == {("1", NAMES[0]), ("2", NAMES[1])}
    assert json.loads((folder / "summary.json").read_text()) == summary


def test_the_table_of_lesions_has_every_lesion_of_every_method(with_region_growing):
    folder, summary = with_region_growing
    of_cases = list(csv.DictReader((folder / "cases.csv").open()))
    lesions = sum(int(line["lesions"]) for line in of_cases if line["clicks"] == "1")
    assert len(list(csv.DictReader((folder / "lesions.csv").open()))) == 3 * lesions
    assert sum(group["count"] for group in summary["lesions"].values()) == lesions / 2


def test_the_page_says_what_was_measured_when_and_by_which_version(with_region_growing):
    folder, summary = with_region_growing
    page = (folder / "report.html").read_text()
    assert (
        f"cases: 2; without a lesion: 0; left out: 0; date: {summary['date']}; SegPET: {version('segpet')}"
        in page
    )


def test_the_page_opens_offline_and_names_nobody(with_region_growing):
    page = (with_region_growing[0] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    text = re.sub(r"base64,[^\"]+", "", page)  # which may hold any letters by chance
    assert not re.search(r"//|@import|url\(|<script|<link", text)
    assert not re.search("Doe|Roe|Jane|Richard", text)


def test_clicks_made_by_autopets_rules_are_written_and_give_the_same_masks_again(cases, tmp_path):
    options = ["--unit", "SUVbw", "--protocol", "autopet", "--clicks", "0,2", "--method", "suv_region"]
    made = evaluate(cases, *options, "-o", tmp_path / "made", "--json")
    again = evaluate(cases, *options, "--read-clicks", tmp_path / "made/clicks/suv_region", "--json")
    assert again.exit_code == 0, again.stderr
    one, other = (json.loads(result.stdout)["clicks"]["2"]["dice"] for result in (made, again))
    assert one == other


def test_corrective_clicks_of_one_lesion_are_not_written_as_clicks_of_the_case(with_region_growing):
    assert not (with_region_growing[0] / "clicks").exists()


def test_autopets_protocol_has_eleven_states_on_the_same_clicks(cases, tmp_path):
    result = evaluate(cases, "--unit", "SUVbw", "--protocol", "autopet", "-o", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert list(summary["clicks"]) == [str(n) for n in range(11)]
    assert summary["clicks"]["10"]["fnv_ml"]["mean"] == 0
    for name in NAMES:
        one, other = (
            (tmp_path / "clicks" / method / f"{name}_clicks.json").read_text()
            for method in ("suv_region", "suv_fixed")
        )
        assert one == other
        assert [len(of_kind) for of_kind in json.loads(one).values()] == [10, 10]


def test_proposals_are_measured_with_their_seeds(cases, tmp_path):
    result = evaluate(
        cases, "--unit", "SUVbw", "--clicks", "0,1", "--proposals", "--method", "suv_region",
        "-o", tmp_path, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["clicks"]["0"]["dice"]["mean"] > 0.6
    assert (summary["seeds"]["found"], summary["seeds"]["lesions"]) == (5, 5)
    assert "5 of 5 lesions have a seed" in (tmp_path / "report.html").read_text()
    lines = list(csv.DictReader((tmp_path / "cases.csv").open()))
    assert [line["seed_recall"] for line in lines] == ["1.0"] * 4  # cases, numbers of clicks
    false = [int(line["false_seeds"]) for line in lines if line["clicks"] == "0"]
    assert np.mean(false) == pytest.approx(summary["seeds"]["false"]["mean"])
    # Without clicks a lesion has its proposal's Dice, as the case has.
    of_lesions = list(csv.DictReader((tmp_path / "lesions.csv").open()))
    assert all(float(line["dice"]) > 0.5 for line in of_lesions)


def test_people_see_recall_and_false_seeds_below_the_table(cases):
    options = ["--unit", "SUVbw", "--clicks", "0,1", "--proposals", "--method", "suv_region"]
    assert "recall 1.000" in evaluate(cases, *options).stdout


def test_neither_summary_nor_page_has_a_name_from_a_reason(cases, tmp_path):
    clicks = tmp_path / "clicks"
    clicks.mkdir()
    (clicks / f"{NAMES[0]}_clicks.json").write_text('{"tumor": [[14, 12, 14]], "background": []}')
    result = evaluate(
        cases,
        "--protocol",
        "autopet",
        "--read-clicks",
        clicks,
        "--clicks",
        "1",
        "-o",
        tmp_path / "out",
        "--json",
    )
    assert result.exit_code == 0, result.output
    reason = {"number": 2, "reason": "There is no click file NAME_clicks.json."}
    assert json.loads(result.stdout)["left_out"] == [reason]
    for name in ("summary.json", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        assert reason["reason"] in text
        assert not re.search("Doe|Roe|Jane|Richard", text)
    said = "Case 2 was left out: There is no click file NAME_clicks.json. (left_out.csv says which)"
    assert said in " ".join(result.stderr.split())


def test_names_of_files_are_left_out_of_reasons(cases, tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    for name in NAMES:
        shutil.copy(cases / name / "PET_image.nii.gz", tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(cases / name / "PET_mask.nii.gz", tmp_path / "labelsTr" / f"{name}.nii.gz")
    (tmp_path / "imagesTr" / f"{NAMES[0]}_0000.nii.gz").write_bytes(b"no image")
    (tmp_path / "labelsTr" / f"{NAMES[1]}.nii.gz").write_bytes(b"no mask")
    result = evaluate(tmp_path, "--clicks", "1")
    assert result.exit_code == 2
    assert "Case 1: NAME_0000.nii.gz cannot be read" in result.stderr


def test_masks_are_written_on_the_grid_of_the_image(cases, tmp_path):
    options = ["--unit", "SUVbw", "--clicks", "1", "--method", "suv_region", "--masks", "-o", tmp_path]
    assert evaluate(cases, *options).exit_code == 0
    lines = {line["case"]: line for line in csv.DictReader((tmp_path / "cases.csv").open())}
    for name in NAMES:
        truth = nibabel.load(cases / name / "PET_mask.nii.gz")
        mask = nibabel.load(tmp_path / "masks" / "suv_region" / f"{name}.nii.gz")
        np.testing.assert_array_equal(mask.affine, truth.affine)
        wanted, there = truth.get_fdata() > 0, mask.get_fdata() > 0
        dice = 2 * (wanted & there).sum() / (wanted.sum() + there.sum())
        assert dice == pytest.approx(float(lines[name]["dice"]), abs=1e-5)


def test_nothing_of_an_earlier_run_is_left_in_its_folder_and_all_else_stays(cases, tmp_path, monkeypatch):
    options = ["--unit", "SUVbw", "--protocol", "autopet", "--clicks", "1", "-o", tmp_path]
    assert evaluate(cases, *options, "--method", "suv_fixed", "--masks").exit_code == 0
    others = [tmp_path / "notes.txt", tmp_path / "clicks" / "suv_fixed" / "my_clicks.json"]
    for path in others:
        path.write_text("mine")
    monkeypatch.setattr("lib.learning.cases.read_case", interrupted)
    assert evaluate(cases, *options, "--method", "suv_region").exit_code == 2
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


def test_cases_without_lesion_are_counted_and_change_no_mean(cases, tmp_path):
    shutil.copytree(cases / NAMES[0], tmp_path / "cases" / "a")
    shutil.copytree(cases / NAMES[1], tmp_path / "cases" / "b")
    empty = np.zeros((48, 40, 56), np.uint8)
    write_mask(tmp_path / "cases" / "b" / "PET_mask.nii.gz", empty, np.diag([-4.0, -4.0, 4.0, 1.0]))
    options = ["--unit", "SUVbw", "--clicks", "0,1", "--method", "suv_region"]
    result = evaluate(tmp_path / "cases", *options, "-o", tmp_path / "out")
    assert "Cases without a lesion: 1" in result.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["cases"], summary["without_lesion"]) == (2, 1)
    assert {summary["clicks"]["1"][name]["cases"] for name in METRICS} == {1}
    shutil.rmtree(tmp_path / "cases" / "a")
    result = evaluate(tmp_path / "cases", *options)
    assert result.exit_code == 2
    assert "No case that was read has a lesion" in result.stderr


def test_a_mask_on_another_grid_is_said_everywhere(cases, tmp_path):
    shutil.copytree(cases / NAMES[0], tmp_path / "cases" / "a")
    path = tmp_path / "cases" / "a" / "PET_mask.nii.gz"
    mask = nibabel.load(path)
    write_mask(path, np.asarray(mask.dataobj).astype(np.uint8)[:, :, :42], mask.affine)
    result = evaluate(tmp_path / "cases", "--clicks", "1", "--method", "suv_region", "-o", tmp_path / "out")
    assert result.exit_code == 0
    said = "another grid than the image; it was resampled (nearest neighbour). It covers 75 % of the image"
    assert said in " ".join(result.stderr.split())
    assert all(said in (tmp_path / "out" / name).read_text() for name in ("summary.json", "report.html"))


def test_models_are_compared_with_each_other_and_with_the_baseline(cases, weights):
    result = evaluate(
        cases, "--clicks", "1", "--value", "1", "--model", weights, "--model", weights,
        "--method", "suv_region", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert [model["weights"] for model in summary["models"]] == ["small", "small (2)"]
    assert summary["models"][0]["digest"] == summary["models"][1]["digest"]
    assert summary["models"][0]["clicks"]["1"]["dice"] == summary["models"][1]["clicks"]["1"]["dice"]
    own, same = summary["baselines"]
    assert (own["weights"], same["weights"]) == ("suv_region", "suv_region, same clicks")
    assert own["clicks"]["1"]["dice"] == same["clicks"]["1"]["dice"]  # the first click looks at no mask
    # Of each case only the lesion with this value counts.
    assert sum(group["count"] for group in summary["baselines"][0]["lesions"].values()) == 2


def test_what_is_proposed_can_be_measured_alone(cases, tmp_path):
    options = ["--unit", "SUVbw", "--clicks", "0", "--proposals", "--method", "suv_region"]
    result = evaluate(cases, *options, "-o", tmp_path / "alone", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["seeds"]["found"] == 5
    assert summary["clicks"]["0"]["dice"]["mean"] > 0.4
    assert summary["area_over_clicks"]["dice"]["mean"] is None
    with (tmp_path / "alone/cases.csv").open(newline="") as file:
        (first, _) = csv.DictReader(file)
    assert first["dice_over_clicks"] == ""


def test_the_best_weights_are_taken_where_none_are_named(cases, weights, tmp_path, monkeypatch):
    from lib.network import registry

    best = registry.WeightsFile(weights.stem, weights, is_own=True, official=None)
    monkeypatch.setattr(registry, "default_weights", lambda bundled: best)
    result = CliRunner().invoke(
        app, ["evaluate", "segmentation", str(cases), "--clicks", "1", "--value", "1", "--json"]
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["weights"] == "small"


def test_without_suv_a_fixed_suv_is_left_out(cases):
    summary = json.loads(evaluate(cases, "--clicks", "1", "--json").stdout)
    assert summary["baselines"][0]["cases"] == 0
    assert summary["cases"] == 2


def test_people_get_a_table(cases):
    result = evaluate(cases, "--unit", "SUVbw", "--clicks", "0,1", "--embed", "3", "--annotator", "random")
    assert result.exit_code == 0, result.stderr
    assert "suv_region" in result.stdout
    assert "embed 3" in result.stdout


def test_a_damaged_case_is_left_out_and_the_others_are_measured(cases, tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        for file in (cases / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    (tmp_path / NAMES[0] / "PET_image.nii.gz").write_bytes(b"no image")
    result = evaluate(tmp_path, "--clicks", "1", "--json")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert summary["cases"] == 1
    assert [case["number"] for case in summary["left_out"]] == [1]
    assert "cannot be read" in result.stderr


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupted_run_keeps_what_is_done(cases, tmp_path, monkeypatch, after):
    from lib.learning import cases as reading

    read, count = reading.read_case, iter(range(10))

    def sometimes(*arguments, **options):
        return interrupted() if next(count) == after else read(*arguments, **options)

    monkeypatch.setattr(reading, "read_case", sometimes)
    result = evaluate(cases, "--clicks", "1", "-o", tmp_path)
    if after:
        assert result.exit_code == 130
        assert json.loads((tmp_path / "summary.json").read_text())["cases"] == 1
        assert (tmp_path / "report.html").exists()
    else:
        assert result.exit_code == 2
        assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--clicks", "1,two"], "no list of clicks"),
        (["--clicks", "-1,2"], "between 0 and"),
        (["--clicks", "0"], "Without a click there is nothing to score"),
        (["--read-clicks", "."], "--protocol autopet"),
        (["--protocol", "autopet", "--clicks", "20"], "autoPET's rules make 10 clicks"),
        (["--protocol", "autopet", "--read-clicks", "nowhere"], "no folder nowhere"),
        (["--protocol", "autopet", "--read-clicks", "."], "No case could be measured"),
        (["--model", "none.pth"], "no weights at none.pth"),
        (["--unit", "foo"], "The unit must be one of SUVbw"),
        (["--value", "1", "--value", "99"], "No mask holds value 99."),
        (["--value", "-1"], "--value"),
        (["--masks"], "--masks needs --output"),
        (["--protocol", "autopet", "--read-clicks", ".", "-o", ".."], "lies in the output"),
        (["--device", "toaster", "--model", "none.pth"], "toaster"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(cases, arguments, said):
    result = evaluate(cases, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_without_cases_is_answered_with_a_sentence(tmp_path):
    result = evaluate(tmp_path)
    assert result.exit_code == 2
    assert "There is no case" in result.stderr


def test_a_unit_that_overrules_the_files_is_said(cases, tmp_path):
    shutil.copytree(cases / NAMES[0], tmp_path / "cases" / "a")
    (tmp_path / "cases" / "a" / "PET_image.json").write_text('{"Units": "Bq/mL"}')
    options = ["--unit", "SUVbw", "--model", "none", "--clicks", "1", "--method", "suv_fixed"]
    result = evaluate(tmp_path / "cases", *options)
    assert result.exit_code == 0, result.output
    assert "Case 1: The image says that its values are in Bq/mL" in " ".join(result.stderr.split())
