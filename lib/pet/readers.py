"""Reading a PET image, whatever it is stored as."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.pet.dicom import read_dicom_series
from lib.pet.image_files import read_image_file
from lib.pet.preflight import Preflight
from lib.pet.sidecar import header_of, read_sidecar, sidecar_of, unit_named, unit_of
from lib.pet.suv import suv_factors
from lib.pet.volume import UNITS, Volume, VolumeError


def read_volume(
    path: str | Path,
    unit: str | None = None,
    series: int | str | None = None,
    frame: int | None = None,
) -> Volume:
    """Read a PET image; its `preflight` says what can be measured in it.

    Args:
        path: a NIfTI file (.nii, .nii.gz), an NRRD file (.nrrd, .nhdr), or a folder with DICOM PET series.
        unit: what the values are, "SUVbw", "Bq/ml" (spelt as in any sidecar) or "unknown". Without it a DICOM
            header tells, or a JSON sidecar beside the file (NAME.json with "Units", as BIDS PET has it), else
            the unit is "unknown"; where header or sidecar allow it, values become SUV. A header or sidecar
            that knows the way turns its values into the unit demanded; one that says another unit is
            overruled, which the preflight's `overruled` tells.
        series: of a DICOM folder with several, which: place (0-based) or UID, as `lib.pet.series.choose`.
        frame: of a dynamic or gated series, which, 0-based.

    Raises:
        VolumeError: the image is missing, damaged or of a kind that cannot be used; the message says which.
    """
    path = Path(path)
    if unit is not None and unit not in UNITS:
        unit = unit_named(unit)
        if unit == "unknown":
            raise VolumeError(f"The unit must be one of {', '.join(UNITS)}.")
    if path.is_dir():
        return read_dicom_series(path, unit, series, frame)
    if not path.exists():
        raise VolumeError(f"There is no file or folder {path.name}.")
    if series is not None or frame is not None:
        raise VolumeError("A series or a frame can be chosen of a DICOM folder only.")
    array, affine = read_image_file(path)
    if unit is None:
        return _as_sidecar_says(array, affine, read_sidecar(sidecar_of(path)))
    try:
        sidecar = read_sidecar(sidecar_of(path))
    except VolumeError:  # what it might say counts no more
        sidecar = {}
    stated = unit_of(sidecar)
    if unit == "SUVbw" != stated:
        computed = _as_sidecar_says(array, affine, sidecar)
        if computed.unit == "SUVbw":
            return computed
    overruled = str(sidecar["Units"]) if stated not in (unit, "unknown") else ""
    header = header_of(sidecar)
    stated_when_opened = Preflight.of_file(unit, "as stated when it was opened", overruled)
    preflight = replace(stated_when_opened, tracer=header.tracer, nuclide=header.nuclide)
    return Volume(array, affine, unit, preflight)


def _as_sidecar_says(
    array: NDArray[np.float32], affine: NDArray[np.float64], sidecar: Mapping[str, Any]
) -> Volume:
    """Return the values as SUV where the sidecar holds all that it takes, else in the unit that it states."""
    unit, said_by = unit_of(sidecar), "from the sidecar beside the file"
    if unit != "Bq/ml" or "InjectedRadioactivity" not in sidecar:
        stated = Preflight.of_file(unit, said_by if unit != "unknown" else "")
        header = header_of(sidecar)
        return Volume(array, affine, unit, replace(stated, tracer=header.tracer, nuclide=header.nuclide))
    header = header_of(sidecar)
    suv = suv_factors(header)
    factor = suv.factors.get("SUVbw", 1.0)
    unit = "SUVbw" if "SUVbw" in suv.factors else unit
    preflight = Preflight(
        unit=unit,
        unit_from=said_by,
        factors={name: one / factor for name, one in suv.factors.items()},
        why_not=suv.why_not,
        attenuation_corrected=header.attenuation_corrected,
        tracer=header.tracer,
        nuclide=header.nuclide,
        half_life_s=header.half_life_s,
        uptake_minutes=suv.uptake_minutes,
        weight_known=header.weight_kg is not None,
    )
    return Volume(array * np.float32(factor), affine, unit, preflight)
