"""`segpet export` as a person types it; `segpet import` and `quantify` read what it writes."""

import json

import numpy as np
import pydicom
import pytest
from dicom_series import PATIENT, write_series
from typer.testing import CliRunner

from lib.pet import read_mask, read_volume, write_mask
from scripts.__main__ import app

SHAPE = (12, 11, 8)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def named(_, dataset):
    dataset.PatientName, dataset.PatientID = PATIENT
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "F"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A studies folder with a DICOM and a NIfTI study that have labels, and one without."""
    folder = tmp_path_factory.mktemp("export")
    stored = np.random.default_rng(3).integers(10, 900, SHAPE).astype(np.int16)
    for name in ("studies", "masks"):
        (folder / name).mkdir()
    write_series(folder / "studies/Meier_Anna", stored, slopes=[0.01] * SHAPE[2], edit=named)
    volume = read_volume(folder / "studies/Meier_Anna")
    grid = np.zeros(SHAPE, np.uint8)
    grid[2:6, 2:5, 1:4], grid[7:10, 6:9, 4:7] = 1, 2
    for name in ("Meier_Anna", "plain"):
        write_mask(folder / f"masks/{name}.nii.gz", grid, volume.affine)
    for name in ("plain", "unlabelled"):
        write_mask(folder / f"studies/{name}.nii.gz", grid, volume.affine)
    result = run("import", folder / "studies", folder / "masks", "--label", "lesion", "--status", "final")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    result = run("export", folder / "studies", "-o", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


@pytest.fixture(scope="module")
def deidentified(folder):
    result = run("export", folder / "studies", "-o", folder / "shared", "--images", "--deidentify")
    assert result.exit_code == 0, result.output
    return folder / "shared"


def test_labelled_studies_are_written_and_others_are_not(exported):
    assert sorted(path.name for path in exported.iterdir()) == ["Meier_Anna", "plain"]
    assert not list((exported / "plain").glob("*.dcm"))


def test_the_numbers_are_those_that_quantify_gives(folder, exported):
    told = json.loads((exported / "Meier_Anna/lesions.json").read_text())
    mask = exported / "Meier_Anna/PET_mask.nii.gz"
    result = json.loads(run("quantify", folder / "studies/Meier_Anna", mask, "--json").stdout)
    for mine, theirs in zip(told["lesions"], result["lesions"], strict=True):
        assert all(mine[key] == theirs[key] for key in ("suv_max", "suv_mean", "suv_peak", "mtv_ml", "tlg_g"))
    assert told["patient"] == result["patient"]


def test_a_seg_comes_back_as_the_same_mask(folder, exported):
    (folder / "back").mkdir()
    (folder / "back/Meier_Anna.dcm").write_bytes((exported / "Meier_Anna/segmentation.dcm").read_bytes())
    state = folder / "another"
    result = run("import", folder / "studies", folder / "back", "--state", state)
    assert result.exit_code == 0, result.output
    (instances,) = state.glob("labels/Meier_Anna/1/instances.nii.gz")
    assert np.array_equal(read_mask(instances)[0], read_mask(folder / "masks/Meier_Anna.nii.gz")[0])


def test_documents_belong_to_the_patient_s_study(folder, exported):
    report = pydicom.dcmread(exported / "Meier_Anna/report.dcm")
    source = pydicom.dcmread(next((folder / "studies/Meier_Anna").iterdir()))
    assert report.PatientID == PATIENT[1] and report.StudyInstanceUID == source.StudyInstanceUID


def test_without_identifiers_nothing_says_whose_they_are(folder, deidentified):
    assert sorted(path.name for path in deidentified.iterdir()) == ["case-0001", "case-0002"]
    assert not list(deidentified.rglob("*.dcm"))
    uids = [one["uid"] for one in json.loads((folder / "out/plain/lesions.json").read_text())["objects"]]
    for path in deidentified.rglob("*.json"):
        told = path.read_text()
        assert not any(word in told for word in ("Meier", "Anna", PATIENT[1], "author", "time", *uids))


def test_cases_keep_their_names_in_later_exports(folder, deidentified):
    key = json.loads((folder / ".segpet/studies/export-names.json").read_text())
    assert sorted(key.values()) == ["case-0001", "case-0002"]
    assert run("export", folder / "studies", "-o", folder / "again", "--deidentify").exit_code == 0
    for case in key.values():
        first, later = (
            (folder / where / case / "PET_mask.nii.gz").read_bytes() for where in ("shared", "again")
        )
        assert first == later


def test_exported_cases_can_be_evaluated(deidentified, tmp_path):
    arguments = ["--model", "none", "--method", "suv_region", "--clicks", "1", "-o", tmp_path, "--json"]
    result = run("evaluate", "segmentation", deidentified, *arguments)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "summary.json").read_text())["cases"] == 2


def test_a_folder_without_labels_is_refused(tmp_path, folder):
    result = run("export", folder / "studies", "-o", tmp_path / "out", "--state", tmp_path / "state")
    assert result.exit_code == 2 and "has a saved label" in result.stderr


def test_an_output_among_the_studies_is_refused(folder):
    result = run("export", folder / "studies", "-o", folder / "studies/out")
    assert result.exit_code == 2 and "among the studies" in result.stderr
