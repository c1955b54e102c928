"""What `segpet evaluate segmentation` leaves out can be found, and names nobody where others read."""

import csv
import shutil

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from lib.pet import write_mask
from scripts.__main__ import app

GRID = np.diag([-4.0, -4.0, 4.0, 1.0])


@pytest.fixture
def cases(tmp_path):
    """A good case, a damaged one, and one whose mask is mistyped, as folders named after people."""
    lesion = np.zeros((20, 20, 20), np.uint8)
    lesion[8:12, 8:12, 8:12] = 1
    image = nibabel.Nifti1Image(np.where(lesion, 9, 1).astype(np.float32), GRID)
    for name in ("Doe^Jane", "Poe^Ann", "Roe^Richard"):
        (tmp_path / "cases" / name).mkdir(parents=True)
        nibabel.save(image, tmp_path / "cases" / name / "PET_image.nii.gz")
        write_mask(tmp_path / "cases" / name / "PET_mask.nii.gz", lesion, GRID)
    (tmp_path / "cases/Poe^Ann/PET_image.nii.gz").write_bytes(b"no image")
    folder = tmp_path / "cases/Roe^Richard"
    (folder / "PET_mask.nii.gz").rename(folder / "PET_Mask.nii.gz")
    return tmp_path / "cases"


def evaluate(cases, *options):
    asked = ["--unit", "SUVbw", "--clicks", "1", "--model", "none", "--method", "suv_region", *options]
    done = CliRunner().invoke(app, ["evaluate", "segmentation", str(cases), *map(str, asked)])
    assert done.exit_code == 0, done.output
    return done


def test_left_out_cases_are_named_in_a_file_and_told_without_names(cases, tmp_path):
    done = evaluate(cases, "-o", tmp_path / "out")
    told = " ".join(done.stderr.split())
    assert "Case 2 was left out: PET_image.nii.gz cannot be read" in told
    assert "1 folder has an image and no PET_mask.nii.gz, left out (left_out.csv says which)." in told
    assert not any(name in done.output for name in ("Doe", "Poe", "Roe"))
    with (tmp_path / "out/left_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["number"], row["case"]) for row in rows] == [("", "Roe^Richard"), ("2", "Poe^Ann")]
    assert rows[0]["reason"] == "There is no PET_mask.nii.gz in its folder."


def test_without_a_folder_for_it_the_file_is_pointed_to(cases):
    assert "(with --output left_out.csv says which)" in " ".join(evaluate(cases).stderr.split())


def test_what_an_earlier_run_left_out_is_forgotten(cases, tmp_path):
    evaluate(cases, "-o", tmp_path / "out")
    shutil.rmtree(cases / "Poe^Ann")
    shutil.rmtree(cases / "Roe^Richard")
    evaluate(cases, "-o", tmp_path / "out")
    assert not (tmp_path / "out/left_out.csv").exists()


@pytest.mark.parametrize(
    ("protocol", "written"),
    [("corrective", ["lesions.csv", "left_out.csv"]), ("autopet", ["left_out.csv", "clicks/"])],
)
def test_only_what_was_written_is_said_to_be(cases, tmp_path, protocol, written):
    done = evaluate(cases, "-o", tmp_path / "out", "--protocol", protocol)
    files = ["summary.json", "cases.csv", *written]
    assert f"report.html, {', '.join(files)}\n" in done.stdout
    assert all((tmp_path / "out" / name).exists() for name in files)
