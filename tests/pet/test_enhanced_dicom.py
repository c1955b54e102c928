import numpy as np
import pytest
from dicom_series import tags, write_enhanced
from pydicom.uid import LegacyConvertedEnhancedPETImageStorage

from lib.pet import VolumeError, find_series, read_volume

SUV = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))


@pytest.fixture
def stored():
    return np.random.default_rng(2).integers(0, 30_000, (5, 6, 7)).astype(np.int16)


def test_an_enhanced_image_is_read(stored, tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", stored)
    volume = read_volume(tmp_path)
    assert volume.unit == "SUVbw"
    assert np.allclose(volume.array, stored * 0.5 * SUV, rtol=1e-6)
    assert volume.spacing == pytest.approx((4, 5, 3))
    assert np.allclose(volume.affine[:3, 3], (10, 20, -30))
    assert volume.preflight.nuclide == "F-18"
    path.rename(tmp_path / "b")
    assert read_volume(tmp_path).digest == volume.digest


def test_an_image_corrected_to_the_injection_has_the_uptake_time_of_its_acquisition(stored, tmp_path):
    times = {"DecayCorrectionDateTime": "20240301080000", "AcquisitionDateTime": "20240301090000"}
    write_enhanced(tmp_path / "a.dcm", stored, edit=tags(**times))
    volume = read_volume(tmp_path)
    assert volume.preflight.uptake_minutes == 60
    assert np.allclose(volume.array, stored * 0.5 * 70_000 / 370e6, rtol=1e-6)


def test_an_enhanced_image_of_several_frames_in_time_is_dynamic(stored, tmp_path):
    times = np.stack([stored // 3, stored // 3 * 2, stored // 3 * 3], axis=-1)
    write_enhanced(tmp_path / "a.dcm", times)
    (series,) = find_series(tmp_path)
    assert (series.kind, len(series.frames)) == ("dynamic", 3)
    for frame in range(3):
        assert np.array_equal(read_volume(tmp_path, "Bq/ml", frame=frame).array, times[..., frame] * 0.5)


def test_an_enhanced_image_may_have_its_own_slope_a_frame(stored, tmp_path):
    def rescaled(index, group):
        transform = group.PixelValueTransformationSequence = [type(group)()]
        transform[0].RescaleSlope, transform[0].RescaleIntercept = index + 1, 0

    write_enhanced(tmp_path / "a.dcm", stored, frames=rescaled, edit=tags(Units="BQML"))
    assert np.array_equal(read_volume(tmp_path, "Bq/ml").array, stored * np.arange(1.0, 8))


def test_what_a_conversion_to_enhanced_form_kept_of_the_single_images_counts(stored, tmp_path):
    def convert(k, dataset):
        dataset.SOPClassUID = LegacyConvertedEnhancedPETImageStorage
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        for name in ("AttenuationCorrected", "DecayCorrected", "DecayCorrectionDateTime"):
            delattr(dataset, name)
        shared = dataset.SharedFunctionalGroupsSequence[0]
        del shared.PixelValueTransformationSequence[0].RescaleType
        kept = type(shared)()
        kept.Units, kept.DecayCorrection, kept.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
        kept.SeriesTime = kept.AcquisitionTime = "090000"
        shared.UnassignedSharedConvertedAttributesSequence = [kept]

    write_enhanced(tmp_path / "a.dcm", stored, edit=convert)
    assert np.allclose(read_volume(tmp_path).array, stored * 0.5 * SUV, rtol=1e-6)


@pytest.mark.parametrize(("code", "unit"), [("Bq/ml", "Bq/ml"), ("{SUVbw}g/ml", "SUVbw"), ("1", "Bq/ml")])
def test_real_world_values_of_an_enhanced_image_are_preferred_where_their_unit_is_known(
    stored, tmp_path, code, unit
):
    def edit(k, dataset):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        mapping, units = type(shared)(), type(shared)()
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.25, 1
        units.CodeValue, units.CodingSchemeDesignator = code, "UCUM"
        mapping.MeasurementUnitsCodeSequence = [units]
        shared.RealWorldValueMappingSequence = [mapping]
        dataset.PatientWeight = None

    write_enhanced(tmp_path / "a.dcm", stored, edit=edit)
    volume = read_volume(tmp_path)
    assert volume.unit == unit
    assert np.allclose(volume.array, stored * 0.5 if code == "1" else stored * 0.25 + 1)


def test_an_enhanced_image_not_corrected_for_attenuation_is_said_to_be(stored, tmp_path):
    write_enhanced(tmp_path / "a.dcm", stored, edit=tags(AttenuationCorrected="NO"))
    assert "not attenuation corrected" in read_volume(tmp_path).preflight.sentence


def test_an_enhanced_image_that_promises_more_frames_than_it_describes_is_refused(stored, tmp_path):
    write_enhanced(tmp_path / "a.dcm", stored, edit=tags(NumberOfFrames=9))
    with pytest.raises(VolumeError, match="damaged"):
        read_volume(tmp_path)
