import json

import nibabel
import numpy as np
import pytest
from dicom_series import scan_header, write_series

from lib.pet import Preflight, Volume, read_volume
from lib.pet.quantify import unit_warning


@pytest.fixture
def stored():
    return np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def save_nifti(path):
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4)), path)
    return path


def test_the_record_of_a_dicom_series_is_json(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header(PatientSize=None))
    record = read_volume(tmp_path).preflight.as_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["possible"] == ["SUVbw"]
    assert record["why_not"]["SULjanma"] == "The header holds no patient height."
    assert record["sentence"] == "Numbers are SUV (body weight), from the DICOM header."
    assert (record["tracer"], record["nuclide"], record["half_life_s"]) == ("FDG", "F-18", 6586.2)
    assert (record["weight_known"], record["height_known"], record["sex_known"]) == (True, False, True)


def test_factors_turn_the_values_of_the_volume_whatever_their_unit(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header())
    suv, activity = read_volume(tmp_path), read_volume(tmp_path, unit="Bq/ml")
    for quantity, factor in suv.preflight.factors.items():
        other = activity.array * activity.preflight.factors[quantity]
        assert np.allclose(suv.array * factor, other, rtol=1e-5)


def test_a_unit_stated_against_the_header_is_said_to_be(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header(Units="PROPCPS"))
    volume = read_volume(tmp_path, unit="SUVbw")
    assert np.array_equal(volume.array, stored)
    assert volume.preflight.sentence == "Numbers are SUV (body weight), as stated when it was opened."


def test_an_image_file_says_where_its_unit_comes_from(tmp_path):
    path = save_nifti(tmp_path / "a.nii")
    assert "the server can be told (--unit)" in read_volume(path).preflight.sentence
    assert "as stated when" in read_volume(path, unit="SUVbw").preflight.sentence
    (tmp_path / "a.json").write_text('{"Units": "Bq/mL"}')
    preflight = read_volume(path).preflight
    assert preflight.sentence == "Numbers are in Bq/ml, from the sidecar beside the file."
    assert preflight.possible == ()
    assert "--unit" in read_volume(path, unit="unknown").preflight.sentence


BIDS = {
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 370,
    "InjectedRadioactivityUnits": "MBq",
    "TimeZero": "08:00:00",
    "InjectionStart": 0,
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 3600,
    "AttenuationCorrection": "CT-based",
    "BodyWeight": 70,
}


def test_a_sidecar_of_bids_gives_suv(tmp_path):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps(BIDS))
    volume = read_volume(path)
    assert volume.unit == "SUVbw"
    assert volume.array == pytest.approx(70_000 / (370e6 * 2 ** (-3600 / 6586.2)), rel=1e-6)
    assert volume.preflight.uptake_minutes == pytest.approx(60)
    assert "no patient height" in volume.preflight.why_not["SUVbsa"]
    activity = read_volume(path, unit="Bq/ml")
    assert (activity.array == 1).all()


@pytest.mark.parametrize(
    "method", ["[137Cs]transmission scan-based", "Non-contrast CT", "NAC-based deep learning"]
)
def test_a_sidecar_may_call_its_attenuation_correction_as_it_likes(tmp_path, method):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps({**BIDS, "AttenuationCorrection": method}))
    assert read_volume(path).unit == "SUVbw"


@pytest.mark.parametrize(("start", "minutes"), [(3600, 60), (-60, None)])
def test_the_uptake_time_of_a_sidecar_is_that_at_the_start_of_the_scan(tmp_path, start, minutes):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps({**BIDS, "ImageDecayCorrectionTime": 0, "ScanStart": start}))
    volume = read_volume(path)
    assert volume.preflight.uptake_minutes == minutes
    assert volume.array == pytest.approx(70_000 / 370e6, rel=1e-6)


def test_a_sidecar_that_suffices_gives_suv_where_suv_is_demanded(tmp_path):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps(BIDS))
    demanded = read_volume(path, unit="SUVbw")
    assert np.array_equal(demanded.array, read_volume(path).array)
    assert unit_warning(demanded) is None


@pytest.mark.parametrize(
    ("stated", "demanded", "said"),
    [("Bq/mL", "SUVbw", "in Bq/mL; they were taken for SUVbw"), ("g/ml", "Bq/ml", "in g/ml;")],
)
def test_an_overruled_sidecar_is_a_warning(tmp_path, stated, demanded, said):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps({"Units": stated}))
    assert said in unit_warning(read_volume(path, unit=demanded))
    (tmp_path / "a.json").write_text("not JSON")
    assert read_volume(path, unit=demanded).preflight.overruled == ""


def test_an_overruled_header_is_a_warning(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header(Units="PROPCPS"))
    assert "in PROPCPS; they were taken for SUVbw" in unit_warning(read_volume(tmp_path, unit="SUVbw"))


def test_a_unit_that_nobody_states_is_told_as_the_preflight_tells_it(tmp_path):
    volume = read_volume(save_nifti(tmp_path / "a.nii"))
    assert unit_warning(volume) == volume.preflight.sentence


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BodyWeight", None, "no patient weight"),
        ("BodyWeight", "70", "no patient weight"),
        ("AttenuationCorrection", None, "not attenuation corrected"),
        ("AttenuationCorrection", "none", "not attenuation corrected"),
        ("AttenuationCorrection", "n/a", "not attenuation corrected"),
        ("AttenuationCorrection", "uncorrected", "not attenuation corrected"),
        ("AttenuationCorrection", "No attenuation correction", "not attenuation corrected"),
        ("AttenuationCorrection", "non-AC", "not attenuation corrected"),
        ("ImageDecayCorrected", False, "not corrected for decay"),
        ("ImageDecayCorrectionTime", None, "to which time"),
        ("InjectionStart", 7200, "injection is later than the scan"),
        ("InjectedRadioactivityUnits", None, "no injected dose"),
        ("TracerRadionuclide", "Unobtainium-1", "no half-life"),
    ],
)
def test_a_sidecar_of_bids_that_does_not_suffice_leaves_activity(tmp_path, name, value, reason):
    path = save_nifti(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(json.dumps({**BIDS, name: value}))
    volume = read_volume(path)
    assert volume.unit == "Bq/ml"
    assert (volume.array == 1).all()
    assert reason in volume.preflight.sentence


def test_the_preflight_is_no_part_of_the_digest():
    array, affine = np.ones((2, 2, 2), np.float32), np.eye(4)
    with_record = Volume(array, affine, "SUVbw", Preflight("SUVbw", "somewhere"))
    assert with_record.digest == Volume(array, affine, "SUVbw").digest
    assert Volume(array, affine, "SUVbw").preflight is None
