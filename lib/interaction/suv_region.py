"""Region growing as PET readers know it: share of the maximum, fixed value, or steepest edge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Index, PromptError, Step
from lib.interaction.segmenter import State, Stopwatch
from lib.pet import Crop, Volume

Method = Literal["percent", "fixed", "gradient"]

#: The maximum that a click means is looked for within this distance.
REACH_MM = 12.0
#: A region ends at this distance from its click: bounds time and leaks.
EXTENT_MM = 150.0
#: Thresholds tried by the gradient method, as shares of the local maximum.
GRADIENT_SHARES = np.arange(0.20, 0.81, 0.05)

TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class _Box:
    """The part of a volume around a click."""

    start: NDArray[np.int64]
    values: NDArray[np.float32]
    spacing: tuple[float, float, float]


class RegionGrower:
    """Grows a region from each positive click; a training-free segmenter behind the same engine.

    Around a positive click the local maximum within 12 mm is found; the region is what is connected to it (26
    neighbours) at or above the threshold. Where a negative click lies in such a region, the region is divided
    between its positive and negative clicks by a watershed on the intensities.

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
        negative = [click.index for click in clicks if not click.positive]
        mask, regions = Crop.empty(), []
        with watch.stage("grow"):
            for click in clicks:
                if click.positive:
                    part, region = self._grow(volume, click.index, negative)
                    mask = mask.union(part)
                    regions.append(region)
        return State(mask=mask, bytes=mask.array.nbytes, regions=tuple(regions))

    def _grow(self, volume: Volume, click: Index, negative: list[Index]) -> tuple[Crop, dict[str, Any]]:
        box = _box_around(volume, click)
        seed = np.subtract(click, box.start)
        peak = _local_maximum(box, seed)
        maximum = float(box.values[tuple(peak)])
        if maximum <= 0:
            return Crop.empty(), {"click": list(click), "threshold": None, "maximum": maximum}
        threshold = self._threshold(box, peak, maximum)
        region = _connected(box.values >= threshold, peak)
        inside = [local for local in (np.subtract(n, box.start) for n in negative) if _holds(region, local)]
        if inside:
            region = _divide(box.values, region, [seed, peak], inside)
        begin = tuple(int(at) for at in box.start)
        described = {"click": list(click), "threshold": round(threshold, 4), "maximum": round(maximum, 4)}
        return Crop((begin[0], begin[1], begin[2]), region).tight(), described

    def _threshold(self, box: _Box, peak: NDArray[np.int64], maximum: float) -> float:
        if self.method == "fixed":
            return self.value
        if self.method == "percent":
            return self.value / 100 * maximum
        # Every isocontour lies within the lowest one.
        largest = Crop.from_grid(_connected(box.values >= GRADIENT_SHARES[0] * maximum, peak))
        values, peak = box.values[largest.slices], peak - largest.start
        gradient = ndimage.gaussian_gradient_magnitude(values, sigma=4.0 / np.array(box.spacing))
        steepness = []
        for share in GRADIENT_SHARES:
            region = _connected(values >= share * maximum, peak)
            edge = region & ~ndimage.binary_erosion(region, border_value=1)
            steepness.append(float(gradient[edge].mean()) if edge.any() else 0.0)
        return float(GRADIENT_SHARES[int(np.argmax(steepness))]) * maximum


def _box_around(volume: Volume, click: Index) -> _Box:
    reach = np.ceil(EXTENT_MM / np.array(volume.spacing)).astype(int)
    start = np.maximum(np.subtract(click, reach), 0)
    stop = np.minimum(np.add(click, reach) + 1, volume.shape)
    values = volume.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return _Box(start, np.nan_to_num(values, nan=0.0), volume.spacing)


def _local_maximum(box: _Box, seed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the hottest voxel in reach to which values no lower than the seed lead."""
    reach = np.ceil(REACH_MM / np.array(box.spacing)).astype(int)
    start = np.maximum(seed - reach, 0)
    values = box.values[tuple(slice(a, b) for a, b in zip(start, seed + reach + 1, strict=True))]
    middle = seed - start
    offsets = np.ogrid[tuple(slice(-at, size - at) for at, size in zip(middle, values.shape, strict=True))]
    squared = sum((offset * spacing) ** 2 for offset, spacing in zip(offsets, box.spacing, strict=True))
    uphill = _connected((squared <= REACH_MM**2) & (values >= values[tuple(middle)]), middle)
    hottest = np.unravel_index(int(np.argmax(np.where(uphill, values, -np.inf))), values.shape)
    return start + np.array(hottest)


def _connected(mask: NDArray[np.bool_], seed: NDArray[np.int64]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, structure=TOUCHING)
    part = parts[tuple(seed)]
    return parts == part if part else np.zeros_like(mask)


def _holds(region: NDArray[np.bool_], index: NDArray[np.int64]) -> bool:
    return bool(np.all((index >= 0) & (index < region.shape))) and bool(region[tuple(index)])


def _divide(
    values: NDArray[np.float32],
    region: NDArray[np.bool_],
    positive: list[NDArray[np.int64]],
    negative: list[NDArray[np.int64]],
) -> NDArray[np.bool_]:
    """Return the part of a region that a watershed on its intensities gives to the positive clicks."""
    low, high = float(values[region].min()), float(values[region].max())
    height = np.full(values.shape, 65535, dtype=np.uint16)
    height[region] = np.round((high - values[region]) / max(high - low, 1e-12) * 65534).astype(np.uint16)
    markers = np.zeros(values.shape, dtype=np.int16)
    for index in positive:
        markers[tuple(index)] = 1
    # A marker below zero is background to the image foresting transform; negative clicks win where both fall
    # together.
    for index in negative:
        markers[tuple(index)] = -1
    return region & (ndimage.watershed_ift(height, markers, structure=TOUCHING) == 1)
