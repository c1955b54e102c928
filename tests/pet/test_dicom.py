import itertools
import shutil

import numpy as np
import pydicom
import pytest
from dicom_series import PATIENT, UID_PREFIX, write_series
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from lib.pet import VolumeError, read_volume

OBLIQUE = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()[:, :2].T.ravel()
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def stored():
    return np.random.default_rng(1).permutation(5 * 6 * 7).reshape(5, 6, 7).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    """Called as a server's cache may call it."""
    return tmp_path / generate_uid(UID_PREFIX)


def store_as(kind):
    """Return an edit that makes a file of another class."""

    def edit(k, dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind

    return edit


def world_values(folder):
    """Yield LPS mm and value of every pixel as DICOM PS3.3 C.7.6.2.1.1 and C.11.1 define them."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        along_row, down_column = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
        for row, column in itertools.product(range(dataset.Rows), range(dataset.Columns)):
            place = (
                np.array(dataset.ImagePositionPatient, dtype=float)
                + along_row * dataset.PixelSpacing[1] * column
                + down_column * dataset.PixelSpacing[0] * row
            )
            yield place, dataset.pixel_array[row, column] * float(dataset.RescaleSlope)


def check_geometry(volume, folder):
    """Every pixel is found, and nothing else, at its place in the volume."""
    to_index = np.linalg.inv(volume.affine)
    seen = set()
    for place, value in world_values(folder):
        index = to_index @ [-place[0], -place[1], place[2], 1]
        voxel = tuple(np.rint(index[:3]).astype(int))
        assert np.allclose(index[:3], voxel, atol=1e-3)
        assert volume.array[voxel] == pytest.approx(value, rel=1e-6)
        seen.add(voxel)
    assert len(seen) == volume.array.size


def refusal(folder):
    """Return the sentence with which a folder is refused, which names nobody."""
    with pytest.raises(VolumeError) as caught:
        read_volume(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert not any(word in sentence for word in (*PATIENT, UID_PREFIX, "Meier", "4711"))
    return sentence


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0), OBLIQUE],
    ids=["axial", "sagittal", "coronal", "flipped", "oblique"],
)
def test_every_pixel_is_at_its_place(stored, folder, orientation):
    write_series(folder, stored, orientation=orientation)
    volume = read_volume(folder)
    assert volume.shape == stored.shape
    assert volume.spacing == pytest.approx((4, 5, 3), rel=1e-6)
    assert np.array_equal(volume.array, stored)
    check_geometry(volume, folder)


def test_slices_are_ordered_along_row_cross_column_whatever_their_names(stored, folder):
    for k, path in enumerate(write_series(folder, stored)):
        path.rename(folder / f"{(k * 3) % 7}.IMA")
    assert np.array_equal(read_volume(folder).array, stored)


def test_a_descending_series_reads_like_an_ascending_one(stored, folder, tmp_path):
    write_series(folder, stored)
    stop = stored.shape[2] - 1

    def descend(k, dataset):
        dataset.ImagePositionPatient[2] = -30 + 3 * (stop - k)
        dataset.InstanceNumber = k + 1

    write_series(tmp_path / "descending", stored[:, :, ::-1], edit=descend)
    assert read_volume(tmp_path / "descending").digest == read_volume(folder).digest


def test_each_slice_has_its_own_slope(stored, folder):
    slopes = [0.5, 1, 2, 0.25, 3, 0.001, 7]
    write_series(folder, stored, slopes=slopes)
    volume = read_volume(folder)
    assert np.allclose(volume.array, stored * np.array(slopes), rtol=1e-6)
    check_geometry(volume, folder)


def test_an_intercept_is_added_and_its_absence_is_zero(stored, folder, tmp_path):
    write_series(folder, stored, edit=lambda k, dataset: setattr(dataset, "RescaleIntercept", -5))
    assert np.array_equal(read_volume(folder).array, stored - 5.0)
    write_series(tmp_path / "none", stored, edit=lambda k, dataset: delattr(dataset, "RescaleIntercept"))
    assert np.array_equal(read_volume(tmp_path / "none").array, stored)


@pytest.mark.parametrize(
    ("units", "kind", "expected"),
    [
        ("GML", None, "SUVbw"),
        ("GML", "BW", "SUVbw"),
        ("GML", "LBM", "unknown"),
        ("BQML", None, "Bq/ml"),
        ("CNTS", None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_unit_is_what_the_header_says(stored, folder, units, kind, expected):
    def edit(k, dataset):
        dataset.Units = units
        if kind:
            dataset.SUVType = kind

    write_series(folder, stored, edit=edit)
    assert read_volume(folder).unit == expected
    assert read_volume(folder, unit="Bq/ml").unit == "Bq/ml"


def test_other_files_in_the_folder_are_ignored(stored, folder):
    write_series(folder, stored)
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.dcm").touch()
    (folder / "more").mkdir()
    write_series(folder, stored, edit=store_as(CT))
    assert read_volume(folder).shape == stored.shape


def test_a_single_slice_is_as_thick_as_it_says(stored, folder):
    write_series(folder, stored[:, :, :1])
    assert read_volume(folder).spacing == pytest.approx((4, 5, 3))
    check_geometry(read_volume(folder), folder)


def test_a_single_slice_without_thickness_is_refused(stored, folder):
    write_series(folder, stored[:, :, :1], edit=lambda k, dataset: delattr(dataset, "SliceThickness"))
    assert "SliceThickness (0018,0050)" in refusal(folder)


def test_a_losslessly_compressed_series_is_read(stored, folder):
    for path in write_series(folder, stored):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    assert np.array_equal(read_volume(folder).array, stored)


def test_pixels_that_cannot_be_decoded_are_refused(stored, folder):
    def edit(k, dataset):
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"no code stream"])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    write_series(folder, stored, edit=edit)
    assert "cannot be decoded" in refusal(folder)


def test_a_missing_slice_is_refused_with_its_place(stored, folder):
    write_series(folder, stored)[3].unlink()
    sentence = refusal(folder)
    assert "slices 3 and 4 of 6" in sentence
    assert "-24.00 mm" in sentence
    assert "6.00 mm apart" in sentence


def test_a_gap_of_two_per_cent_is_refused_and_half_a_per_cent_is_not(stored, folder, tmp_path):
    def shift(by):
        def edit(k, dataset):
            dataset.ImagePositionPatient[2] += by * 3 * (k >= 4)

        return edit

    write_series(folder, stored, edit=shift(0.02))
    assert "not evenly spaced" in refusal(folder)
    write_series(tmp_path / "even", stored, edit=shift(0.005))
    assert read_volume(tmp_path / "even").shape == stored.shape


def test_a_duplicate_slice_is_refused_with_its_place(stored, folder):
    paths = write_series(folder, stored)
    shutil.copy(paths[2], folder / "again")
    sentence = refusal(folder)
    assert "1 of 8 PET slices lie at the position of another" in sentence
    assert "-24.00 mm" in sentence


def test_series_of_several_studies_are_refused_with_their_number(stored, folder):
    for _ in range(3):
        write_series(folder, stored)
    assert "3 PET series of 3 studies" in refusal(folder)


@pytest.mark.parametrize(
    "tag",
    [
        ("Rows", "(0028,0010)"),
        ("Columns", "(0028,0011)"),
        ("PixelSpacing", "(0028,0030)"),
        ("ImageOrientationPatient", "(0020,0037)"),
        ("ImagePositionPatient", "(0020,0032)"),
        ("RescaleSlope", "(0028,1053)"),
    ],
    ids=lambda tag: tag[0],
)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_tag_is_named(stored, folder, tag, how):
    def edit(k, dataset):
        if k == 2:
            delattr(dataset, tag[0]) if how == "absent" else setattr(dataset, tag[0], None)

    write_series(folder, stored, edit=edit)
    assert f"lacks {tag[0]} {tag[1]}" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"PixelSpacing": [5.1, 4]}, "pixel spacing"),
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "orientation"),
        ({"Rows": 3}, "rows or columns"),
        ({"Units": "BQML"}, "unit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slices_that_differ_are_refused(stored, folder, change, reason):
    def edit(k, dataset):
        for keyword, value in change.items() if k == 2 else ():
            setattr(dataset, keyword, value)

    write_series(folder, stored, edit=edit)
    assert f"differ in their {reason}" in refusal(folder).replace("numbers of ", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"RescaleSlope": 0}, "slope of 0"),
        ({"PixelSpacing": [0, 4]}, "not positive"),
        ({"Rows": 0}, "no pixels"),
        ({"PixelSpacing": [4]}, "should hold 2"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "perpendicular"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"SamplesPerPixel": 3}, "colour"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_headers_without_sense_are_refused(stored, folder, change, reason):
    def edit(k, dataset):
        for keyword, value in change.items():
            setattr(dataset, keyword, value)

    write_series(folder, stored, edit=edit)
    assert reason in refusal(folder)


def test_slices_shifted_sideways_are_refused(stored, folder):
    def edit(k, dataset):
        dataset.ImagePositionPatient[1] += 0.3 * k

    write_series(folder, stored, edit=edit)
    assert "shifted sideways" in refusal(folder)


def test_a_folder_without_pet_is_refused(stored, folder):
    folder.mkdir()
    assert "no DICOM PET images" in refusal(folder)
    write_series(folder, stored, edit=store_as(CT))
    assert "no DICOM PET images" in refusal(folder)


def test_an_enhanced_image_without_functional_groups_is_refused_as_such(stored, folder):
    write_series(folder, stored, edit=store_as(ENHANCED_PET))
    assert "multi-frame" in refusal(folder)


def test_a_file_cut_anywhere_is_refused(stored, folder):
    path = write_series(folder, stored)[-1]
    whole = path.read_bytes()
    for length in range(133, len(whole), 23):
        path.write_bytes(whole[:length])
        refusal(folder)


def test_a_file_with_damaged_bytes_is_read_or_refused_with_a_sentence(stored, folder):
    path = write_series(folder, stored)[3]
    whole = path.read_bytes()
    random = np.random.default_rng(3)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in random.integers(132, len(whole), 3):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_volume(folder)
        except VolumeError as error:
            assert str(error).endswith(".")
            assert UID_PREFIX not in str(error)


@pytest.mark.parametrize("patient", ["STS_001", "STS_003", "STS_005"])
def test_a_patient_reads_alike_from_dicom_and_nifti(shared, patient):
    dicom = read_volume(shared / "data" / "sts-pet-dicom" / patient / "image")
    nifti = read_volume(shared / "data" / "sts-pet" / patient / "PET_image.nii.gz")
    assert dicom.unit == "SUVbw"
    between = np.linalg.inv(nifti.affine) @ dicom.affine
    index = np.indices(dicom.shape).reshape(3, -1)
    i, j, k = np.rint(between[:3, :3] @ index + between[:3, 3:]).astype(int)
    assert np.allclose(between[:3, :3] @ index + between[:3, 3:], (i, j, k), atol=1e-3)
    assert dicom.array.size == nifti.array.size
    assert np.allclose(dicom.array.ravel(), nifti.array[i, j, k], rtol=1e-5, atol=1e-5)
