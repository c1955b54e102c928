import json
import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from dicom_series import scan_header
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag

from lib.pet import QUANTITIES, VolumeError, suv_factors
from lib.pet.nuclides import HALF_LIVES, nuclide_of, nuclide_with
from lib.pet.scan_header import ScanHeader
from lib.pet.suv import (
    body_surface,
    ideal_body_weight,
    lean_body_mass_james,
    lean_body_mass_janmahasatian,
)

EXPECTED = {
    "SIEMENS": 0.00042748316187197236,
    "GE_MEDICAL_AND_BQML": 0.0005367387681819742,
    "PHILIPS_CNTS_AND_SUV": 0.000728,
    "RADIOPHARM_DATETIME_UNDEFINED": 0.0003721089202818729,
    "CPS_AND_BQML_AC_DT_-_S_DT": 0.00026503312764157046,
}
OF_INJECTION = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
HALF_LIFE = 6586.2
# 370 MBq, one hour before the scan
DECAYED = 370e6 * 2 ** (-3600 / HALF_LIFE)


def dataset_of(values):
    """Return a PET header from the JSON of the shared examples."""
    dataset, injection = Dataset(), Dataset()
    philips = values.pop("PhilipsPETPrivateGroup", {})
    for keyword, value in values.items():
        setattr(injection if keyword in OF_INJECTION else dataset, keyword, value)
    dataset.RadiopharmaceuticalInformationSequence = [injection]
    if "SUVScaleFactor" in philips:
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", philips["SUVScaleFactor"])
    return dataset


def header_of(private=(), **changes):
    """Return what is read from a complete header with changes."""
    dataset = FileDataset(None, {})
    scan_header(**changes)(0, dataset)
    for group, creator, element, vr, value in private:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    return ScanHeader.read(dataset)


def factor(quantity="SUVbw", **changes):
    return suv_factors(header_of(**changes)).factors[quantity]


def why_not(quantity="SUVbw", **changes):
    """Return why a quantity is refused, a sentence."""
    suv = suv_factors(header_of(**changes))
    assert quantity not in suv.factors
    sentence = suv.why_not[quantity]
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("name", EXPECTED)
def test_the_factors_of_shared_headers_are_those_expected(shared, name):
    content = json.loads((shared / "data" / "suv-headers" / f"{name}-instances.json").read_text())
    header, contradiction = ScanHeader.of_series([ScanHeader.read(dataset_of(one)) for one in content])
    assert contradiction == ""
    suv = suv_factors(header, contradiction)
    assert suv.factors["SUVbw"] == pytest.approx(EXPECTED[name], rel=1e-9)


def test_suvbw_is_weight_over_the_decayed_dose():
    assert factor() == pytest.approx(70_000 / DECAYED, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "body"),
    [
        ("SULjanma", 9_270_000 * 70 / (6680 + 216 * 70 / 1.75**2)),
        ("SULjames128", 1000 * (1.10 * 70 - 128 * (70 / 175) ** 2)),
        ("SUVbsa", 71.84 * 70**0.425 * 175**0.725),
        ("SUVibw", 1000 * (48 + 1.06 * 23)),
    ],
)
def test_other_quantities_replace_the_weight(quantity, body):
    assert factor(quantity) == pytest.approx(body / DECAYED, rel=1e-12)
    assert QUANTITIES[quantity].startswith("cm2/ml" if quantity == "SUVbsa" else "g/ml")


def test_body_measures_equal_published_examples():
    # Du Bois 1916: 70 kg and 170 cm have 1.81 m2; the lean masses by hand from the formulas for women.
    assert body_surface(70, 1.70) == pytest.approx(18_100, rel=2e-3)
    assert lean_body_mass_janmahasatian(60, 1.60, male=False) == pytest.approx(556_200 / 14_498.75)
    assert lean_body_mass_james(60, 1.60, male=False) == pytest.approx(1.07 * 60 - 148 * 0.140625)
    assert ideal_body_weight(1.62, male=False) == pytest.approx(54.6)


def test_women_have_their_own_lean_mass():
    assert factor("SULjanma", PatientSex="F") < factor("SULjanma")
    assert factor("SUVbw", PatientSex="F") == factor("SUVbw")


