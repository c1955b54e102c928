"""What the headers of a PET series say of patient, dose, times and corrections: all that SUV depends on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta

import pydicom
from pydicom.tag import BaseTag, Tag

from lib.pet.dicom_files import items, number, private, tags, text, texts
from lib.pet.nuclides import nuclide_of

_GE = (0x0009, "GEMS_PETD_01", 0x0D)
_PHILIPS_SUV = (0x7053, "Philips PET Private Group", 0x00)
_PHILIPS_BQML = (0x7053, "Philips PET Private Group", 0x09)

_OFFSET = r"([+-])(\d{2})(\d{2})$"
_LONGEST_SCAN = timedelta(hours=12)
_WESTERNMOST = timedelta(hours=-10)  # zone of a PET scanner; the easternmost is less than a day ahead
_ZONES_APART = timedelta(minutes=15)
_ROUNDING = timedelta(minutes=1)  # of a time of injection; one that is further off tells another moment

#: What SUV does not depend on, or what is taken from all images together.
_MAY_DIFFER = ("acquisition_start", "private_scan_start", "attenuation_method", "tracer", "dynamic")

#: The tags that `ScanHeader.read` looks at, private ones in the blocks that vendors use.
TAGS: tuple[BaseTag, ...] = (
    *tags(
        "Units SUVType CorrectedImage AttenuationCorrectionMethod AttenuationCorrected DecayCorrected "
        "DecayCorrection DecayCorrectionDateTime SeriesDate SeriesTime AcquisitionDate AcquisitionTime "
        "AcquisitionDateTime TimezoneOffsetFromUTC PatientWeight PatientSize PatientSex "
        "RadiopharmaceuticalInformationSequence"
    ),
    *(
        Tag(group, low)
        for group, _, element in (_GE, _PHILIPS_SUV, _PHILIPS_BQML)
        for block in range(0x10, 0x20)
        for low in (block, block << 8 | element)
    ),
)


@dataclass(frozen=True)
class ScanHeader:
    """One PET series' header, as far as SUV depends on it. What the header does not say, or not legibly, is
    None or "". Times are the scanner's local ones, those with an offset from UTC too; where nothing tells the
    scanner's own offset, these are None.

    Args:
        units: "BQML", "CNTS", "GML", "PROPCPS", ...
        suv_type: of values that are SUV already: "BW" (also where the header is silent), "LBM",
            "LBMJAMES128", "LBMJANMA", "BSA" or "IBW".
        corrections: corrections done, "ATTN" and "DECY" among them; None where the header is silent.
        attenuation_method: free text of the scanner.
        decay_correction: to which time: "START", "ADMIN" or "NONE".
        decay_reference: that time itself, where the header states it (enhanced PET).
        series_start: SeriesDate and SeriesTime.
        acquisition_start: the earliest of the series.
        private_scan_start: GE's own, the earliest of the series.
        injected: when, with its date.
        injected_at: when, without one.
        dose_bq: as injected.
        injections: how many the header lists.
        half_life_s: of the nuclide.
        nuclide: such as "F-18", "" where the header names none that is known.
        tracer: what the header calls it.
        weight_kg: the patient's weight.
        height_m: the patient's height.
        sex: "M", "F", "O" or "".
        philips_suv: Philips' factor from counts to SUVbw.
        philips_bqml: Philips' factor from counts to Bq/ml.
        dynamic: the series has frames in time.
    """

    units: str = ""
    suv_type: str = "BW"
    corrections: tuple[str, ...] | None = None
    attenuation_method: str = ""
    decay_correction: str = ""
    decay_reference: datetime | None = None
    series_start: datetime | None = None
    acquisition_start: datetime | None = None
    private_scan_start: datetime | None = None
    injected: datetime | None = None
    injected_at: time | None = None
    dose_bq: float | None = None
    injections: int = 0
    half_life_s: float | None = None
    nuclide: str = ""
    tracer: str = ""
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    philips_suv: float | None = None
    philips_bqml: float | None = None
    dynamic: bool = False

    @staticmethod
    def read(dataset: pydicom.Dataset, *others: pydicom.Dataset) -> "ScanHeader":
        """Read one image's header.

        Args:
            dataset: the header.
            others: where else to look for what it does not hold (functional groups of enhanced PET).

        Raises:
            VolumeError: an element is damaged or too long for a header.
        """

        def place(keyword: str) -> pydicom.Dataset:
            return next((one for one in (dataset, *others) if keyword in one), dataset)

        def word(keyword: str) -> str:
            return text(place(keyword), keyword).upper()

        injections = items(
            place("RadiopharmaceuticalInformationSequence"), "RadiopharmaceuticalInformationSequence"
        )
        injection = injections[0] if injections else pydicom.Dataset()
        nuclide, tracer = (
            (items(injection, keyword) or [pydicom.Dataset()])[0]
            for keyword in ("RadionuclideCodeSequence", "RadiopharmaceuticalCodeSequence")
        )
        local_start = _time(text(injection, "RadiopharmaceuticalStartTime"))
        injected = text(injection, "RadiopharmaceuticalStartDateTime")
        decay_reference = word("DecayCorrectionDateTime")
        zone = _zone(text(dataset, "TimezoneOffsetFromUTC"), local_start, injected, decay_reference)
        acquisition = place("AcquisitionTime")
        acquired_on = _date(text(acquisition, "AcquisitionDate")) or _date(
            text(place("SeriesDate"), "SeriesDate")
        )
        private_start = private(dataset, *_GE)
        return ScanHeader(
            units=word("Units"),
            suv_type=word("SUVType") or "BW",
            corrections=_corrections(place("CorrectedImage"), place("AttenuationCorrected")),
            attenuation_method=text(place("AttenuationCorrectionMethod"), "AttenuationCorrectionMethod"),
            decay_correction=word("DecayCorrection"),
            decay_reference=moment(decay_reference, zone),
            series_start=_joined(
                _date(text(place("SeriesDate"), "SeriesDate")), _time(text(place("SeriesTime"), "SeriesTime"))
            ),
            acquisition_start=_joined(acquired_on, _time(text(acquisition, "AcquisitionTime")))
            or moment(word("AcquisitionDateTime"), zone),
            private_scan_start=None
            if private_start is None
            else moment(_plain(dataset, private_start), zone),
            injected=moment(injected, zone),
            injected_at=local_start,
            dose_bq=number(injection, "RadionuclideTotalDose"),
            injections=len(injections),
            half_life_s=number(injection, "RadionuclideHalfLife"),
            nuclide=nuclide_of(text(nuclide, "CodeValue"), text(nuclide, "CodeMeaning")),
            tracer=text(tracer, "CodeMeaning") or text(injection, "Radiopharmaceutical"),
            weight_kg=number(dataset, "PatientWeight"),
            height_m=number(dataset, "PatientSize"),
            sex=word("PatientSex"),
            philips_suv=_private_number(dataset, _PHILIPS_SUV),
            philips_bqml=_private_number(dataset, _PHILIPS_BQML),
        )

    @staticmethod
    def of_series(headers: Sequence["ScanHeader"]) -> "tuple[ScanHeader, str]":
        """Return the header of a series, and the first thing in which its images contradict each other.

        Of times of scans the earliest counts. A contradiction is an attribute's name, "" where there is none.
        """
        first = headers[0]
        contradictions = (
            field.name
            for one in dict.fromkeys(headers)
            for field in fields(ScanHeader)
            if field.name not in _MAY_DIFFER and getattr(one, field.name) != getattr(first, field.name)
        )
        starts = [one.acquisition_start for one in headers if one.acquisition_start]
        # Where AcquisitionDate is empty, slices after midnight have the day on which the series began.
        latest = max(starts, default=datetime.min)
        start = min((one for one in starts if latest - one <= _LONGEST_SCAN), default=None)
        private_start = min(
            (one.private_scan_start for one in headers if one.private_scan_start), default=None
        )
        of_all = replace(first, acquisition_start=start, private_scan_start=private_start)
        return of_all, next(contradictions, "")

    @property
    def attenuation_corrected(self) -> bool | None:
        """Whether; None where the header does not say."""
        if self.corrections:
            return "ATTN" in self.corrections
        return not self.attenuation_method.upper().startswith("NONE") if self.attenuation_method else None


def _corrections(classic: pydicom.Dataset, enhanced: pydicom.Dataset) -> tuple[str, ...] | None:
    found = tuple(one.upper() for one in texts(classic, "CorrectedImage") if one)
    if found or "AttenuationCorrected" not in enhanced:
        return tuple(sorted(set(found))) or None
    named = {"AttenuationCorrected": "ATTN", "DecayCorrected": "DECY"}
    return tuple(short for keyword, short in named.items() if text(enhanced, keyword).upper() == "YES")


def _plain(dataset: pydicom.Dataset, tag: BaseTag) -> str:
    """Return a private element as text, also where its VR is unknown (implicit VR)."""
    content = dataset.get_item(tag).value
    if isinstance(content, bytes):
        content = content[:64].decode("ascii", "replace")
    return str(content).strip(" \0")


def _private_number(dataset: pydicom.Dataset, where: tuple[int, str, int]) -> float | None:
    tag = private(dataset, *where)
    if tag is None:
        return None
    try:
        found = float(_plain(dataset, tag))
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None


def _date(written: str) -> date | None:
    match = re.fullmatch(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", written)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def _time(written: str) -> time | None:
    """Return a DICOM TM, "HHMMSS.FFFFFF" or shorter, also with the colons of ACR-NEMA."""
    match = re.fullmatch(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6})\d*)?)?)?", written)
    if not match:
        return None
    hour, minute, second, fraction = match.groups(default="0")
    try:
        return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def moment(written: str, zone: timedelta | None) -> datetime | None:
    """Return a DICOM DT that holds a time of day, as a clock in a zone shows it.

    Args:
        written: one without an offset from UTC is of that zone (PS3.3 C.12.1.1.8).
        zone: its offset; None where it is not known, and then a DT with an offset has no local time.
    """
    written = written.strip()
    offset = _offset(written)
    found = _joined(_date(written[:8]), _time(re.sub(_OFFSET, "", written[8:])))
    if found is None or offset is None:
        return found
    try:
        return None if zone is None else found - offset + zone
    except OverflowError:  # in the year 1 or 9999
        return None


def _offset(written: str) -> timedelta | None:
    """Return the offset from UTC, "+HHMM", with which a DT ends; None where it has none."""
    match = re.search(_OFFSET, written)
    if not match:
        return None
    size = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -size if match[1] == "-" else size


def _zone(stated: str, local_start: time | None, injected: str, decay_reference: str) -> timedelta | None:
    """Return the scanner's offset from UTC; None where nothing tells it.

    RadiopharmaceuticalStartTime tells it first: it is by the same clock as the times of the scan, whoever
    wrote TimezoneOffsetFromUTC; but not where no zone could make it the same moment as the date and time with
    an offset. Where the decay reference has an offset as well, any zone will do for both.

    Args:
        stated: TimezoneOffsetFromUTC.
        local_start: RadiopharmaceuticalStartTime.
        injected: RadiopharmaceuticalStartDateTime.
        decay_reference: DecayCorrectionDateTime.
    """
    offset, clock = _offset(injected), moment(re.sub(_OFFSET, "", injected), None)
    if local_start is not None and offset is not None and clock is not None:
        ahead = datetime.combine(clock, local_start) - clock + offset
        zone = round(ahead / _ZONES_APART) * _ZONES_APART
        if abs(ahead - zone) < _ROUNDING:
            return (zone - _WESTERNMOST) % timedelta(days=1) + _WESTERNMOST
    return next((one for one in map(_offset, (stated, decay_reference)) if one is not None), None)


def _joined(day: date | None, at: time | None) -> datetime | None:
    return None if day is None or at is None else datetime.combine(day, at)
