from datetime import datetime, timedelta

import pytest
from dicom_series import scan_header
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from lib.pet import suv_factors
from lib.pet.scan_header import ScanHeader, moment


def header_of(**changes):
    """Return what is read from a complete header with changes: injected at 8:00, scanned at 9:00."""
    dataset = FileDataset(None, {})
    scan_header(**changes)(0, dataset)
    return ScanHeader.read(dataset)


def injection(moment, at=None, **changes):
    return {"RadiopharmaceuticalStartDateTime": moment, "RadiopharmaceuticalStartTime": at, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        injection("20240301060000+0000", TimezoneOffsetFromUTC="+0200"),
        injection("20240301130000.000000+0000", TimezoneOffsetFromUTC="-0500"),
        injection("20240301080000+0200", TimezoneOffsetFromUTC="+0200"),
        injection("20240229193000-0500", TimezoneOffsetFromUTC="+0730"),
        injection("20240301080000", TimezoneOffsetFromUTC="+0200"),
        injection("20240301060000+0000", at="080000"),
        injection("20240229190000+0000", at="080000"),
        injection("20240301180000+0000", at="080000"),
        injection("20240301080000+0200", at="080000"),
        injection("20240301080000+0200", at="080000", TimezoneOffsetFromUTC="+0000"),
        injection("20240301080000+0200", at="080041"),
        injection("20240301080000+0200", at="000700", TimezoneOffsetFromUTC="+0200"),
        injection("20240301060000+0000", DecayCorrectionDateTime="20240301090000+0200"),
    ],
    ids=str,
)
def test_an_injection_with_an_offset_from_utc_is_told_by_the_clock_of_the_scan(changes):
    suv = suv_factors(header_of(**changes))
    assert suv.uptake_minutes == pytest.approx(60)
    assert suv.factors["SUVbw"] == pytest.approx(70_000 / (370e6 * 2 ** (-3600 / 6586.2)))


def test_a_decay_reference_with_an_offset_is_told_by_the_clock_of_the_scan():
    changes = injection("20240301080000", TimezoneOffsetFromUTC="+0200")
    suv = suv_factors(header_of(**changes, DecayCorrectionDateTime="20240301070000+0000"))
    assert suv.factors["SUVbw"] == pytest.approx(70_000 / (370e6 * 2 ** (-3600 / 6586.2)))


def test_an_offset_alone_does_not_tell_the_time_of_injection():
    suv = suv_factors(header_of(**injection("20240301080000+0000")))
    assert suv.uptake_minutes is None
    assert "not in one time zone" in suv.why_not["SUVbw"]


@given(st.text(alphabet="0123456789.:+- ", max_size=26), st.none() | st.just(timedelta(hours=14)))
def test_any_text_for_a_moment_is_one_or_none(written, zone):
    assert moment(written, zone) is None or isinstance(moment(written, zone), datetime)


@pytest.mark.parametrize("written", ["00010101000000+0900", "99991231230000-0900"])
def test_a_moment_beyond_all_calendars_is_none(written):
    assert moment(written, timedelta(0)) is None


@pytest.mark.parametrize("dated", [None, "20240301225500"])
@pytest.mark.parametrize("date", [None, ""])
def test_a_scan_through_midnight_begins_before_it_though_its_slices_have_no_date(dated, date):
    late = injection(dated, at="225500", AcquisitionDate=date, SeriesTime="235500")
    headers = [header_of(**late, AcquisitionTime=at) for at in ("001000", "235500", "000200")]
    header, contradiction = ScanHeader.of_series(headers)
    assert contradiction == ""
    suv = suv_factors(header)
    assert suv.uptake_minutes == pytest.approx(60)
    assert suv.factors["SUVbw"] == pytest.approx(70_000 / (370e6 * 2 ** (-3600 / 6586.2)))