@pytest.mark.parametrize(
    ("changes", "minutes"),
    [
        ({"SeriesTime": "090000.5", "AcquisitionTime": "0901"}, 60 + 0.5 / 60),
        ({"SeriesTime": "0900"}, 60),
        ({"SeriesTime": "09"}, 60),
        ({"SeriesTime": "09:00:00"}, 60),
        ({"AcquisitionTime": "091500"}, 60),
        ({"SeriesTime": "120000", "AcquisitionTime": "091500.25"}, 75 + 0.25 / 60),
        ({"SeriesTime": None}, 60),
        ({"SeriesTime": "103000", "AcquisitionTime": None}, 150),
        ({"RadiopharmaceuticalStartDateTime": "20240301073000.00 "}, 90),
        ({"RadiopharmaceuticalStartDateTime": "20240229233000", "RadiopharmaceuticalStartTime": None}, 570),
        ({"RadiopharmaceuticalStartDateTime": "20240301"}, 60),  # no time of day: the other one holds
        ({"RadiopharmaceuticalStartTime": "235000", "SeriesTime": "003000", "AcquisitionTime": "0030"}, 40),
        ({"TimezoneOffsetFromUTC": "+0900"}, 60),
        ({"RadiopharmaceuticalStartTime": "090000"}, 0),
    ],
)
def test_the_dose_decays_from_injection_to_the_reference_time(changes, minutes):
    suv = suv_factors(header_of(**changes))
    assert suv.uptake_minutes == pytest.approx(minutes, abs=1e-6)
    assert suv.factors["SUVbw"] == pytest.approx(70_000 / 370e6 * 2 ** (minutes * 60 / HALF_LIFE), rel=1e-9)


def test_a_scan_through_midnight_decays_from_the_day_before():
    late = {"SeriesDate": "20240301", "SeriesTime": "235900", "RadiopharmaceuticalStartTime": "230000"}
    assert suv_factors(header_of(**late, AcquisitionDate="20240302")).uptake_minutes == pytest.approx(59)


def test_the_earliest_acquisition_of_a_series_counts():
    headers = [header_of(SeriesTime="120000", AcquisitionTime=at) for at in ("0940", "0930", "0950")]
    header, contradiction = ScanHeader.of_series(headers)
    assert contradiction == ""
    assert suv_factors(header).uptake_minutes == pytest.approx(90)


def test_the_private_time_of_ge_counts_where_the_series_time_is_later_than_the_acquisition():
    private = [(0x0009, "GEMS_PETD_01", 0x0D, "DT", "20240301084500.00")]
    late = header_of(private, SeriesTime="120000")
    assert suv_factors(late).uptake_minutes == pytest.approx(45)
    assert suv_factors(header_of(private)).uptake_minutes == pytest.approx(60)
    other = [(0x0009, "SOMEBODY ELSE", 0x0D, "DT", "20240301084500.00")]
    assert suv_factors(header_of(other, SeriesTime="120000")).uptake_minutes == pytest.approx(60)


def test_a_dose_that_values_are_corrected_to_the_injection_for_does_not_decay():
    assert factor(DecayCorrection="ADMIN") == pytest.approx(70_000 / 370e6, rel=1e-12)
    assert suv_factors(header_of(DecayCorrection="ADMIN")).uptake_minutes == pytest.approx(60)


PHILIPS = "Philips PET Private Group"


def test_the_factors_of_philips_turn_counts_into_suv():
    suv = suv_factors(header_of([(0x7053, PHILIPS, 0x00, "DS", "0.000728")], Units="CNTS"))
    assert suv.factors["SUVbw"] == 0.000728
    ratio = lean_body_mass_janmahasatian(70, 1.75, male=True) / 70
    assert suv.factors["SULjanma"] == pytest.approx(0.000728 * ratio)


def test_the_other_factor_of_philips_turns_counts_into_activity():
    private = [(0x7053, PHILIPS, 0x00, "DS", "0"), (0x7053, PHILIPS, 0x09, "DS", "2.5")]
    suv = suv_factors(header_of(private, Units="CNTS"))
    assert suv.bqml == 2.5
    assert suv.factors["SUVbw"] == pytest.approx(2.5 * 70_000 / DECAYED)


def test_private_factors_of_unknown_vr_are_read():
    header = header_of([(0x7053, PHILIPS, 0x00, "UN", b"0.000728 ")], Units="CNTS")
    assert suv_factors(header).factors["SUVbw"] == 0.000728


def test_values_that_are_suv_already_need_no_dose():
    bare = {"RadionuclideTotalDose": None, "PatientWeight": None, "Units": "GML"}
    assert factor(**bare) == 1
    assert factor("SULjanma", **bare, SUVType="LBMJANMA") == 1
    assert "no patient weight" in why_not(**bare, SUVType="LBMJANMA")


