import time

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from lib.pet import VolumeError, read_mask, write_mask

AFFINE = np.diag([0, 0, 0, 1.0])
AFFINE[:3, :3] = Rotation.from_euler("xyz", (10, 25, -40), degrees=True).as_matrix() @ np.diag([-2, -3, 4])
AFFINE[:3, 3] = (100.123456789, -50, 3)
NAMES = ["m.nii", "m.nii.gz", "m.nrrd"]


@pytest.fixture
def mask():
    return np.random.default_rng(5).integers(0, 256, (6, 7, 8), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_reads_as_written(tmp_path, mask, name, order, dtype):
    values = np.asarray(mask.astype(dtype) * (1 if dtype == np.uint8 else 257), order=order)
    write_mask(tmp_path / name, values, AFFINE)
    read, affine = read_mask(tmp_path / name)
    assert read.dtype == dtype
    assert np.array_equal(read, values)
    assert np.allclose(affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_itk_finds_every_voxel_at_the_same_place(tmp_path, mask, name):
    write_mask(str(tmp_path / name), mask, AFFINE)
    image = SimpleITK.ReadImage(tmp_path / name)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), mask)
    for index in [(0, 0, 0), (5, 6, 7), (2, 0, 3)]:
        left, posterior, superior = image.TransformIndexToPhysicalPoint(index)
        assert (AFFINE @ [*index, 1])[:3] == pytest.approx((-left, -posterior, superior), abs=1e-4)


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_both_forms_of_a_nifti_say_the_same(tmp_path, mask, name):
    write_mask(tmp_path / name, mask, AFFINE)
    header = nibabel.load(tmp_path / name).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert np.allclose(header.get_sform(), AFFINE, atol=1e-4)
    assert np.allclose(header.get_qform(), AFFINE, atol=1e-4)


@pytest.mark.parametrize("end", ["nii.gz", "nrrd"])
def test_the_same_mask_has_the_same_bytes_at_any_time(tmp_path, mask, end):
    write_mask(tmp_path / f"a.{end}", mask, AFFINE)
    time.sleep(1.1)  # formats count in seconds
    write_mask(tmp_path / f"b.{end}", mask, AFFINE)
    assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()


def test_a_nrrd_of_two_bytes_a_voxel_says_their_order(tmp_path, mask):
    write_mask(tmp_path / "m.nrrd", mask.astype(">u2") * np.uint16(3), AFFINE)
    values, header = nrrd.read(str(tmp_path / "m.nrrd"))
    assert header["endian"] == "little"
    assert np.array_equal(values, mask * np.uint16(3))


def test_a_nrrd_is_not_compressed(tmp_path, mask):
    write_mask(tmp_path / "m.nrrd", mask, AFFINE)
    assert (tmp_path / "m.nrrd").read_bytes().endswith(mask.tobytes(order="F"))


def test_a_boolean_mask_is_written_as_zero_and_one(tmp_path, mask):
    write_mask(tmp_path / "m.nii.gz", mask > 100, AFFINE)
    assert np.array_equal(read_mask(tmp_path / "m.nii.gz")[0], mask > 100)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_is_a_mask(tmp_path, name):
    write_mask(tmp_path / name, np.zeros((3, 4, 5), np.uint8), AFFINE)
    assert not read_mask(tmp_path / name)[0].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, mask, name, monkeypatch):
    write_mask(tmp_path / name, mask, AFFINE)
    seen = []

    def fail(path, target):
        seen.append([other.name for other in path.parent.iterdir()])
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_mask(tmp_path / name, np.zeros_like(mask), AFFINE)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert np.array_equal(read_mask(tmp_path / name)[0], mask)
    (part,) = set(seen[0]) - {name}
    assert not part.endswith((".nii", ".nii.gz", ".nrrd"))  # who watches for images must not see it


def test_a_mask_that_cannot_be_written_is_told_by_its_own_name(tmp_path, mask):
    path = tmp_path / "absent/mask.nii.gz"
    with pytest.raises(OSError, match="No such file") as error:
        write_mask(path, mask, AFFINE)
    assert error.value.filename == str(path)


def test_a_name_that_is_none_is_refused(tmp_path, mask):
    for name in ("m.png", "m", "m.nhdr"):
        with pytest.raises(VolumeError, match="must end in"):
            write_mask(tmp_path / name, mask, AFFINE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint32])
def test_a_mask_of_another_type_is_not_written(tmp_path, mask, dtype):
    with pytest.raises(VolumeError, match="uint8 or uint16"):
        write_mask(tmp_path / "m.nii", mask.astype(dtype), AFFINE)


def test_a_mask_of_two_axes_or_without_a_place_is_not_written(tmp_path, mask):
    with pytest.raises(VolumeError, match="3 axes"):
        write_mask(tmp_path / "m.nii", mask[0], AFFINE)
    with pytest.raises(VolumeError, match="affine"):
        write_mask(tmp_path / "m.nii", mask, np.zeros((4, 4)))


def test_a_mask_that_another_program_stored_as_float_is_read(tmp_path, mask):
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.float64), AFFINE), tmp_path / "m.nii.gz")
    read, _ = read_mask(tmp_path / "m.nii.gz")
    assert read.dtype == np.uint8
    assert np.array_equal(read, mask)


@pytest.mark.parametrize("value", [-1, 0.5, 65536, np.nan, np.inf])
def test_values_that_are_no_labels_are_refused(tmp_path, value):
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3] = value
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "m.nii")
    with pytest.raises(VolumeError, match=r"m\.nii is no mask"):
        read_mask(tmp_path / "m.nii")


def test_a_missing_mask_is_named(tmp_path):
    with pytest.raises(VolumeError, match=r"no file m\.nii"):
        read_mask(tmp_path / "m.nii")
