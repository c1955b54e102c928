"""`segpet quantify` as a person types it."""

import csv
import json

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_seg import segmentation
from dicom_series import write_series
from typer.testing import CliRunner

from lib.pet import Crop, Volume, make_phantom, quantify, write_mask
from lib.pet.organ_map import organ_table
from scripts.__main__ import app

ORGANS = {"liver": 5, "aorta": 52, "urinary_bladder": 21, "brain": 90, "kidney_left": 3, "kidney_right": 2}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A phantom's image, masks of its lesions in three forms, and an organ map, as files; and the phantom."""
    folder = tmp_path_factory.mktemp("study")
    phantom = make_phantom(49)
    affine = phantom.volume.affine
    nibabel.save(nibabel.Nifti1Image(phantom.volume.array, affine), folder / "pet.nii.gz")
    write_mask(folder / "lesions.nii.gz", phantom.lesions > 0, affine)
    write_mask(folder / "instances.nrrd", phantom.lesions, affine)
    organs = np.zeros(phantom.labels.shape, np.uint8)
    for label, name in phantom.names.items():
        organs[phantom.labels == label] = ORGANS.get(name, 0)
    write_mask(folder / "organs.nii.gz", organs, affine)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = phantom.lesions.shape[0] - 1
    write_mask(folder / "flipped.nii.gz", (phantom.lesions > 0)[::-1], affine @ flip)
    return folder, phantom


def run(*arguments):
    return CliRunner().invoke(app, ["quantify", *map(str, arguments)])


def numbers_of(phantom):
    """The numbers of each lesion, by SUVmax."""
    count = int(phantom.lesions.max())
    crops = [Crop.from_grid(phantom.lesions == number) for number in range(1, count + 1)]
    return sorted(quantify(phantom.volume, crop).max for crop in crops)


