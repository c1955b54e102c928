"""`segpet segment` as a person types it."""

import json

import numpy as np
import pytest
from small_network import small_seganypet
from typer.testing import CliRunner

from lib.network import save_network
from lib.pet import make_phantom, read_mask
from scripts.__main__ import app


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A phantom's image as NIfTI, a voxel in its first lesion, and the lesion."""
    import nibabel

    phantom = make_phantom(49)
    path = tmp_path_factory.mktemp("study") / "pet image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(phantom.volume.array, phantom.volume.affine), path)
    lesion = phantom.lesions == 1
    hottest = np.argwhere(lesion & (phantom.volume.array == phantom.volume.array[lesion].max()))[0]
    return path, ",".join(str(at) for at in hottest), lesion


def segment(*arguments):
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


def test_region_growing_writes_a_mask_and_its_numbers(study, tmp_path):
    image, point, lesion = study
    result = segment(
        image,
        "--unit",
        "SUVbw",
        "--method",
        "suv_region",
        "--point",
        point,
        "-o",
        tmp_path / "m.nii.gz",
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    mask, _ = read_mask(tmp_path / "m.nii.gz")
    assert 2 * np.count_nonzero(lesion & (mask == 1)) / (lesion.sum() + mask.sum()) > 0.6
    reply = json.loads(result.stdout)
    assert reply["objects"][0]["suv_max"] >= reply["objects"][0]["suv_mean"] > 0
    assert reply["unit"] == "SUVbw"
    assert reply["warnings"] == []


def test_without_a_unit_no_number_is_called_suv(study, tmp_path):
    image, point, _ = study
    result = segment(image, "--method", "suv_region", "--point", point, "-o", tmp_path / "m.nrrd", "--json")
    reply = json.loads(result.stdout)
    assert "suv_max" not in reply["objects"][0]
    assert "not SUV" in reply["warnings"][0]
    text = segment(image, "--method", "suv_region", "--point", point, "-o", tmp_path / "m.nrrd").stdout
    assert "unit unknown" in text


def test_a_network_segments_from_a_file_of_weights(study, tmp_path):
    image, point, _ = study
    save_network(small_seganypet(), tmp_path / "small.safetensors")
    result = segment(
        image, "--model", tmp_path / "small.safetensors", "--point", point, "-o", tmp_path / "m.nii", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["weights"]["name"] == "small"
    assert (tmp_path / "m.nii").is_file()


def test_bad_input_is_one_sentence_and_status_2(study, tmp_path):
    image, point, _ = study
    out = tmp_path / "m.nii.gz"
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b not an image")
    (tmp_path / "weights.pth").write_bytes(b"not weights")
    region = ["--method", "suv_region"]
    cases = {
        "outside the image": [image, *region, "--point", "1,2,9000", "-o", out],
        "is no voxel": [image, *region, "--point", "1,2", "-o", out],
        "no file or folder": [tmp_path / "absent.nii.gz", *region, "--point", point, "-o", out],
        "broken.nii.gz": [tmp_path / "broken.nii.gz", *region, "--point", point, "-o", out],
        "must end in": [image, *region, "--point", point, "-o", tmp_path / "m.png"],
        "unit must be": [image, *region, "--unit", "HU", "--point", point, "-o", out],
        "There are no weights at none": [image, "--model", "none", "--point", point, "-o", out],
        "weights.pth": [image, "--model", tmp_path / "weights.pth", "--point", point, "-o", out],
        "threshold must be": [image, *region, "--threshold", "0", "--point", point, "-o", out],
        "There is no folder": [image, *region, "--point", point, "-o", tmp_path / "absent/m.nii.gz"],
        "--model has no effect": [image, *region, "--model", "x", "--point", point, "-o", out],
        "--contour has no effect": [image, "--contour", "fixed", "--point", point, "-o", out],
        "--threshold has no effect": [
            image, *region, "--contour", "gradient", "--threshold", "4", "--point", point, "-o", out,
        ],
        "remove one": [image, *region, "--point", point, "--negative", point, "-o", out],
        "cannot be used": [
            image,
            "--device",
            "teapot",
            "--model",
            tmp_path / "weights.pth",
            "--point",
            point,
            "-o",
            out,
        ],
    }  # fmt: skip
    for expected, arguments in cases.items():
        result = segment(*arguments)
        said = " ".join(result.stderr.replace("│", " ").split())
        assert result.exit_code == 2, (expected, result)
        assert "Traceback" not in said
        assert expected in said, (expected, said)
    assert not out.exists()


def test_the_image_is_never_overwritten(study):
    image, point, _ = study
    before = image.read_bytes()
    result = segment(image, "--method", "suv_region", "--point", point, "-o", image)
    assert result.exit_code == 2
    assert "would overwrite" in result.stderr
    assert image.read_bytes() == before


def test_two_labels_at_once_are_refused(study, tmp_path):
    image, point, _ = study
    result = segment(
        image, "--label", "a,b", "--method", "suv_region", "--point", point, "-o", tmp_path / "m.nii"
    )
    assert result.exit_code == 2
    assert "One label" in result.stderr
