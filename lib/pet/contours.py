"""Reading contours: an RT Structure Set as masks on a volume's grid."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lib.pet.crop import Crop
from lib.pet.volume import LPS_TO_RAS, Volume, VolumeError

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

#: A contour whose points leave their plane by more than this share of a slice lies oblique to the slices.
_IN_PLANE = 0.25
#: Contours that lie nearer to each other than this share of a slice are in one plane.
_ONE_PLANE = 0.03
#: Gaps between planes are one spacing as far as the largest is this many times the smallest.
_SAME_GAP = 1.5
#: Planes further apart than any scanner's slices (mm) are those of separate parts.
_THICKEST_MM = 10.5
#: A slice half way between two planes takes the upper one, whatever the rounding (slices).
_HALF_WAY = 0.01
_MOST_POINTS = 5_000_000


@dataclass(frozen=True, eq=False)
class _Planes:
    """A region's contours, by plane.

    Args:
        axis: the volume's axis across the planes.
        heights: of the planes, ascending, in slices of the volume.
        polygons: each plane's contours, pixel indices.
        slice_mm: from one slice of the volume to the next.
    """

    axis: int
    heights: NDArray[np.float64]
    polygons: list[list[NDArray[np.float64]]]
    slice_mm: float

    @property
    def gaps_mm(self) -> NDArray[np.float64]:
        """The smallest gap between planes, as often as it occurs; none where the planes are far apart."""
        gaps = np.diff(self.heights) * self.slice_mm
        gaps = gaps[gaps <= _THICKEST_MM]
        return gaps[gaps <= _SAME_GAP * gaps.min(initial=np.inf)]


def read_structure_set(path: Path, volume: Volume) -> dict[str, Crop]:
    """Read the regions of an RT Structure Set that have closed contours.

    A voxel belongs to a region where its centre lies in an odd number of the plane's contours, so that a
    contour in another one is a hole (DICOM PS3.3 C.8.8.6.3). Planes need not be the volume's: a slice takes
    the nearest plane of contours, and none where that is further than half the planes' spacing. That is the
    smallest gap between a region's planes where it recurs, else between those of any region; where none is
    that of a scanner's slices, the volume's own.

    Args:
        path: the file.
        volume: the PET image; its slices are parallel to the contours.

    Returns:
        The masks by the regions' names (ROIName), in the order of the file; of several with one name, the
        later ones have their number added.

    Raises:
        VolumeError: no structure set, a damaged one, one without closed contours, with contours that are
            oblique to the slices or all outside of the image.
    """
    wrong = f"{path.name} is a damaged structure set"
    try:
        dataset = pydicom.dcmread(path)
        if dataset.get("SOPClassUID") != RT_STRUCTURE_SET:
            raise VolumeError(f"{path.name} is no RT Structure Set.")
        names = {int(one.ROINumber): str(one.get("ROIName", "")) for one in dataset.StructureSetROISequence}
        regions = {
            int(one.ReferencedROINumber): _points(one) for one in dataset.get("ROIContourSequence", [])
        }
    except VolumeError:
        raise
    except Exception as error:  # pydicom raises many things for what it cannot read
        raise VolumeError(f"{wrong}: it cannot be read.") from error
    if sum(len(points) for contours in regions.values() for points in contours) > _MOST_POINTS:
        raise VolumeError(f"{path.name} holds more than {_MOST_POINTS:,} points of contours.")
    drawn = {number: _in_planes(one, volume, path) for number, one in regions.items() if one}
    usual_mm = min((np.median(one.gaps_mm) for one in drawn.values() if one.gaps_mm.size), default=0.0)
    masks: dict[str, Crop] = {}
    for number, planes in drawn.items():
        # One gap alone may be that between two parts of a slice each.
        spacing_mm = np.median(planes.gaps_mm) if len(planes.gaps_mm) > 1 else usual_mm
        name = names.get(number) or f"region {number}"
        masks[name if name not in masks else f"{name} {number}"] = _rasterised(
            planes, float(spacing_mm) / planes.slice_mm, volume
        )
    if not masks:
        raise VolumeError(f"{path.name} holds no closed contour.")
    if not any(mask.any() for mask in masks.values()):
        raise VolumeError(
            f"No contour of {path.name} lies in the image: they belong to another study, or to another frame "
            "of reference."
        )
    return masks


def _points(region: Dataset) -> list[NDArray[np.float64]]:
    """Return the closed contours of a region, each (N, 3) LPS mm."""
    contours = [
        np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
        for contour in region.get("ContourSequence", [])
        if contour.get("ContourGeometricType") in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
    ]
    if not all(np.isfinite(points).all() for points in contours):
        raise ValueError("a coordinate is not finite")
    return [points for points in contours if len(points) > 2]


def _in_planes(contours: list[NDArray[np.float64]], volume: Volume, path: Path) -> _Planes:
    there = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    indices = [points @ there[:3, :3].T + there[:3, 3] for points in contours]
    axis = _slice_axis(indices)
    if any(np.ptp(points[:, axis]) > 2 * _IN_PLANE for points in indices):
        raise VolumeError(f"The contours of {path.name} are oblique to the image's slices.")
    indices.sort(key=lambda points: float(points[:, axis].mean()))
    means = np.array([points[:, axis].mean() for points in indices])
    # By their distance, not by a rounded place: one plane may lie on both sides of where rounding turns.
    begins = [0, *(np.flatnonzero(np.diff(means) > _ONE_PLANE) + 1).tolist(), len(means)]
    polygons = [np.delete(points, axis, axis=1) for points in indices]
    groups = [slice(*pair) for pair in pairwise(begins)]
    heights = np.array([means[group].mean() for group in groups])
    return _Planes(axis, heights, [polygons[group] for group in groups], volume.spacing[axis])


def _rasterised(region: _Planes, spacing: float, volume: Volume) -> Crop:
    """Return the slices of a region whose image has planes at this spacing, in slices of the volume."""
    heights, reach = region.heights, max(1.0, spacing) / 2
    grid = np.zeros(volume.shape, dtype=np.bool_, order="F")
    slices = np.moveaxis(grid, region.axis, 0)
    first, last = np.floor(heights[0] - reach), np.ceil(heights[-1] + reach)
    for at in range(max(0, int(first)), min(len(slices) - 1, int(last)) + 1):
        here = at + _HALF_WAY
        nearest = int(np.abs(heights - here).argmin())
        after = int(np.searchsorted(heights, here))
        between = np.diff(heights[max(0, after - 1) : after + 1])  # empty before the first and after the last
        if abs(heights[nearest] - here) <= reach or (between <= _SAME_GAP * spacing).any():
            for polygon in region.polygons[nearest]:
                slices[at] ^= _inside(polygon, slices[at].shape)
    return Crop.from_grid(grid)


def _slice_axis(indices: list[NDArray[np.float64]]) -> int:
    """Return the volume's axis along which every contour stays where it is."""
    return int(np.argmin([max(np.ptp(points[:, axis]) for points in indices) for axis in range(3)]))


def _inside(polygon: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels' centres lie in a polygon (N, 2) of pixel indices, by the even-odd rule.

    A library that draws polygons rounds their corners to pixels; here no corner moves.
    """
    begin, end = polygon, np.roll(polygon, -1, axis=0)
    low, high = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
    # Half open: a corner that lies on a row counts for one of its two edges.
    first = np.clip(np.ceil(low), 0, shape[0]).astype(int)
    rows_of = np.clip(np.ceil(high), 0, shape[0]).astype(int) - first
    edge = np.repeat(np.arange(len(polygon)), rows_of)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(rows_of) - rows_of, rows_of)
    (x, y), (x_end, y_end) = begin[edge].T, end[edge].T
    crossing = y + (row - x) * (y_end - y) / (x_end - x)
    # All pixels of the row beyond a crossing change sides.
    toggles = np.zeros((shape[0], shape[1] + 1), dtype=np.intp)
    np.add.at(toggles, (row, np.clip(np.floor(crossing) + 1, 0, shape[1]).astype(int)), 1)
    inside: NDArray[np.bool_] = toggles.cumsum(axis=1)[:, :-1] % 2 == 1
    return inside
