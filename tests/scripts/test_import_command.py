"""`segpet import` as a person types it."""

import json

import numpy as np
import pytest
from dicom_series import PATIENT, write_series
from pydicom.uid import generate_uid
from structure_set import write
from typer.testing import CliRunner

from lib.pet import read_mask, write_mask
from lib.store import LabelVersions
from scripts.__main__ import app

AFFINE = np.diag([-2.0, -2, 3, 1])


@pytest.fixture
def folders(tmp_path):
    """A studies folder with two studies, and masks of another program for them: one has values 1 and 2."""
    for name in ("studies", "masks"):
        (tmp_path / name).mkdir()
    grid = np.zeros((12, 12, 8), np.uint8)
    grid[1:4, 1:4, 1:4], grid[3:6, 3:6, 3:6] = 1, 2
    for study in ("one", "two"):
        write_mask(tmp_path / f"studies/{study}.nii.gz", grid, AFFINE)
    write_mask(tmp_path / "masks/one.nii.gz", grid, AFFINE)
    (tmp_path / "masks/names.csv").write_text("1,Left kidney\n2,GTV\n", encoding="utf-8")
    return tmp_path


def run(folder, *arguments):
    return CliRunner().invoke(
        app, ["import", str(folder / "studies"), str(folder / "masks"), *map(str, arguments)]
    )


def versions(folder):
    return LabelVersions(folder / ".segpet/studies/labels").versions("one")


def test_each_region_becomes_an_object_of_its_label(folders):
    result = run(folders, "--value-names", folders / "masks/names.csv", "--status", "final")
    assert result.exit_code == 0, result.output
    (version,) = versions(folders)
    assert (version.status, version.author) == ("final", "import")
    objects = version.objects()["objects"]
    assert [(one["label"], one["name"]) for one in objects] == [
        ("kidney_left", "Left kidney"),
        ("lesion", "GTV"),
    ]
    instances, _ = read_mask(version.instances)
    truth, _ = read_mask(folders / "masks/one.nii.gz")
    assert np.array_equal(instances, truth)
    final, _ = read_mask(folders / "studies/labels/final/one.nii.gz")
    assert np.array_equal(final > 0, truth > 0)
    listed = json.loads((folders / "studies/datastore_v2.json").read_text())
    assert "final" in listed["objects"]["one"]["labels"]


def test_a_table_says_what_names_mean_and_what_is_left_out(folders):
    (folders / "table.csv").write_text("1,liver\n2,\n", encoding="utf-8")
    result = run(folders, "--names", folders / "table.csv")
    assert "1 object, version 1 (draft), left out: 2" in result.stdout
    assert [one["label"] for one in versions(folders)[0].objects()["objects"]] == ["liver"]
    assert not (folders / "studies/labels/final/one.nii.gz").exists()


@pytest.mark.parametrize(
    ("order", "objects", "told"),
    [
        (("small", "big"), 1, "not kept, for others cover it: GTV small"),
        (("big", "small"), 2, "kept but for what others cover: GTV big"),
    ],
)
def test_what_other_regions_cover_is_told_and_not_counted(tmp_path, order, objects, told):
    write_series(tmp_path / "studies/one", np.ones((8, 8, 4), np.int16))
    (tmp_path / "masks").mkdir()
    squares = {"small": (-3, 3), "big": (-7, 12)}
    regions = [
        (f"GTV {one}", [[low, -15, -27, high, -15, -27, high, 0, -27, low, 0, -27]])
        for one, (low, high) in ((one, squares[one]) for one in order)
    ]
    write(tmp_path / "masks/one.dcm", regions)
    result = run(tmp_path)
    assert f"{objects} object{'s' * (objects > 1)}, version 1 (draft), {told}" in result.stdout
    assert len(versions(tmp_path)[0].objects()["objects"]) == objects


def test_importing_again_makes_another_version(folders):
    for _ in range(2):
        assert run(folders, "--label", "lesion").exit_code == 0
    assert [version.number for version in versions(folders)] == [1, 2]


def test_two_sources_for_one_study_are_refused_and_the_others_taken(folders):
    grid, affine = read_mask(folders / "masks/one.nii.gz")
    for name in ("one.nii", "two.nii.gz"):
        write_mask(folders / "masks" / name, grid, affine)
    result = run(folders, "--label", "lesion")
    assert result.exit_code == 2
    assert "one: not imported. one.nii, one.nii.gz are all of this study" in result.stderr
    assert "two: 2 objects, version 1" in result.stdout
    assert not versions(folders)


def test_names_that_tell_nothing_are_refused_and_nothing_is_saved(folders):
    result = run(folders)
    assert result.exit_code == 2
    assert "'1', '2'" in result.stderr and "--label" in result.stderr
    assert versions(folders) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--status", "done"], "status"),
        (["--label", "tumour"], "no label in use"),
        (["--names", "absent.csv"], "cannot be read"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(folders, arguments, why):
    result = run(folders, *arguments)
    assert result.exit_code == 2 and why in result.stderr and "Traceback" not in result.output


def test_a_source_that_names_no_study_is_refused(folders):
    (folders / "masks/one.nii.gz").rename(folders / "masks/three.nii.gz")
    result = run(folders)
    assert result.exit_code == 2 and "has the name of a study" in result.stderr


@pytest.mark.parametrize(
    ("patient", "code", "told"), [(PATIENT[1], 0, "frame of reference"), ("SOMEBODY-1", 2, "another patient")]
)
def test_outlines_that_may_be_of_another_patient_are_told(tmp_path, patient, code, told):
    write_series(tmp_path / "studies/one", np.ones((8, 8, 4), np.int16))
    (tmp_path / "masks").mkdir()
    square = [-6, -15, -27, 6, -15, -27, 6, 0, -27, -6, 0, -27]
    write(tmp_path / "masks/one.dcm", [("GTV", [square])], patient=patient, frame=generate_uid())
    result = run(tmp_path)
    assert result.exit_code == code, result.output
    assert told in result.stderr and not any(text in result.output for text in (patient, *PATIENT))
    assert len(versions(tmp_path)) == (code == 0)