@pytest.mark.parametrize("mask", ["lesions.nii.gz", "instances.nrrd", "flipped.nii.gz"])
def test_each_lesion_is_measured_whatever_form_the_mask_has(study, mask):
    folder, phantom = study
    result = run(folder / "pet.nii.gz", folder / mask, "--unit", "SUVbw", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert sorted(lesion["suv_max"] for lesion in report["lesions"]) == pytest.approx(numbers_of(phantom))
    for lesion in report["lesions"]:
        assert {"suv_mean", "suv_peak", "suv_sd", "mtv_ml", "tlg_g", "feret_mm", "centroid"} <= lesion.keys()
        assert lesion["tlg_g"] == pytest.approx(lesion["suv_mean"] * lesion["mtv_ml"])
    patient = report["patient"]
    assert patient["count"] == len(report["lesions"])
    assert patient["tmtv_ml"] == pytest.approx(sum(lesion["mtv_ml"] for lesion in report["lesions"]))
    assert patient["total_tlg_g"] == pytest.approx(sum(lesion["tlg_g"] for lesion in report["lesions"]))
    resampled = [warning for warning in report["warnings"] if "another grid" in warning]
    assert len(resampled) == (mask == "flipped.nii.gz")


def test_the_table_shows_lesions_totals_and_warnings(study):
    folder, phantom = study
    result = run(folder / "pet.nii.gz", folder / "lesions.nii.gz", "--unit", "SUVbw")
    assert result.exit_code == 0, result.stderr
    assert f"Patient: {phantom.lesions.max()} lesions, TMTV" in result.stdout
    for text in (
        "SUV, g/ml",
        "TLG, g",
        "SUV 2.5, ml",
        "41 %, ml",
        "Dmax",
        "No organ map: sites are not named",
    ):
        assert text in result.stdout
    assert f"{numbers_of(phantom)[-1]:.2f}" in result.stdout


def test_without_a_unit_nothing_is_called_suv(study):
    folder, _ = study
    report = json.loads(run(folder / "pet.nii.gz", folder / "lesions.nii.gz", "--json").stdout)
    assert report["unit"] == "unknown" and "not SUV" in "".join(report["warnings"])
    assert "suv" not in json.dumps(report["lesions"]) and "tmtv_ml" not in report["patient"]
    table = run(folder / "pet.nii.gz", folder / "lesions.nii.gz").stdout
    assert "unit unknown" in table and "TLG" not in table


def test_an_organ_map_and_a_tracer_add_sites_and_references(study):
    folder, _ = study
    arguments = [folder / "pet.nii.gz", folder / "lesions.nii.gz", "--unit", "SUVbw", "--tracer", "18F-FDG"]
    arguments += ["--organs", folder / "organs.nii.gz"]
    report = json.loads(run(*arguments, "--json").stdout)
    assert report["tracer"] == "FDG" and report["references"]["percist_organ"] == "liver"
    assert all(lesion["site"] for lesion in report["lesions"])
    assert report["patient"]["deauville"] in (4, 5)
    table = run(*arguments).stdout
    assert "site" in table and "Deauville" in table and "PERCIST: measurable" in table


def test_no_lesion_is_called_normal_for_the_organ_in_which_it_lies(study, tmp_path):
    folder, phantom = study
    liver = Crop.from_grid(phantom.labels == 1)
    write_mask(tmp_path / "liver.nii", liver.to_grid(phantom.labels.shape), phantom.volume.affine)
    arguments = [folder / "pet.nii.gz", tmp_path / "liver.nii", "--organs", folder / "organs.nii.gz"]
    table = run(*arguments, "--unit", "SUVbw", "--tracer", "FDG").stdout
    assert "in an organ with physiological uptake" in table
    assert "normal" not in table


def test_names_of_labels_can_be_given(study, tmp_path):
    folder, phantom = study
    (tmp_path / "names.csv").write_text(
        "".join(f"{label},{name}x\n" for label, (name, _) in organ_table().items())
    )
    liver = Crop.from_grid(phantom.labels == 1)
    write_mask(tmp_path / "liver.nii", liver.to_grid(phantom.labels.shape), phantom.volume.affine)
    arguments = [folder / "pet.nii.gz", tmp_path / "liver.nii", "--organs", folder / "organs.nii.gz"]
    report = json.loads(run(*arguments, "--organ-names", tmp_path / "names.csv", "--json").stdout)
    assert report["lesions"][0]["organ"] == "liverx"


def test_values_and_instances_choose_the_lesions(study):
    folder, phantom = study
    arguments = [folder / "pet.nii.gz", folder / "instances.nrrd", "--json"]
    report = json.loads(run(*arguments, "--value", 2, "--value", 1).stdout)
    assert [lesion["value"] for lesion in report["lesions"]] == [1, 2]
    one = json.loads(
        run(folder / "pet.nii.gz", folder / "lesions.nii.gz", "--instances", "values", "--json").stdout
    )
    assert len(one["lesions"]) == 1
    assert one["lesions"][0]["voxels"] == np.count_nonzero(phantom.lesions)


def test_a_value_that_the_mask_does_not_hold_is_refused_with_those_that_it_has(study, tmp_path):
    folder, phantom = study
    there = ", ".join(map(str, range(1, int(phantom.lesions.max()) + 1)))
    write_mask(tmp_path / "empty.nii", np.zeros(phantom.lesions.shape, np.uint8), phantom.volume.affine)
    for mask, has in (
        (folder / "instances.nrrd", f"it has {there}"),
        (tmp_path / "empty.nii", "it is empty"),
    ):
        result = run(folder / "pet.nii.gz", mask, "--value", 1, "--value", 99)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.endswith(f"99: {has}.\n") and result.stderr.count("\n") == 1


def test_a_mask_of_several_frames_is_told_from_an_image_of_them(study, tmp_path):
    folder, phantom = study
    frames = np.stack([phantom.lesions, phantom.lesions], axis=-1).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(frames, phantom.volume.affine), tmp_path / "frames.nii.gz")
    result = run(folder / "pet.nii.gz", tmp_path / "frames.nii.gz")
    assert result.exit_code == 2 and result.stderr.startswith("The mask has 2 frames")
    result = run(tmp_path / "frames.nii.gz", folder / "lesions.nii.gz")
    assert result.exit_code == 2 and result.stderr.startswith("The image has 2 frames")


