"""From stored values to standardized uptake values, or the sentence that says why not.

SUV = activity concentration (Bq/ml) x body measure / dose decayed to the time to which the image is corrected
(Bq). The body measure is a weight in g, or the body's surface in cm2. Rules as in the vendor-neutral
pseudo-code of the QIBA profile (https://qibawiki.rsna.org/index.php/Standardized_Uptake_Value_(SUV)).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from lib.pet.nuclides import HALF_LIVES
from lib.pet.scan_header import ScanHeader

#: The quantities, with their UCUM units (DICOM PS3.16 CID 85).
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "SUVbw": "g/ml{SUVbw}",
        "SULjanma": "g/ml{SUVlbm(Janma)}",
        "SULjames128": "g/ml{SUVlbm(James128)}",
        "SUVbsa": "cm2/ml{SUVbsa}",
        "SUVibw": "g/ml{SUVibw}",
    }
)
_SUV_TYPES = {
    "BW": "SUVbw",
    "LBMJANMA": "SULjanma",
    "LBMJAMES128": "SULjames128",
    "BSA": "SUVbsa",
    "IBW": "SUVibw",
}
_NEED_SEX = ("SULjanma", "SULjames128", "SUVibw")
_MOST_HALF_LIVES = 10  # of uptake: less than a thousandth of the dose would be left
_LONG_LIVED = 86400  # s, of half-life: Zr-89, I-124
_LEAST_BMI, _MOST_BMI = 6, 150  # kg/m2: a premature baby's, and the heaviest that fit into a scanner
_EARLIEST_SCAN = timedelta(minutes=10)  # a dynamic scan may be started that long before the injection


class _Refused(Exception):  # noqa: N818 - no error, an answer
    """A quantity that cannot be computed; the message is the sentence why."""


@dataclass(frozen=True)
class SUVFactors:
    """What the values of a series can be turned into.

    Args:
        factors: from a rescaled stored value to each quantity (`QUANTITIES`) that is possible.
        why_not: for each other quantity one sentence.
        bqml: factor from a rescaled stored value to Bq/ml; None where there is none.
        uptake_minutes: from injection to the start of acquisition, below 0 where a dynamic scan began before;
            None where the times do not tell.
    """

    factors: Mapping[str, float]
    why_not: Mapping[str, str]
    bqml: float | None
    uptake_minutes: float | None


def suv_factors(header: ScanHeader, contradiction: str = "") -> SUVFactors:
    """Return the factors that a series' header allows.

    Args:
        header: of the series.
        contradiction: an attribute in which the headers of its images differ; makes SUV impossible.
    """
    bqml = {"BQML": 1.0, "CNTS": header.philips_bqml}.get(header.units)
    factors: dict[str, float] = {}
    why_not: dict[str, str] = {}
    for quantity in QUANTITIES:
        try:
            if contradiction:
                stated = re.sub("_(kg|m|bq|s)$", "", contradiction).replace("_", " ")
                raise _Refused(f"The images of the series state different things as {stated}.")
            factors[quantity] = _factor(quantity, header, bqml)
        except _Refused as refusal:
            why_not[quantity] = str(refusal)
    return SUVFactors(MappingProxyType(factors), MappingProxyType(why_not), bqml, _uptake_minutes(header))


def lean_body_mass_janmahasatian(weight: float, height: float, male: bool) -> float:
    """Return kg from kg and m (Janmahasatian 2005, Clin Pharmacokinet 44:1051)."""
    bmi = weight / height**2
    return 9270 * weight / (6680 + 216 * bmi) if male else 9270 * weight / (8780 + 244 * bmi)


def lean_body_mass_james(weight: float, height: float, male: bool) -> float:
    """Return kg from kg and m (James 1976; 128 for men, as DICOM's SUVlbm(James128) has it)."""
    squared = (weight / (100 * height)) ** 2
    return 1.10 * weight - 128 * squared if male else 1.07 * weight - 148 * squared


def body_surface(weight: float, height: float) -> float:
    """Return cm2 from kg and m (Du Bois and Du Bois 1916)."""
    return 71.84 * weight**0.425 * (100 * height) ** 0.725


def ideal_body_weight(height: float, male: bool) -> float:
    """Return kg from m (Sugawara 1999, Radiology 213:521)."""
    over = 100 * height - 152
    return 48.0 + 1.06 * over if male else 45.5 + 0.91 * over


def _factor(quantity: str, header: ScanHeader, bqml: float | None) -> float:
    """Return the factor from a rescaled stored value to a quantity, or raise _Refused."""
    stored, factor = _suv_as_stored(header)
    if stored is not None:
        _check_corrections(header, already_suv=True)
        if stored == quantity:
            return factor
        return factor * _body_measure(quantity, header) / _body_measure(stored, header)
    _, activity, body, dose = _all_of(
        lambda: _check_corrections(header, already_suv=False),
        lambda: _activity(header, bqml),
        lambda: _body_measure(quantity, header),
        lambda: _dose(header),
    )
    return activity * body / dose


def _all_of(*steps: Callable[[], float]) -> list[float]:
    """Return what the steps return, or raise _Refused with what all of them object to, in one sentence."""
    found, objections = [], []
    for step in steps:
        try:
            found.append(step())
        except _Refused as refusal:
            objections.append(str(refusal).rstrip("."))
    if objections:
        first, *others = objections
        raise _Refused("; ".join([first, *(one[0].lower() + one[1:] for one in others)]) + ".")
    return found


def _suv_as_stored(header: ScanHeader) -> tuple[str | None, float]:
    """Return the quantity that the values are by a factor, None where they are something else."""
    if header.units == "CNTS" and header.philips_suv is not None:
        return "SUVbw", header.philips_suv
    if header.units not in ("GML", "CM2ML"):
        return None, 1.0
    suv_type = "BSA" if header.units == "CM2ML" else header.suv_type
    if suv_type not in _SUV_TYPES:
        raise _Refused(
            "The values are SUV normalised to a body measure whose formula the header does not name "
            "(SUVType is not BW, LBMJANMA, LBMJAMES128, BSA or IBW)."
        )
    return _SUV_TYPES[suv_type], 1.0


def _activity(header: ScanHeader, bqml: float | None) -> float:
    """Return the factor from a rescaled stored value to Bq/ml."""
    if bqml is not None:
        return bqml
    if header.units == "CNTS":
        raise _Refused("The values are counts, and the header holds no factor of Philips' from them to SUV.")
    if header.units == "PROPCPS":
        raise _Refused("The values are proportional to counts per second (PROPCPS), not calibrated to Bq/ml.")
    if not header.units:
        raise _Refused("The header does not say in what units the values are.")
    raise _Refused("The values are in units from which SUV cannot be computed; Bq/ml (BQML) is needed.")


def _check_corrections(header: ScanHeader, already_suv: bool) -> float:
    """Return 1, the factor that corrections leave."""
    if header.attenuation_corrected is False:
        raise _Refused("The images are not attenuation corrected.")
    if header.corrections is None:
        if already_suv:
            return 1.0  # whoever computed SUV saw the corrections
        raise _Refused("The header does not say whether the images are corrected for attenuation and decay.")
    if header.decay_correction == "NONE" or "DECY" not in header.corrections:
        raise _Refused("The images are not corrected for decay.")
    return 1.0


def _body_measure(quantity: str, header: ScanHeader) -> float:
    """Return the g or cm2 that a quantity is normalised to."""
    weight, height, male = header.weight_kg, header.height_m, header.sex == "M"
    if quantity != "SUVibw":
        if not weight or weight < 0:
            raise _Refused("The header holds no patient weight.")
        if weight > 700:
            raise _Refused(
                f"The patient's weight of {weight:g} kg is implausible; it may be stated in grams."
            )
        if height and _is_height(height) and not _LEAST_BMI <= weight / height**2 <= _MOST_BMI:
            raise _Refused(f"A weight of {weight:g} kg is implausible for a height of {height:g} m.")
        if quantity == "SUVbw":
            return 1000 * weight
    if quantity in _NEED_SEX and header.sex not in ("M", "F"):
        raise _Refused("The patient's sex is not stated as male or female, and lean body mass depends on it.")
    if not height or height < 0:
        raise _Refused("The header holds no patient height.")
    if not _is_height(height):
        raise _Refused(
            f"The patient's height of {height:g} m is implausible; it may be stated in centimetres."
        )
    if quantity == "SUVbsa":
        return body_surface(weight or 0.0, height)
    if quantity == "SUVibw":
        mass = ideal_body_weight(height, male)
    elif quantity == "SULjanma":
        mass = lean_body_mass_janmahasatian(weight or 0.0, height, male)
    else:
        mass = lean_body_mass_james(weight or 0.0, height, male)
    if mass <= 0:
        raise _Refused("The formula for lean or ideal body mass does not hold for this weight and height.")
    return 1000 * mass


def _is_height(metres: float) -> bool:
    return 0.3 <= metres <= 2.6


def _dose(header: ScanHeader) -> float:
    """Return Bq: the dose decayed to the time to which the image is corrected."""
    if header.injections > 1:
        raise _Refused("The header lists several injections, so it is not clear which dose the images show.")
    dose = header.dose_bq
    if not dose or dose < 0:
        raise _Refused("The header holds no injected dose.")
    if not 1e5 <= dose <= 1e11:
        raise _Refused(f"The injected dose of {dose:g} Bq is implausible; it may be stated in MBq.")
    if header.decay_correction == "ADMIN" and header.decay_reference is None:
        return dose
    if header.decay_correction != "START" and header.decay_reference is None:
        raise _Refused("The header does not say to which time the images are corrected for decay.")
    half_life = _half_life(header)
    injected, reference = _injected_and_reference(header)
    return dose * 2.0 ** (-(reference - injected).total_seconds() / half_life)


def _half_life(header: ScanHeader) -> float:
    half_life = header.half_life_s
    if not half_life or half_life < 0:
        raise _Refused("The header holds no half-life of the nuclide.")
    known = HALF_LIVES.get(header.nuclide)
    if known is not None and abs(half_life / known - 1) > 0.05:
        raise _Refused(
            f"The half-life of {half_life:g} s is not that of the nuclide {header.nuclide}, {known:g} s."
        )
    if all(abs(half_life / one - 1) > 0.05 for one in HALF_LIVES.values()):
        raise _Refused(
            f"The half-life of {half_life:g} s is that of no known nuclide; it may be stated in another unit."
        )
    return half_life


def _uptake_minutes(header: ScanHeader) -> float | None:
    """Return minutes from injection to the start of acquisition; None where times are missing or contradict.

    As EANM's guideline for FDG, version 2.0, has it (Boellaard 2015, doi 10.1007/s00259-014-2961-x).
    """
    try:
        injected, reference = _injected_and_reference(header)
    except _Refused:
        return None
    start = header.acquisition_start if header.decay_reference is not None else None
    minutes = ((start or reference) - injected).total_seconds() / 60
    return minutes if minutes >= 0 or header.dynamic else None


def _injected_and_reference(header: ScanHeader) -> tuple[datetime, datetime]:
    """Return when the dose was injected, and the time to which the image is corrected for decay.

    A time of injection without a date tells the day only of nuclides that are not imaged days later.
    """
    reference = next(_reference_times(header), None)
    injected = None if reference is None else _injected(header, reference)
    if reference is None or injected is None:
        raise _Refused(
            "The times of injection or scan are missing, illegible or not in one time zone, so decay cannot "
            "be computed."
        )
    seconds = (reference - injected).total_seconds()
    if seconds < 0 and not _started_early(header, injected - reference):
        raise _Refused("The times contradict: the injection is later than the scan.")
    if header.half_life_s and header.half_life_s > 0 and seconds > _MOST_HALF_LIVES * header.half_life_s:
        raise _Refused(
            f"The times contradict: the injection would be {_duration(seconds)} before the scan, "
            f"more than {_MOST_HALF_LIVES} half-lives."
        )
    if header.injected is None and (header.half_life_s or 0) > _LONG_LIVED:
        raise _Refused(
            "The header states no date of injection, which with this half-life may be days before the scan."
        )
    return injected, reference


def _injected(header: ScanHeader, reference: datetime) -> datetime | None:
    """Return when the dose was injected; on the last day before the reference where the day is not stated."""
    if header.injected is not None or header.injected_at is None:
        return header.injected
    day = (header.series_start or reference).date()
    injected = datetime.combine(day, header.injected_at)
    if injected > reference and not _started_early(header, injected - reference):
        injected -= timedelta(days=1)
    return injected


def _reference_times(header: ScanHeader) -> Iterator[datetime]:
    """Yield the time to which the image is corrected for decay, then what else could stand for it.

    The series' time may be that of a later reconstruction; then it lies after the acquisition.
    """
    series, acquired = header.series_start, header.acquisition_start
    if header.decay_reference is not None:
        yield header.decay_reference
    if series is not None and (acquired is None or series <= acquired):
        yield series
    if header.private_scan_start is not None:
        yield header.private_scan_start
    if acquired is not None:
        yield acquired


def _started_early(header: ScanHeader, by: timedelta) -> bool:
    return header.dynamic and by <= _EARLIEST_SCAN


def _duration(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds > 2 * 86400 else f"{seconds / 3600:.1f} hours"
