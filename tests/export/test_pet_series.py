"""A volume as a DICOM PET series: what comes back from its files, and what is refused."""

import numpy as np
import pydicom
import pytest

from lib.export.nifti import nifti_bytes
from lib.export.pet_series import SeriesUIDs, VolumeSeries
from lib.pet import Preflight, Volume, VolumeError, read_volume

AFFINE = np.array([[-4.0, 0, 0, 30], [0, -5, 0, 40], [0, 0, 3, -100], [0, 0, 0, 1]])
UIDS = SeriesUIDs("P1", "digest")


def series(array, affine=AFFINE, unit="SUVbw", preflight=None):
    return VolumeSeries(Volume(np.asarray(array, np.float32), affine, unit, preflight), "P1", UIDS)


def written(folder, made):
    for k in range(made.volume.shape[2]):
        (folder / f"{k}.dcm").write_bytes(made.file(k))
    return folder


def test_the_files_are_a_series_that_gives_the_volume_back(tmp_path):
    array = np.random.default_rng(0).random((5, 6, 4), np.float32) * 20 - 1
    volume = read_volume(written(tmp_path, series(array)), unit="SUVbw")
    assert np.allclose(volume.affine, AFFINE)
    assert abs(volume.array - array).max() <= 20 / 32767


def test_whole_numbers_come_back_exactly(tmp_path):
    array = np.random.default_rng(0).integers(-32767, 32768, (5, 6, 4))
    assert np.array_equal(read_volume(written(tmp_path, series(array, unit="Bq/ml"))).array, array)


@pytest.mark.parametrize("values", [0.0, -3.5, 1e-30, 3e38, np.nan])
def test_a_slice_of_one_value_comes_back(tmp_path, values):
    array = np.full((3, 3, 2), values, np.float32)
    found = read_volume(written(tmp_path, series(array, unit="Bq/ml"))).array
    assert np.allclose(found, np.nan_to_num(array), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("unit", "written_as"), [("SUVbw", "GML"), ("Bq/ml", "BQML"), ("unknown", "CNTS")])
def test_the_unit_is_the_volumes(unit, written_as):
    assert series(np.ones((2, 2, 2)), unit=unit).common.Units == written_as


def test_only_what_is_known_is_stated():
    known = Preflight("SUVbw", "", attenuation_corrected=True, tracer="FDG^\\x")
    common = series(np.ones((2, 2, 2)), preflight=known).common
    assert list(common.CorrectedImage) == ["ATTN", "DECY"]
    assert common.RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical == "FDG__x"
    bare = series(np.ones((2, 2, 2)), unit="Bq/ml").common
    assert not bare.CorrectedImage
    for name in ("PatientWeight", "RadiopharmaceuticalInformationSequence", "AcquisitionDate"):
        assert name not in bare


def test_uids_follow_from_name_and_content_and_are_all_different():
    def all_of(uids):
        return [uids.study, uids.series, uids.frame_of_reference, *map(uids.instance, range(50))]

    assert all_of(UIDS) == all_of(SeriesUIDs("P1", "digest"))
    found = [*all_of(UIDS), *all_of(SeriesUIDs("P2", "digest")), *all_of(SeriesUIDs("P1", "other"))]
    assert len(set(found)) == len(found)
    assert all(pydicom.uid.UID(uid).is_valid for uid in found)


def test_axes_that_are_nearly_perpendicular_are_straightened():
    affine = AFFINE.copy()
    affine[0, 1] = 1e-4
    along_row, down_column = np.array(
        series(np.ones((9, 9, 9)), affine).common.ImageOrientationPatient
    ).reshape(2, 3)
    assert abs(float(along_row @ down_column)) < 1e-12


@pytest.mark.parametrize(("place", "by"), [((0, 1), 0.1), ((0, 2), 0.02), ((2, 0), 0.5)])
def test_axes_that_are_not_perpendicular_are_refused(place, by):
    affine = AFFINE.copy()
    affine[place] = by
    with pytest.raises(VolumeError, match="not perpendicular"):
        series(np.ones((30, 30, 200)), affine)


def test_a_volume_comes_back_from_its_nifti(tmp_path):
    array = np.random.default_rng(0).random((5, 6, 4), np.float32)
    path = tmp_path / "one.nii.gz"
    path.write_bytes(nifti_bytes(Volume(array, AFFINE, "unknown")))
    volume = read_volume(path)
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, AFFINE)