def test_lean_suv_is_turned_into_that_of_the_body_weight():
    suv = suv_factors(header_of(Units="GML", SUVType="LBMJANMA"))
    assert suv.factors["SUVbw"] == pytest.approx(70 / lean_body_mass_janmahasatian(70, 1.75, male=True))
    assert "does not name" in why_not(Units="GML", SUVType="LBM")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientWeight": None}, "no patient weight"),
        ({"PatientWeight": 0}, "no patient weight"),
        ({"PatientWeight": 70_000}, "in grams"),
        ({"PatientWeight": 7}, "weight of 7 kg is implausible for a height of 1.75 m"),
        ({"PatientWeight": 690}, "weight of 690 kg is implausible for a height of 1.75 m"),
        ({"CorrectedImage": ["NORM", "DECY"]}, "not attenuation corrected"),
        ({"CorrectedImage": ["ATTN"]}, "not corrected for decay"),
        ({"CorrectedImage": None}, "does not say whether"),
        ({"CorrectedImage": None, "AttenuationCorrectionMethod": "NONE"}, "not attenuation corrected"),
        ({"DecayCorrection": "NONE"}, "not corrected for decay"),
        ({"DecayCorrection": None}, "to which time"),
        ({"RadionuclideTotalDose": None}, "no injected dose"),
        ({"RadionuclideTotalDose": 0}, "no injected dose"),
        ({"RadionuclideTotalDose": 370}, "in MBq"),
        ({"RadionuclideHalfLife": None}, "no half-life"),
        ({"RadionuclideHalfLife": 109.8}, "not that of the nuclide F-18"),
        ({"RadiopharmaceuticalStartTime": None}, "missing, illegible"),
        ({"RadiopharmaceuticalStartTime": "soon"}, "missing, illegible"),
        ({"SeriesTime": None, "AcquisitionTime": None}, "missing, illegible"),
        ({"RadiopharmaceuticalStartTime": "091000"}, "more than 10 half-lives"),
        ({"RadiopharmaceuticalStartDateTime": "20240301091000"}, "injection is later than the scan"),
        ({"RadiopharmaceuticalStartDateTime": "20240201080000"}, "29 days before the scan"),
        ({"Units": "PROPCPS"}, "PROPCPS"),
        ({"Units": "CNTS"}, "counts"),
        ({"Units": "KBQML"}, "BQML"),
        ({"Units": None}, "in what units"),
    ],
    ids=str,
)
def test_suv_is_refused_with_the_reason(changes, reason):
    assert reason in why_not(**changes)


@pytest.mark.parametrize(
    ("changes", "reason", "possible"),
    [
        ({"PatientSize": None}, "no patient height", ["SUVbw"]),
        ({"PatientSize": 175}, "in centimetres", ["SUVbw"]),
        ({"PatientSex": "O"}, "sex is not stated", ["SUVbsa", "SUVbw"]),
        ({"PatientSex": None}, "sex is not stated", ["SUVbsa", "SUVbw"]),
        ({"PatientWeight": None}, "no patient weight", ["SUVibw"]),
    ],
    ids=str,
)
def test_what_one_quantity_lacks_does_not_hinder_another(changes, reason, possible):
    assert reason in why_not("SULjanma", **changes)
    assert reason in why_not("SULjames128", **changes)
    assert sorted(suv_factors(header_of(**changes)).factors) == possible


def test_a_lean_mass_below_zero_is_refused():
    assert "does not hold" in why_not("SULjames128", PatientWeight=200, PatientSize=1.5)


@pytest.mark.parametrize(("weight", "height"), [(0.9, 0.36), (3.4, 0.5), (35, 1.7), (250, 1.6), (0.03, 0.1)])
def test_babies_the_thin_the_heavy_and_mice_have_suv(weight, height):
    assert factor(PatientWeight=weight, PatientSize=height) == pytest.approx(1000 * weight / DECAYED)


def test_all_objections_are_told_at_once():
    sentence = why_not(Units="PROPCPS", PatientWeight=None, CorrectedImage=["DECY"])
    assert sentence == (
        "The images are not attenuation corrected; the values are proportional to counts per second "
        "(PROPCPS), not calibrated to Bq/ml; the header holds no patient weight."
    )


def test_several_injections_are_refused():
    assert "several injections" in suv_factors(replace(header_of(), injections=2)).why_not["SUVbw"]


def test_headers_that_contradict_each_other_are_refused():
    _, contradiction = ScanHeader.of_series([header_of(), header_of(PatientWeight=71)])
    assert contradiction == "weight_kg"
    assert "different things as weight" in suv_factors(header_of(), contradiction).why_not["SUVbw"]


def test_a_dynamic_scan_may_start_shortly_before_the_injection():
    header = header_of(RadiopharmaceuticalStartTime="090030")
    assert "more than 10 half-lives" in suv_factors(header).why_not["SUVbw"]
    dynamic = suv_factors(replace(header, dynamic=True))
    assert dynamic.uptake_minutes == pytest.approx(-0.5)
    assert dynamic.factors["SUVbw"] == pytest.approx(70_000 / 370e6 * 2 ** (-30 / HALF_LIFE))


