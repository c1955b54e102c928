"""Reading a PET image, whatever it is stored as."""

import json
from pathlib import Path

from lib.pet.dicom import read_dicom_series
from lib.pet.image_files import read_image_file, suffix_of
from lib.pet.preflight import Preflight
from lib.pet.volume import UNITS, Volume, VolumeError

_UNITS_IN_SIDECARS = {  # BIDS says "Bq/mL"; without blanks and in lower case
    "bq/ml": "Bq/ml",
    "bqml": "Bq/ml",
    "g/ml": "SUVbw",
    "gml": "SUVbw",
    "g/ml{suvbw}": "SUVbw",
    "{suvbw}g/ml": "SUVbw",
    "suvbw": "SUVbw",
    "suv": "SUVbw",
}


def read_volume(
    path: str | Path,
    unit: str | None = None,
    series: int | str | None = None,
    frame: int | None = None,
) -> Volume:
    """Read a PET image; its `preflight` says what can be measured in it.

    Args:
        path: a NIfTI file (.nii, .nii.gz), an NRRD file (.nrrd, .nhdr), or a folder with DICOM PET series.
        unit: what the values are, "SUVbw", "Bq/ml" or "unknown"; overrules what the image says of itself.
            Without it a DICOM header tells (SUV where it can be computed), or a JSON sidecar beside the file
            (NAME.json with "Units", as BIDS PET has it), else the unit is "unknown". A DICOM header that
            knows the way turns its values into the unit demanded.
        series: of a DICOM folder with several, which: place (0-based) or UID, as `lib.pet.series.choose`.
        frame: of a dynamic or gated series, which, 0-based.

    Raises:
        VolumeError: the image is missing, damaged or of a kind that cannot be used; the message says which.
    """
    path = Path(path)
    if unit is not None and unit not in UNITS:
        raise VolumeError(f"The unit must be one of {', '.join(UNITS)}.")
    if path.is_dir():
        return read_dicom_series(path, unit, series, frame)
    if not path.exists():
        raise VolumeError(f"There is no file or folder {path.name}.")
    if series is not None or frame is not None:
        raise VolumeError("A series or a frame can be chosen of a DICOM folder only.")
    array, affine = read_image_file(path)
    said_by = "as stated when it was opened" if unit else "from the sidecar beside the file"
    unit = unit or _unit_of_sidecar(path)
    return Volume(array, affine, unit, Preflight.of_file(unit, said_by if unit != "unknown" else ""))


def _unit_of_sidecar(path: Path) -> str:
    """Return the unit that NAME.json states for NAME.nii.gz."""
    sidecar = path.with_name(path.name[: -len(suffix_of(path))] + ".json")
    if not sidecar.is_file():
        return "unknown"
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"The sidecar {sidecar.name} is not JSON; mend or remove it.") from error
    stated = content.get("Units") if isinstance(content, dict) else None
    return _UNITS_IN_SIDECARS.get("".join(str(stated).lower().split()), "unknown")
