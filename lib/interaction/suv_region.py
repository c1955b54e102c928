"""Region growing as PET readers know it: share of the maximum, fixed value, or steepest edge."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Index, PromptError, Step
from lib.interaction.segmenter import State, Stopwatch
from lib.pet import Crop, Volume

Method = Literal["percent", "fixed", "gradient"]

#: The maximum that a click means is looked for within this distance.
REACH_MM = 12.0
#: What a positive click adds where its own voxel is too cold for the region that it means.
BRUSH_MM = 8.0
#: A region ends at this distance from its click along each axis: bounds time and leaks.
EXTENT_MM = 150.0
#: The fixed threshold where none is given (Barrington 2021, for lymphoma).
FIXED_SUV = 4.0
#: Thresholds tried by the gradient method, as shares of the local maximum.
GRADIENT_SHARES = np.arange(0.20, 0.81, 0.05)

#: A click from which nothing higher is in reach lies in air, or beside the patient.
HARDLY_ANY_SUV = 0.3

TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class _Box:
    """The part of a volume around a click."""

    start: Index
    values: NDArray
    spacing: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class _Grown:
    """The region of one positive click."""

    part: Crop
    region: dict[str, Any]
    warnings: tuple[str, ...] = ()


class RegionGrower:
    """Grows a region from each positive click; a training-free segmenter behind the same engine.

    Around a positive click the local maximum within 12 mm uphill is found; the region is what is connected to
    it (26 neighbours) at or above the threshold. A click on a voxel below the threshold adds a ball of 8 mm
    around itself as well. Of the result, what is nearer to a negative click than to any positive one is taken
    away.

    Args:
        method: `percent`: threshold at `value` % of the local maximum (41 % by default: Boellaard 2015, EANM
            guideline); `fixed`: at `value` in the volume's unit (4.0 where that is SUV); `gradient`: at the
            one of the isocontours between 20 % and 80 % along which the mean gradient is steepest, without a
            `value`.
        value: see `method`.
        cache_bytes: bound of the regions kept, one a click.

    Raises:
        PromptError: an unknown method, or a value out of range.
    """

    def __init__(
        self, method: Method = "percent", value: float | None = None, cache_bytes: int = 64 << 20
    ) -> None:
        if method not in get_args(Method):
            raise PromptError(f"The method of suv_region must be one of {', '.join(get_args(Method))}.")
        given = 41.0 if method == "percent" and value is None else value
        if method == "percent" and (given is None or not 0 < given <= 100):
            raise PromptError("The threshold must be above 0 and at most 100 % of the local maximum.")
        if method == "fixed" and given is not None and not (np.isfinite(given) and given > 0):
            raise PromptError("The fixed threshold must be a number above 0.")
        if method == "gradient" and given is not None:
            raise PromptError("The method gradient finds its threshold itself: leave the value out.")
        self.method, self.value = method, given
        self.name = "suv_region"
        self.digest = hashlib.sha256(f"{method} {self.value}".encode()).hexdigest()
        self._grown: LRUCache[tuple[str, Index], _Grown] = LRUCache(
            cache_bytes, getsizeof=lambda grown: grown.part.array.nbytes + 1024
        )

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
        with watch.stage("grow"):
            grown = [self._grow(volume, index) for index in positive]
            mask = functools.reduce(Crop.union, (one.part for one in grown), Crop.empty())
            if positive and negative:
                mask = _nearer_to(mask, positive, negative, volume.spacing)
        return State(
            mask=mask,
            bytes=mask.array.nbytes,
            regions=tuple(one.region for one in grown),
            warnings=tuple({text: None for one in grown for text in one.warnings}),
        )

    def _grow(self, volume: Volume, click: Index) -> "_Grown":
        """Return the region of one click; a click's region does not depend on the others."""
        key = (volume.digest, click)
        if (kept := self._grown.get(key)) is not None:
            return kept
        grown = self._grow_anew(volume, click)
        if grown.part.array.nbytes + 1024 <= self._grown.maxsize:
            self._grown[key] = grown
        return grown

    def _grow_anew(self, volume: Volume, click: Index) -> "_Grown":
        near, middle = _box_around(volume, click, REACH_MM)
        maximum, peak = _hottest_uphill(near, middle)
        if maximum <= 0:
            described = {"click": list(click), "threshold": None, "maximum": maximum}
            return _Grown(Crop.empty(), described, ("The click is where there is no uptake; nothing grew.",))
        box, _ = _box_around(volume, click, EXTENT_MM)
        peak = peak + np.subtract(near.start, box.start)
        threshold = self._threshold(volume.unit, box, peak, maximum)
        region = Crop(box.start, _connected(box.values >= threshold, peak)).tight()
        warnings = list(_hardly_any(volume.unit, maximum))
        if self.method == "percent" and self.value is not None and self.value < 1:
            warnings.append(f"{self.value:g} % is next to nothing: did you mean {100 * self.value:g} %?")
        if _meets_bound(region, box, volume.shape):
            warnings.append(
                f"The region leaks up to {EXTENT_MM:.0f} mm away; raise the threshold, or click outside."
            )
        if not region.contains(click):
            brush = _squared_distance(near, middle) <= BRUSH_MM**2
            region = region.union(Crop(near.start, brush).tight())
            warnings.append(
                f"The click is below the threshold of {threshold:.4g}; a ball around it was added."
            )
        described = {"click": list(click), "threshold": round(threshold, 4), "maximum": round(maximum, 4)}
        return _Grown(region, described, tuple(warnings))

    def _threshold(self, unit: str, box: _Box, peak: NDArray[np.int64], maximum: float) -> float:
        if self.method == "fixed" and self.value is None and unit != "SUVbw":
            raise PromptError(
                "This image's values are no SUV: give the fixed threshold as a value in its unit."
            )
        if self.method == "fixed":
            return FIXED_SUV if self.value is None else self.value
        if self.value is not None:
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


