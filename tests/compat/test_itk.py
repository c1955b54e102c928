import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

COMPAT = Path(__file__).resolve().parents[2] / "compat"

# Oblique, anisotropic, left-handed: whatever of the geometry was lost, this would show it.
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN @ np.diag([4.0, 3.0, 2.0])
AFFINE[:3, 3] = [10.0, -20.0, 30.5]

ASK_MONAI = """
import sys
{first}
from monai.data import image_reader, image_writer
from monai.utils import optional_import

def taken():
    ways = [dict(), dict(allow_namespace_pkg=True), dict(name="size")]
    return image_reader.has_itk or any(optional_import("itk", **way)[1] for way in ways)

before = taken()
import itk
assert itk.size and "stand-in" in itk.__doc__.lower()
print(before, taken())
"""


@pytest.fixture
def writer(stand_in, monkeypatch):
    """MONAI Label's writer, calling the stand-in."""
    from monailabel.transform import writer

    monkeypatch.setattr(writer, "itk", stand_in("itk"))
    return writer


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii"])
@pytest.mark.parametrize("compress", [False, True])
def test_monai_labels_writer_keeps_values_and_geometry(writer, tmp_path, name, compress):
    mask = np.random.default_rng(0).integers(0, 4, (5, 6, 7))
    writer.write_itk(mask, str(tmp_path / name), AFFINE, np.uint8, compress)
    read = nibabel.load(tmp_path / name)
    assert read.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(read.dataobj), mask)
    np.testing.assert_allclose(read.affine, AFFINE, atol=1e-5)


def test_compression_is_used_when_asked_for(writer, tmp_path):
    mask = np.zeros((40, 40, 40), np.uint8)
    sizes = []
    for compress in (False, True):
        writer.write_itk(mask, str(tmp_path / "mask.nrrd"), AFFINE, None, compress)
        sizes.append((tmp_path / "mask.nrrd").stat().st_size)
    assert sizes[1] < 2000 < mask.nbytes <= sizes[0]


def test_a_two_dimensional_image_is_written(writer, tmp_path):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    writer.write_itk(image, str(tmp_path / "image.nii"), None, None, False)
    np.testing.assert_array_equal(
        np.asanyarray(nibabel.load(tmp_path / "image.nii").dataobj).squeeze(), image
    )


def test_the_size_is_that_of_the_axes_x_y_z(stand_in):
    itk = stand_in("itk")
    assert itk.size(itk.image_from_array(np.zeros((2, 3, 4), np.uint8))) == (4, 3, 2)


@pytest.mark.parametrize("first", ["import monai.data", "import monailabel.transform.writer"])
def test_monai_does_not_take_the_stand_in_for_itk_whoever_is_imported_first(first):
    environment = os.environ | {"PYTHONPATH": str(COMPAT)}
    asked = subprocess.run(
        [sys.executable, "-c", ASK_MONAI.format(first=first)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.stdout == "False False\n", asked.stderr


def test_what_it_cannot_do_is_refused_with_a_sentence(stand_in):
    itk = stand_in("itk")
    with pytest.raises(
        AttributeError, match=r"stand-in for itk has no imread: it only writes .*; install itk"
    ):
        itk.imread("image.nii.gz")
    assert not hasattr(itk, "GDCMSeriesFileNames")
