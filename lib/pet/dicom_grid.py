"""Slices -> one grid: that they are alike, evenly spaced and complete is checked, never assumed."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lib.pet.dicom_slices import Slice
from lib.pet.volume import VolumeError

_SAME_PLACE_MM = 0.01


def check_alike(slices: Sequence[Slice]) -> None:
    """Raise VolumeError unless all slices could be of one grid, whatever their positions."""
    first = slices[0]
    for one in slices:
        if (one.rows, one.columns) != (first.rows, first.columns):
            raise VolumeError("The PET slices differ in their numbers of rows or columns.")
        if not np.allclose(one.pixel_spacing, first.pixel_spacing, rtol=1e-4):
            raise VolumeError("The PET slices differ in their pixel spacing.")
        if not np.allclose(one.orientation, first.orientation, atol=1e-3):
            raise VolumeError("The PET slices differ in their orientation.")
        if one.units != first.units:
            raise VolumeError("The PET slices differ in their unit.")


def split_frames(slices: Sequence[Slice], what: str) -> list[list[Slice]]:
    """Return the frames of a dynamic or gated series, in their order.

    At each position the slices are put in order by time, or by their place in the cycle; the n-th ones of all
    positions are frame n.

    Args:
        slices: of all frames, alike.
        what: "dynamic" or "gated", for the message.

    Raises:
        VolumeError: some positions have more slices than others, or two slices that nothing tells apart.
    """
    normal = np.cross(*slices[0].orientation)
    places: defaultdict[int, list[Slice]] = defaultdict(list)
    previous, place = -np.inf, 0
    for at, one in sorted(((float(one.position @ normal), one) for one in slices), key=lambda pair: pair[0]):
        place += at - previous > _SAME_PLACE_MM
        places[place].append(one)
        previous = at
    counts = {len(stack) for stack in places.values()}
    if len(counts) > 1:
        raise VolumeError(
            f"The {what} series has {min(counts)} frames at some slice positions, {max(counts)} at others, "
            "so one frame cannot be chosen; slices are missing or stored twice."
        )
    for stack in places.values():
        stack.sort(key=lambda one: one.order)
        if any(one.order == other.order for one, other in pairwise(stack)):
            raise VolumeError(
                f"The {what} series does not say which slice belongs to which frame; one cannot be chosen."
            )
    return [list(frame) for frame in zip(*places.values(), strict=True)]


def in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices sorted along row x column.

    Raises:
        VolumeError: they are not evenly spaced, two lie at one place, or they are shifted sideways.
    """
    normal = np.cross(*slices[0].orientation)
    slices = sorted(slices, key=lambda one: float(one.position @ normal))
    if len(slices) == 1:
        return slices
    places = np.array([one.position @ normal for one in slices])
    gaps = np.diff(places)
    twice = np.flatnonzero(gaps < _SAME_PLACE_MM)
    if twice.size:
        raise VolumeError(
            f"{twice.size} of {len(slices)} PET slices lie at the position of another, first at "
            f"{places[twice[0]]:.2f} mm along the slice axis: stored twice, or of several frames."
        )
    spacing = float(np.median(gaps))
    uneven = np.flatnonzero(abs(gaps - spacing) > 0.01 * spacing)
    if uneven.size:
        at = int(uneven[0])
        raise VolumeError(
            f"The PET slices are not evenly spaced: slices {at + 1} and {at + 2} of {len(slices)} "
            f"(at {places[at]:.2f} mm along the slice axis) lie {gaps[at]:.2f} mm apart, others "
            f"{spacing:.2f} mm; a slice may be missing."
        )
    offsets = np.array([one.position - slices[0].position for one in slices])
    aside = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1)
    if aside.max() > 0.1 * slices[0].pixel_spacing.min():
        raise VolumeError(
            f"The PET slices are shifted sideways against each other by up to {aside.max():.2f} mm, as with "
            "a tilted gantry; resample the series to a straight grid first."
        )
    return slices


def affine_of(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Return voxel index -> RAS+ mm (DICOM PS3.3 C.7.6.2.1.1, with the slices' own step as third axis).

    Raises:
        VolumeError: a single slice does not say how thick it is.
    """
    first, last = slices[0], slices[-1]
    if len(slices) > 1:
        step = (last.position - first.position) / (len(slices) - 1)
    elif first.thickness and first.thickness > 0:
        step = np.cross(*first.orientation) * first.thickness
    else:
        raise VolumeError("A single PET slice needs SliceThickness (0018,0050) to be a volume.")
    between_rows, between_columns = first.pixel_spacing
    along_row, down_column = first.orientation
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [along_row * between_columns, down_column * between_rows, step, first.position]
    )
    affine[:2] *= -1  # LPS -> RAS
    return affine
