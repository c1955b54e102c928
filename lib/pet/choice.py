"""Which PET series of a folder is read, and which frame of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lib.pet.dicom_grid import affine_of
from lib.pet.series import PETSeries
from lib.pet.volume import VolumeError


class Choice(NamedTuple):
    """A series, its frame (0-based), and the sentence why; "" where there was nothing to choose."""

    series: PETSeries
    frame: int
    reason: str


def choose(series: Sequence[PETSeries], wanted: int | str | None = None, frame: int | None = None) -> Choice:
    """Return the series to read, its frame, and why.

    Without a wish: attenuation corrected before not, static before dynamic before gated, with SUV before
    without, more of the body before less, later before earlier, smaller voxels before larger, a lower series
    number before a higher one; of several frames the last.

    Args:
        series: as `find_series` returns them.
        wanted: a series' place in that list, 0-based, or its SeriesInstanceUID.
        frame: 0-based.

    Raises:
        VolumeError: there is no such series or frame, the series cannot be read, or those to choose from are
            of several patients or studies.
    """
    if not series:
        raise VolumeError("The folder holds no DICOM PET images.")
    if wanted is not None:
        chosen, reason = _wanted(series, wanted), ""
    else:
        chosen, reason = _by_default(series)
    if chosen.fault:
        raise VolumeError(chosen.fault)
    count = len(chosen.frames)
    if frame is None:
        if count > 1:
            reason = f"{reason} Of its {count} {chosen.kind} frames the last is read.".strip()
        return Choice(chosen, count - 1, reason)
    if not 0 <= frame < count:
        raise VolumeError(f"There is no frame {frame}; the series has {count}, counted from 0.")
    return Choice(chosen, frame, reason)


def _wanted(series: Sequence[PETSeries], wanted: int | str) -> PETSeries:
    if isinstance(wanted, str) and not wanted.isdigit():
        found = [one for one in series if one.uid == wanted]
    else:
        found = [one for place, one in enumerate(series) if place == int(wanted)]
    if not found:
        raise VolumeError(f"There is no such PET series; the folder holds {len(series)}, counted from 0.")
    return found[0]


# What speaks for a series, the smaller the better, and how to say so.
_CRITERIA: tuple[tuple[Callable[[PETSeries], float], str], ...] = (
    (lambda one: one.projection, "it holds slices, not projections"),
    (lambda one: (True, None, False).index(one.attenuation_corrected), "it is attenuation corrected"),
    (lambda one: ("dynamic", "gated").index(one.kind) + 1 if not one.static else 0, "it is static"),
    (lambda one: "SUVbw" not in one.suv.factors, "SUV can be computed from it"),
    (lambda one: -round(one.coverage_mm / 10), "it covers more of the body"),
    (lambda one: -_acquired(one), "it was acquired later"),
    (lambda one: round(_voxel_mm3(one), 3), "its voxels are smaller"),
    (lambda one: one.number if one.number is not None else np.inf, "its series number is lower"),
)


def _by_default(series: Sequence[PETSeries]) -> tuple[PETSeries, str]:
    for what, count in (
        ("patients", len({one.patient for one in series})),
        ("studies", len({one.study for one in series})),
    ):
        if count > 1:
            raise VolumeError(
                f"The folder holds {len(series)} PET series of {count} {what}; choose one, or put it in a "
                "folder of its own."
            )
    ranked = sorted(series, key=lambda one: (*(key(one) for key, _ in _CRITERIA), one.uid))
    best = ranked[0]
    if best.projection:
        raise VolumeError("The folder holds only projections of a PET scan, no slices.")
    if len(ranked) == 1:
        return best, ""
    reasons = []
    for other in ranked[1:]:
        better = (words for key, words in _CRITERIA if key(best) < key(other))
        reasons.append(next(better, "it comes first"))
    why = " and ".join(dict.fromkeys(reasons))
    return best, f"Of {len(ranked)} PET series this one ({best}) is read, because {why}."


def _acquired(one: PETSeries) -> float:
    start = one.header.acquisition_start or one.header.series_start
    return 0.0 if start is None else (start - start.min).total_seconds()


def _voxel_mm3(one: PETSeries) -> float:
    if not one.frames or one.slice_count < 2:
        return np.inf
    return abs(float(np.linalg.det(affine_of(one.frames[0])[:3, :3])))
