"""A PET series of a DICOM folder -> a volume; a CT beside it -> the same grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.choice import choose
from lib.pet.dicom_grid import affine_of
from lib.pet.dicom_pixels import check_size, stored_values
from lib.pet.dicom_slices import Slice
from lib.pet.preflight import Preflight
from lib.pet.series import CTSeries, PETSeries, find_series
from lib.pet.volume import Volume, VolumeError

_AIR_HU = -1024.0


def read_dicom_series(
    folder: Path, unit: str | None = None, series: int | str | None = None, frame: int | None = None
) -> Volume:
    """Read a PET series of a folder, whatever its files are called.

    i runs along a row, j down a column, k along row x column.

    Args:
        folder: searched with the folders in it.
        unit: as `read_series`.
        series: as `lib.pet.series.choose`.
        frame: likewise.

    Raises:
        VolumeError: no PET series, one of several patients, a missing or damaged slice, slices that do not
            form one grid, a missing tag. No message holds a name, a number or a UID of the patient.
    """
    chosen, at, reason = choose(find_series(folder), series, frame)
    return read_series(chosen, at, unit, reason)


def read_series(series: PETSeries, frame: int = 0, unit: str | None = None, reason: str = "") -> Volume:
    """Read one frame of a series.

    Args:
        series: of `find_series`.
        frame: 0-based.
        unit: None for SUVbw where it is possible, else Bq/ml where that is, else the values as they are. A
            unit into which the header cannot turn them says what they are, against the header.
        reason: why this series, for the volume's preflight.

    Raises:
        VolumeError: the series' fault; damaged pixels; SUV demanded of values in Bq/ml whose header does
            not allow it.
    """
    if series.fault:
        raise VolumeError(series.fault)
    suv = series.suv
    possible = {"SUVbw": suv.factors.get("SUVbw"), "Bq/ml": suv.bqml}
    if unit == "SUVbw" and possible["SUVbw"] is None and suv.bqml is not None:
        raise VolumeError(f"SUV cannot be computed: {suv.why_not['SUVbw']}")
    stated = unit is not None
    if unit is None:
        unit = next((name for name, factor in possible.items() if factor is not None), "unknown")
    by_header = possible.get(unit)
    slices = series.frames[frame]
    array = _read(slices, by_header or 1.0)
    preflight = Preflight(
        unit=unit,
        unit_from=(
            "from the DICOM header" if by_header else "as stated when it was opened" if stated else ""
        ),
        overruled=series.header.units if stated and not by_header else "",
        scale=by_header or 1.0,
        factors={name: factor / by_header for name, factor in suv.factors.items()} if by_header else {},
        why_not=suv.why_not,
        series=str(series),
        choice=reason,
        kind=series.kind,
        frames=len(series.frames),
        frame=frame,
        attenuation_corrected=series.attenuation_corrected,
        tracer=series.tracer,
        nuclide=series.nuclide,
        half_life_s=series.header.half_life_s,
        uptake_minutes=series.uptake_minutes(frame),
        weight_known=bool(series.header.weight_kg),
        height_known=bool(series.header.height_m),
        sex_known=series.header.sex in ("M", "F"),
        ct=series.ct is not None,
    )
    return Volume(array, affine_of(slices), unit, preflight)


def read_ct(ct: CTSeries, volume: Volume) -> NDArray[np.float32]:
    """Return a CT on a volume's grid, [i, j, k], in HU, linearly interpolated; -1024 outside the CT.

    Raises:
        VolumeError: its pixels are damaged.
    """
    to_ct = np.linalg.inv(affine_of(ct.slices)) @ volume.affine
    moved: NDArray[np.float32] = ndimage.affine_transform(
        _read(ct.slices, 1.0),
        to_ct[:3, :3],
        to_ct[:3, 3],
        volume.shape,
        output=np.float32,
        order=1,
        mode="constant",
        cval=_AIR_HU,
    )
    return moved


def _read(slices: Sequence[Slice], factor: float) -> NDArray[np.float32]:
    """Return values after each slice's own rescale and a factor, [column, row, slice]."""
    check_size(slices)
    first = slices[0]
    array = np.empty((first.columns, first.rows, len(slices)), dtype=np.float32, order="F")
    for k, pixels in stored_values(slices):
        one = slices[k]
        array[:, :, k] = ((pixels * one.slope + one.intercept) * factor).T
    return array