def test_a_negative_study_has_no_lesions(study, tmp_path):
    folder, phantom = study
    write_mask(tmp_path / "empty.nii.gz", np.zeros_like(phantom.lesions), phantom.volume.affine)
    arguments = [folder / "pet.nii.gz", tmp_path / "empty.nii.gz", "--unit", "SUVbw"]
    report = json.loads(run(*arguments, "--csv", tmp_path / "n.csv", "--json").stdout)
    assert report["lesions"] == [] and report["patient"]["tmtv_ml"] == 0
    assert "0 lesions" in run(*arguments).stdout
    assert (tmp_path / "n.csv").read_text().splitlines() == ["id"]


def test_the_csv_has_a_line_for_each_lesion(study, tmp_path):
    folder, _ = study
    arguments = [folder / "pet.nii.gz", folder / "lesions.nii.gz", "--unit", "SUVbw", "--json"]
    report = json.loads(run(*arguments, "--csv", tmp_path / "lesions.csv").stdout)
    with (tmp_path / "lesions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report["lesions"])
    for row, lesion in zip(rows, report["lesions"], strict=True):
        assert float(row["suv_peak"]) == lesion["suv_peak"]
        assert float(row["suv_2.5_ml"]) == lesion["thresholds_ml"]["suv_2.5"]
        assert [float(row[f"centroid_mm_{axis}"]) for axis in "xyz"] == lesion["centroid_mm"]


def test_bad_input_is_one_sentence_and_status_2(study, tmp_path):
    folder, phantom = study
    image, mask = folder / "pet.nii.gz", folder / "lesions.nii.gz"
    far = phantom.volume.affine.copy()
    far[2, 3] += 5000
    write_mask(tmp_path / "far.nii.gz", phantom.lesions, far)
    beside = phantom.volume.affine.copy()
    beside[2, 3] += 0.6 * np.ptp(np.argwhere(phantom.lesions)[:, 2]) * phantom.volume.spacing[2]
    write_mask(tmp_path / "beside.nii.gz", phantom.lesions, beside)
    halves = Volume(phantom.volume.array * 0 + 0.5, phantom.volume.affine, "unknown")
    nibabel.save(nibabel.Nifti1Image(halves.array, halves.affine), tmp_path / "halves.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b no image")
    (tmp_path / "names.csv").write_text("liver\n")
    cases = {
        "no file or folder": [tmp_path / "absent.nii.gz", mask],
        "There is no file": [image, tmp_path / "absent.nii.gz"],
        "broken.nii.gz cannot be read": [image, tmp_path / "broken.nii.gz"],
        "not whole numbers": [image, tmp_path / "halves.nii.gz"],
        "do not overlap": [image, tmp_path / "far.nii.gz"],
        "unit must be": [image, mask, "--unit", "HU"],
        "'water' is not known: use one of FDG": [image, mask, "--tracer", "water"],
        "There is no organ map": [image, mask, "--organs", tmp_path / "absent"],
        "names.csv is no table": [
            image, mask, "--organs", folder / "organs.nii.gz", "--organ-names", tmp_path / "names.csv",
        ],
        "There is no folder": [image, mask, "--csv", tmp_path / "absent" / "lesions.csv"],
        "would overwrite": [image, mask, "--csv", mask],
        "% of the mask lies outside of the image: it belongs": [image, tmp_path / "beside.nii.gz"],
    }  # fmt: skip
    for expected, arguments in cases.items():
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), (expected, result.output)
        assert expected in result.stderr and result.stderr.count("\n") == 1


def test_an_organ_map_of_another_patient_is_refused(tmp_path):
    write_series(tmp_path / "study", np.ones((24, 30, 12), np.int16), spacing=(3, 2, 4), origin=(-70, -50, 8))
    labels, affine = segmentation(tmp_path)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    seg.PatientID = "SOMEBODY-1"
    seg.save_as(tmp_path / "seg.dcm")
    write_mask(tmp_path / "mask.nii.gz", labels > 1, affine)
    result = run(tmp_path / "study", tmp_path / "mask.nii.gz", "--organs", tmp_path / "seg.dcm")
    assert result.exit_code == 2 and "seg.dcm is of another patient" in result.stderr
