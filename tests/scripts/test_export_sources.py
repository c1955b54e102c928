"""`segpet export` of DICOM sources that are unusual: each is exported or told, and none keeps others back."""

import numpy as np
import pydicom
import pytest
from dicom_series import write_enhanced, write_series
from typer.testing import CliRunner

from lib.pet import read_mask, read_volume, write_mask
from scripts.__main__ import app

SHAPE = (6, 7, 8)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def descending(k, dataset):
    dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence)[::-1]


@pytest.fixture
def folder(tmp_path):
    """Labelled studies A and C of single slices, and B, enhanced PET with its frames from the top down."""
    stored = np.random.default_rng(3).integers(10, 900, SHAPE).astype(np.int16)
    for name in "AC":
        write_series(tmp_path / f"studies/{name}", stored)
    write_enhanced(tmp_path / "studies/B/1.dcm", stored.astype(np.uint16), edit=descending)
    (tmp_path / "masks").mkdir()
    grid = np.zeros(SHAPE, np.uint8)
    grid[2:5, 2:4, 1:3] = 1
    for name in "ABC":
        affine = read_volume(tmp_path / f"studies/{name}").affine
        write_mask(tmp_path / f"masks/{name}.nii.gz", grid, affine)
    arguments = ("--label", "lesion", "--status", "final")
    result = run("import", tmp_path / "studies", tmp_path / "masks", *arguments)
    assert result.exit_code == 0, result.output
    return tmp_path


def test_a_label_of_enhanced_pet_comes_back_as_it_was(folder):
    result = run("export", folder / "studies", "-o", folder / "out")
    assert result.exit_code == 0, result.output
    assert (folder / "out/B/report.dcm").is_file()
    (folder / "back").mkdir()
    (folder / "out/B/segmentation.dcm").rename(folder / "back/B.dcm")
    state = folder / "another"
    result = run("import", folder / "studies", folder / "back", "--state", state)
    assert result.exit_code == 0, result.output
    (instances,) = state.glob("labels/B/1/instances.nii.gz")
    assert np.array_equal(read_mask(instances)[0], read_mask(folder / "masks/B.nii.gz")[0])


def test_a_study_that_is_refused_leaves_its_case_as_it_was_and_the_others_go_on(folder):
    for path in (folder / "studies/B").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = "SECRET"
        dataset.save_as(path)
    result = run("export", folder / "studies", "-o", folder / "out")
    assert result.exit_code == 2
    assert "B: not exported. The PET images" in result.stderr and "SECRET" not in result.output
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["A", "C"]


def test_documents_that_a_label_no_longer_has_do_not_stay_beside_it(folder):
    stale = folder / "out/B/value_map.dcm"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of single slices, without which it was exported before")
    assert run("export", folder / "studies", "-o", folder / "out").exit_code == 0
    assert not stale.exists() and (folder / "out/B/segmentation.dcm").is_file()


def test_a_file_that_is_gone_or_in_the_way_keeps_no_other_study_back(folder):
    (objects,) = (folder / ".segpet").glob("studies/labels/A/1/objects.json")
    objects.unlink()
    (folder / "out").mkdir()
    (folder / "out/B").write_bytes(b"")
    result = run("export", folder / "studies", "-o", folder / "out")
    assert result.exit_code == 2
    assert "A: not exported." in result.stderr and "B: not exported." in result.stderr
    assert (folder / "out/C/segmentation.dcm").is_file()