def hardly_any_uptake(volume: Volume, click: Index) -> tuple[str, ...]:
    """Return the warning that a positive click is in air, or beside the patient.

    Even lungs and fat reach SUV 0.3 within 12 mm. In another unit nothing says how much is hardly any.

    Args:
        volume: the study's image.
        click: voxel (i, j, k).
    """
    maximum, _ = _hottest_uphill(*_box_around(volume, click, REACH_MM))
    return _hardly_any(volume.unit, maximum)


def _hardly_any(unit: str, maximum: float) -> tuple[str, ...]:
    if unit != "SUVbw" or maximum >= HARDLY_ANY_SUV:
        return ()
    return (f"The click is where there is hardly any uptake (SUV {maximum:.2g}).",)


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


def _squared_distance(box: _Box, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the squared distance, mm, of every voxel of the box from one of them."""
    axes = [
        ((np.arange(size) - at) * spacing).astype(np.float32)
        for size, at, spacing in zip(box.values.shape, index, box.spacing, strict=True)
    ]
    i, j, k = np.ix_(*axes)
    squared: NDArray[np.float32] = i**2 + j**2 + k**2
    return squared


def _meets_bound(region: Crop, box: _Box, shape: tuple[int, int, int]) -> bool:
    """Whether a region ends where its box ends, and not the image."""
    ends = zip(region.start, region.stop, box.start, np.add(box.start, box.values.shape), shape, strict=True)
    return bool(region.array.size) and any(
        (start == first > 0) or (stop == last < size) for start, stop, first, last, size in ends
    )


def _connected(mask: NDArray[np.bool_], seed: NDArray[np.int64]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, structure=TOUCHING)
    part = parts[tuple(seed)]
    return parts == part if part else np.zeros_like(mask)


def _nearer_to(
    mask: Crop, positive: list[Index], negative: list[Index], spacing: tuple[float, float, float]
) -> Crop:
    """Return what is nearer to a positive click than to any negative one, and connected to a positive one."""
    box = _Box(mask.start, mask.array, spacing)
    to_positive, to_negative = (
        functools.reduce(
            np.minimum, (_squared_distance(box, np.subtract(click, mask.start)) for click in clicks)
        )
        for clicks in (positive, negative)
    )
    near = mask.array & (to_positive <= to_negative)
    parts, _ = ndimage.label(near, structure=TOUCHING)
    clicked = {
        int(parts[tuple(np.subtract(index, mask.start))]) for index in positive if mask.contains(index)
    }
    return Crop(mask.start, np.isin(parts, list(clicked - {0}))).tight()
