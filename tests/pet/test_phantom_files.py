"""Phantoms as files: what is written can be read back, by us and by others."""

import csv
import json
import shutil
import subprocess

import nibabel
import numpy as np
import pydicom
import pytest

from lib.pet import make_phantom, read_mask, read_volume
from lib.pet.nuclides import HALF_LIVES
from lib.pet.organs import read_organ_map
from lib.pet.phantom.dicom_series import write_dicom
from lib.pet.phantom.files import write_nifti

FIELD, VOXEL = (64, 48, 108), (6, 6, 6)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A phantom and the folder that it is written to, DICOM in dicom/."""
    folder = tmp_path_factory.mktemp("study")
    phantom = make_phantom(3, FIELD, VOXEL, "PSMA", lesions=4)
    write_nifti(phantom, folder, 3)
    write_dicom(phantom, folder / "dicom", "PSMA-3")
    return phantom, folder


def slopes(folder):
    """Rescale slope of each slice, as SUV, in their order."""
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    injection = images[0].RadiopharmaceuticalInformationSequence[0]
    minutes = 60 * (int(images[0].SeriesTime[:2]) - int(injection.RadiopharmaceuticalStartTime[:2]))
    left = float(injection.RadionuclideTotalDose) * 2 ** (-60 * minutes / HALF_LIVES["Ga-68"])
    factor = 1000 * float(images[0].PatientWeight) / left
    return np.array([float(image.RescaleSlope) * factor for image in images])


def test_nifti_says_its_unit_and_gives_the_image_back(study):
    phantom, folder = study
    volume = read_volume(folder / "PET_image.nii.gz")
    assert volume.unit == "SUVbw"
    assert np.array_equal(volume.array, phantom.volume.array)
    assert np.allclose(volume.affine, phantom.volume.affine, atol=1e-4)


def test_masks_lie_on_the_image_and_name_every_class(study):
    phantom, folder = study
    lesions, affine = read_mask(folder / "PET_mask.nii.gz")
    assert np.array_equal(lesions, phantom.lesions > 0) and np.allclose(
        affine, phantom.volume.affine, atol=1e-4
    )
    assert np.array_equal(read_mask(folder / "lesions.nii.gz")[0], phantom.lesions)
    organs = read_organ_map(folder / "organs.nii.gz", phantom.volume, folder / "labels.csv")
    assert np.array_equal(organs.labels, phantom.organs)
    with (folder / "labels.csv").open(newline="") as file:
        names = {int(row["number"]): row["name"] for row in csv.DictReader(file)}
    assert names == organs.names and set(names) == set(np.unique(phantom.organs)) - {0}
    assert names[1] == "liver" and "lesion" not in names.values()


def test_phantom_json_tells_the_truth_of_each_lesion(study):
    phantom, folder = study
    told = json.loads((folder / "phantom.json").read_text())
    assert (told["tracer"], told["seed"], len(told["lesions"])) == ("PSMA-11", 3, 4)
    for one in told["lesions"]:
        voxels = np.count_nonzero(phantom.lesions == one["number"])
        assert one["volume_ml"] == pytest.approx(voxels * 0.216)
        assert one["image_contrast"] > 0 and (one["core_mm"] is None) == (one["core_resolved"] is None)


def test_the_dicom_series_gives_the_image_back_as_suv(study):
    phantom, folder = study
    volume = read_volume(folder / "dicom")
    assert volume.unit == "SUVbw" and volume.shape == phantom.volume.shape
    assert np.allclose(volume.affine, phantom.volume.affine, atol=1e-4)
    error = np.abs(volume.array - phantom.volume.array).max(axis=(0, 1))
    assert (error <= 0.51 * slopes(folder / "dicom")).all()
    assert volume.preflight.why_not == {}
    assert (volume.preflight.nuclide, volume.preflight.uptake_minutes) == ("Ga-68", 60)


def test_slices_have_slopes_of_their_own_and_plain_names(study):
    _, folder = study
    assert len(set(slopes(folder / "dicom"))) > 50
    image = pydicom.dcmread(folder / "dicom" / "PT0001.dcm")
    assert str(image.PatientName) == "Phantom^PSMA-3" and image.QualityControlSubject == "YES"
    assert (
        image.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalCodeSequence[0].CodeValue
        == "C118961"
    )


@pytest.mark.parametrize("seed", range(4))
def test_an_odd_orientation_survives_dicom(seed, tmp_path):
    phantom = make_phantom(seed, (40, 32, 60), (10, 10, 10), lesions=1, orientation="odd")
    write_dicom(phantom, tmp_path / "dicom", "odd")
    volume = read_volume(tmp_path / "dicom")
    array, affine = phantom.volume.array, phantom.volume.affine
    if np.linalg.det(affine[:3, :3]) < 0:  # left-handed in RAS as in LPS: DICOM turns the slices' order over
        flip = np.diag([1.0, 1, -1, 1])
        flip[2, 3] = array.shape[2] - 1
        array, affine = array[:, :, ::-1], affine @ flip
    assert np.allclose(volume.affine, affine, atol=1e-4)
    assert np.allclose(volume.array, array, atol=array.max() / 32767)


def test_the_same_phantom_gives_the_same_files(study, tmp_path):
    phantom, folder = study
    write_nifti(phantom, tmp_path, 3)
    write_dicom(phantom, tmp_path / "dicom", "PSMA-3")
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) == 7 + 108
    for path in written:
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()


def test_dicom_is_conformant(study):
    """As dicom3tools' dciodvfy judges it."""
    _, folder = study
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is missing: apt-get install dicom3tools")
    for number in (1, 50, 108):
        path = folder / "dicom" / f"PT{number:04}.dcm"
        told = subprocess.run([tool, path], capture_output=True, text=True, check=False)
        assert "Error" not in told.stdout + told.stderr, told.stderr
        assert "PETImage" in told.stdout + told.stderr


def test_nifti_has_one_geometry_for_every_reader(study):
    _, folder = study
    for name in ("PET_image.nii.gz", "PET_mask.nii.gz", "organs.nii.gz"):
        image = nibabel.load(folder / name)
        assert np.allclose(image.get_sform(), image.get_qform(), atol=1e-4)
        assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