@pytest.mark.parametrize("half_life", [109.8, 1.83, 6_586_200])
def test_without_its_nuclide_a_half_life_must_be_that_of_some_nuclide(half_life):
    uncoded = replace(header_of(), nuclide="")
    assert suv_factors(uncoded).factors["SUVbw"] == factor()
    why = suv_factors(replace(uncoded, half_life_s=half_life)).why_not["SUVbw"]
    assert "of no known nuclide; it may be stated in another unit" in why


@pytest.mark.parametrize("nuclide", ["As-72", "Zr-89", "I-124"])
def test_a_nuclide_that_lasts_for_days_needs_the_date_of_injection(nuclide):
    undated = replace(header_of(), nuclide=nuclide, half_life_s=HALF_LIVES[nuclide])
    suv = suv_factors(undated)
    assert "no date of injection" in suv.why_not["SUVbw"]
    assert suv.uptake_minutes is None
    assert "SUVbw" in suv_factors(replace(undated, half_life_s=HALF_LIVES["Cu-64"], nuclide="Cu-64")).factors
    dated = suv_factors(replace(undated, injected=datetime(2024, 2, 29, 9)))
    assert "SUVbw" in dated.factors
    assert dated.uptake_minutes == 24 * 60


@given(
    weight=st.floats(3, 250),
    dose=st.floats(1e6, 1e9),
    nuclide=st.sampled_from(["F-18", "C-11", "Ga-68", "Zr-89"]),
    half_lives=st.floats(0, 9),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
)
def test_any_plausible_header_gives_the_textbook_factor(weight, dose, nuclide, half_lives, start):
    half_life = HALF_LIVES[nuclide]
    scan = (start + timedelta(seconds=half_lives * half_life)).replace(microsecond=0)
    suv = suv_factors(
        ScanHeader(
            units="BQML",
            corrections=("ATTN", "DECY"),
            decay_correction="START",
            series_start=scan,
            acquisition_start=scan,
            injected=start.replace(microsecond=0),
            dose_bq=dose,
            injections=1,
            half_life_s=half_life,
            nuclide=nuclide,
            weight_kg=weight,
        )
    )
    seconds = (scan - start.replace(microsecond=0)).total_seconds()
    expected = math.exp(math.log(2) * seconds / half_life) * 1000 * weight / dose
    assert suv.factors["SUVbw"] == pytest.approx(expected, rel=1e-9)


HEADER = (
    "Units CorrectedImage DecayCorrection SeriesDate SeriesTime AcquisitionTime PatientWeight PatientSize "
    "PatientSex RadiopharmaceuticalStartTime RadionuclideTotalDose RadionuclideHalfLife"
)


@given(
    st.dictionaries(
        st.sampled_from(HEADER.split()),
        st.sampled_from([b"", b"0", b"-1", b"1e400", b"nan", b"99999999", b"240000", b"1\\2", b"\xff" * 70])
        | st.binary(max_size=16),
        min_size=1,
        max_size=4,
    )
)
def test_any_header_gives_factors_or_sentences(changes):
    dataset = FileDataset(None, {})
    scan_header()(0, dataset)
    injection = dataset.RadiopharmaceuticalInformationSequence[0]
    for keyword, content in changes.items():
        tag = Tag(keyword)
        raw = RawDataElement(tag, dictionary_VR(tag), len(content), content, 0, False, True)
        (injection if keyword.startswith("Radio") else dataset)[tag] = raw
    try:
        suv = suv_factors(ScanHeader.read(dataset))
    except VolumeError as error:
        assert str(error).endswith(".")
        return
    assert suv.factors.keys() | suv.why_not.keys() == QUANTITIES.keys()
    assert not suv.factors.keys() & suv.why_not.keys()
    assert all(math.isfinite(one) and one > 0 for one in suv.factors.values())


@pytest.mark.parametrize(
    ("code", "meaning", "nuclide"),
    [
        ("C-111A1", "", "F-18"),
        ("35337001", "", "Ga-68"),
        ("", "^18^Fluorine", "F-18"),
        ("", "18F", "F-18"),
        ("", "Ga-68", "Ga-68"),
        ("", "F^18^[^18^Fluorine]", "F-18"),
        ("", "Gallium 68", "Ga-68"),
        ("", "Technetium 99m", ""),
        ("", "", ""),
    ],
)
def test_nuclides_are_known_by_code_or_name(code, meaning, nuclide):
    assert nuclide_of(code, meaning) == nuclide


def test_a_half_life_names_its_nuclide():
    assert nuclide_with(6588) == "F-18"
    assert nuclide_with(4057) == "Ga-68"
    assert nuclide_with(0) == nuclide_with(5000) == ""
