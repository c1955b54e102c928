"""The JSON beside an image file, as BIDS PET has it: what the values are, and what SUV depends on."""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lib.pet.image_files import suffix_of
from lib.pet.nuclides import HALF_LIVES, nuclide_of
from lib.pet.scan_header import ScanHeader
from lib.pet.volume import VolumeError

_UNITS = {  # BIDS says "Bq/mL"; without blanks and in lower case
    "bq/ml": "Bq/ml",
    "bqml": "Bq/ml",
    "g/ml": "SUVbw",
    "gml": "SUVbw",
    "g/ml{suvbw}": "SUVbw",
    "{suvbw}g/ml": "SUVbw",
    "suvbw": "SUVbw",
    "suv": "SUVbw",
}
_BECQUEREL = {"bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9}
#: AttenuationCorrection is free text: a denial alone, or of the correction ("No attenuation correction"), but
#: not of something else ("Non-contrast CT").
_NOT_CORRECTED = re.compile(
    r"$|none\b|(no|false|n/?a|nac)$|(no|not|non|un|without)[\W_]*(attenuation|ac\b|correct|applied)",
    re.IGNORECASE,
)
_TIME_ZERO = datetime(2000, 1, 1)  # any day: only differences count


def sidecar_of(image: Path) -> Path:
    """Return where the sidecar of a NIfTI or NRRD file would be: NAME.json beside it."""
    return image.with_name(image.name[: len(image.name) - len(suffix_of(image))] + ".json")


def with_sidecar(image: Path) -> list[Path]:
    """Return a NIfTI or NRRD file and its sidecar, where it has one: what its values mean is told by both."""
    sidecar = sidecar_of(image)
    return [image, sidecar] if sidecar.is_file() else [image]


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Return the content of a JSON file; empty where there is no file, or no object in it.

    Raises:
        VolumeError: it is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"The sidecar {path.name} is not JSON; mend or remove it.") from error
    return content if isinstance(content, dict) else {}


def unit_of(sidecar: Mapping[str, Any]) -> str:
    """Return the unit that "Units" states, "unknown" where it is none of ours."""
    return unit_named(str(sidecar.get("Units")))


def unit_named(text: str) -> str:
    """Return the unit of a text such as "g/ml", "BQML" or "SUVbw", "unknown" where it is none of ours."""
    return _UNITS.get("".join(text.lower().split()), "unknown")


def header_of(sidecar: Mapping[str, Any]) -> ScanHeader:
    """Return what SUV depends on, from BIDS' names for it.

    InjectionStart, ScanStart and ImageDecayCorrectionTime are seconds from one TimeZero; BodyWeight is in kg.
    The half-life is that of the TracerRadionuclide.
    """
    nuclide = nuclide_of("", str(sidecar.get("TracerRadionuclide", "")))
    corrected, method = sidecar.get("ImageDecayCorrected"), str(sidecar.get("AttenuationCorrection", "none"))
    done = {"DECY": corrected is True, "ATTN": not _NOT_CORRECTED.match(method.strip())}
    dose = _number(sidecar, "InjectedRadioactivity")
    becquerel = _BECQUEREL.get(str(sidecar.get("InjectedRadioactivityUnits")).lower())
    return ScanHeader(
        units={"Bq/ml": "BQML", "SUVbw": "GML"}.get(unit_of(sidecar), ""),
        corrections=tuple(name for name, is_done in done.items() if is_done)
        if "ImageDecayCorrected" in sidecar
        else None,
        decay_reference=_moment(sidecar, "ImageDecayCorrectionTime"),
        acquisition_start=_moment(sidecar, "ScanStart"),
        injected=_moment(sidecar, "InjectionStart"),
        dose_bq=None if dose is None or becquerel is None else dose * becquerel,
        injections=1,
        half_life_s=HALF_LIVES.get(nuclide),
        nuclide=nuclide,
        tracer=str(sidecar.get("TracerName", "")),
        weight_kg=_number(sidecar, "BodyWeight"),
    )


def _number(sidecar: Mapping[str, Any], name: str) -> float | None:
    found = sidecar.get(name)
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _moment(sidecar: Mapping[str, Any], name: str) -> datetime | None:
    seconds = _number(sidecar, name)
    return None if seconds is None or abs(seconds) > 1e7 else _TIME_ZERO + timedelta(seconds=seconds)
