"""Region growing as PET readers know it: share of the maximum, fixed value, or steepest edge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from lib.interaction.prompts import Index, PromptError, Step
from lib.interaction.segmenter import State, Stopwatch
from lib.pet import Crop, Volume

Method = Literal["percent", "fixed", "gradient"]

#: The maximum that a click means is looked for within this distance.
REACH_MM = 12.0
#: What a positive click adds where its own voxel is too cold for the region that it means.
BRUSH_MM = 8.0
#: A region ends at this distance from its click: bounds time and leaks.
EXTENT_MM = 150.0
#: Thresholds tried by the gradient method, as shares of the local maximum.
GRADIENT_SHARES = np.arange(0.20, 0.81, 0.05)

TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class _Box:
    """The part of a volume around a click."""

    start: Index
    values: NDArray[np.float32]
    spacing: tuple[float, float, float]


class RegionGrower:
    """Grows a region from each positive click; a training-free segmenter behind the same engine.

    Around a positive click the local maximum within 12 mm uphill is found; the region is what is connected to
    it (26 neighbours) at or above the threshold. A click on a voxel below the threshold adds a ball of 8 mm
    around itself as well. Of the result, what is nearer to a negative click than to any positive one is taken
    away.

    Args:
        method: `percent`: threshold at `value` % of the local maximum (41 % by default: Boellaard 2015, EANM
            guideline); `fixed`: at `value` in the volume's unit (4.0 by default); `gradient`: at the one of
            the isocontours between 20 % and 80 % along which the mean gradient is steepest; `value` is not
            used.
        value: see `method`.

    Raises:
        PromptError: an unknown method, or a value out of range.
    """

    def __init__(self, method: Method = "percent", value: float | None = None) -> None:
        if method not in get_args(Method):
            raise PromptError(f"The method of suv_region must be one of {', '.join(get_args(Method))}.")
        self.method = method
        self.value = (
            {"percent": 41.0, "fixed": 4.0, "gradient": 0.0}[method] if value is None else float(value)
        )
        if method == "percent" and not 0 < self.value <= 100:
            raise PromptError("The threshold must be above 0 and at most 100 % of the local maximum.")
        if method == "fixed" and not (np.isfinite(self.value) and self.value > 0):
            raise PromptError("The fixed threshold must be a number above 0.")
        self.name = "suv_region"
        self.digest = hashlib.sha256(f"{method} {self.value}".encode()).hexdigest()

    def anchor(self, volume: Volume, click: Index, taken: Sequence[Index]) -> None:
        """Return nothing: region growing has no regions to share."""

    def advance(
        self,
        volume: Volume,
        anchor: Index | None,
        before: State | None,
        steps: Sequence[Step],
        watch: Stopwatch,
    ) -> State:
        """Return the region that all clicks of all steps give (see `Segmenter.advance`)."""
        clicks = [click for step in steps for click in step]
        positive = [click.index for click in clicks if click.positive]
        negative = [click.index for click in clicks if not click.positive]
        mask, regions = Crop.empty(), []
        with watch.stage("grow"):
            for index in positive:
                part, region = self._grow(volume, index)
                mask = mask.union(part)
                regions.append(region)
            if positive and negative:
                mask = _nearer_to(mask, positive, negative, volume.spacing)
        return State(mask=mask, bytes=mask.array.nbytes, regions=tuple(regions))

    def _grow(self, volume: Volume, click: Index) -> tuple[Crop, dict[str, Any]]:
        near, middle = _box_around(volume, click, REACH_MM)
        maximum, peak = _hottest_uphill(near, middle)
        if maximum <= 0:
            return Crop.empty(), {"click": list(click), "threshold": None, "maximum": maximum}
        box, _ = _box_around(volume, click, EXTENT_MM)
        peak = peak + np.subtract(near.start, box.start)
        threshold = self._threshold(box, peak, maximum)
        region = Crop(box.start, _connected(box.values >= threshold, peak)).tight()
        if not region.contains(click):
            brush = _squared_distance(near, middle) <= BRUSH_MM**2
            region = region.union(Crop(near.start, brush).tight())
        return region, {"click": list(click), "threshold": round(threshold, 4), "maximum": round(maximum, 4)}

    def _threshold(self, box: _Box, peak: NDArray[np.int64], maximum: float) -> float:
        if self.method == "fixed":
            return self.value
        if self.method == "percent":
            return self.value / 100 * maximum
        # Every isocontour lies within the lowest one.
        largest = Crop.from_grid(_connected(box.values >= GRADIENT_SHARES[0] * maximum, peak))
        values, peak = box.values[largest.slices], np.subtract(peak, largest.start)
        gradient = ndimage.gaussian_gradient_magnitude(values, sigma=4.0 / np.array(box.spacing))
        steepness = []
        for share in GRADIENT_SHARES:
            region = _connected(values >= share * maximum, peak)
            edge = region & ~ndimage.binary_erosion(region, border_value=1)
            steepness.append(float(gradient[edge].mean()) if edge.any() else 0.0)
        return float(GRADIENT_SHARES[int(np.argmax(steepness))]) * maximum


def _box_around(volume: Volume, click: Index, reach_mm: float) -> tuple[_Box, NDArray[np.int64]]:
    """Return the part of a volume within reach of a click along each axis, and the click's place in it."""
    reach = np.ceil(reach_mm / np.array(volume.spacing)).astype(int)
    start = np.maximum(np.subtract(click, reach), 0)
    stop = np.minimum(np.add(click, reach) + 1, volume.shape)
    values = volume.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    i, j, k = start.tolist()
    return _Box((i, j, k), np.nan_to_num(values, nan=0.0), volume.spacing), np.subtract(click, start)


def _hottest_uphill(box: _Box, seed: NDArray[np.int64]) -> tuple[float, NDArray[np.int64]]:
    """Return the highest value in reach to which values no lower than the seed's lead, and its voxel."""
    near = _squared_distance(box, seed) <= REACH_MM**2
    uphill = _connected(near & (box.values >= box.values[tuple(seed)]), seed)
    hottest = np.unravel_index(int(np.argmax(np.where(uphill, box.values, -np.inf))), box.values.shape)
    return float(box.values[hottest]), np.array(hottest)


def _squared_distance(box: _Box, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared distance, mm, of every voxel of the box from one of them."""
    axes = [
        (np.arange(size) - at) * spacing
        for size, at, spacing in zip(box.values.shape, index, box.spacing, strict=True)
    ]
    i, j, k = np.ix_(*axes)
    squared: NDArray[np.float64] = i**2 + j**2 + k**2
    return squared


def _connected(mask: NDArray[np.bool_], seed: NDArray[np.int64]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, structure=TOUCHING)
    part = parts[tuple(seed)]
    return parts == part if part else np.zeros_like(mask)


def _nearer_to(
    mask: Crop, positive: list[Index], negative: list[Index], spacing: tuple[float, float, float]
) -> Crop:
    """Return what is nearer to a positive click than to any negative one, and connected to a positive one."""
    voxels = np.argwhere(mask.array)
    place = (voxels + mask.start) * spacing
    to_positive, _ = cKDTree(np.multiply(positive, spacing)).query(place)
    to_negative, _ = cKDTree(np.multiply(negative, spacing)).query(place)
    near = np.zeros_like(mask.array)
    near[tuple(voxels[to_positive <= to_negative].T)] = True
    parts, _ = ndimage.label(near, structure=TOUCHING)
    clicked = {
        int(parts[tuple(np.subtract(index, mask.start))]) for index in positive if mask.contains(index)
    }
    return Crop(mask.start, np.isin(parts, list(clicked - {0}))).tight()
