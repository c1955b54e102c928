"""A digital body with lesions, drawn from a seed: analytic ellipsoids, scanner blur and noise.

For tests and demonstrations that need a truth. Uptake values are typical of FDG an hour after injection.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lib.pet.volume import Volume, VolumeError

LESION = "lesion"
_FIELD_MM = (384.0, 384.0, 640.0)  # the body below was drawn for this field of view
_BODY = ((0, 0, 0), (165, 110, 330), 0.8)
# Name -> centre from the middle of the field and half axes, in mm (left, posterior, superior), mean SUV.
_ORGANS = {
    "liver": ((-65, -5, 20), (75, 65, 62), 2.2),
    "spleen": ((95, 35, 25), (25, 32, 45), 1.8),
    "kidney_right": ((-60, 55, -75), (24, 24, 45), 3.0),
    "kidney_left": ((60, 55, -70), (24, 24, 45), 3.0),
    "heart": ((30, -35, 130), (45, 42, 42), 2.8),
    "aorta": ((12, 45, 40), (11, 11, 150), 1.6),
    "bladder": ((0, -30, -225), (32, 28, 26), 12.0),
    "brain": ((0, 0, 265), (55, 58, 48), 7.0),
}
_BLUR_FWHM_MM = 6.0
_NOISE = 0.4  # standard deviation before the blur, in multiples of the root of SUV, as counting noise goes
_LESIONS = (3, 8)
_DIAMETERS_MM = (8.0, 40.0)
_LESION_SUV = (4.0, 14.0)

Point = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A PET image and its truth.

    Args:
        volume: the image, unit "SUVbw".
        labels: uint8 [i, j, k], class of each voxel; 0 is everything else.
        names: class -> name: the organs, and "lesion".
        lesions: uint16 [i, j, k], 1 to n where the n lesions are.
    """

    volume: Volume
    labels: NDArray[np.uint8]
    names: dict[int, str]
    lesions: NDArray[np.uint16]


def make_phantom(
    seed: int,
    shape: tuple[int, int, int] = (96, 96, 160),
    spacing: tuple[float, float, float] = (4.0, 4.0, 4.0),
) -> Phantom:
    """Draw a body, organs that vary by a few per cent, and 3 to 8 lesions apart from each other.

    Body and organs fill the field of view, whatever its size; lesions have 8 to 40 mm in diameter and the
    blur 6 mm FWHM in every field. i runs to the patient's left, j to posterior, k to superior. A seed gives
    the same bytes always.

    Args:
        seed: of every random choice.
        shape: voxels along i, j and k.
        spacing: millimetres between voxel centres.

    Raises:
        VolumeError: a field of view too small for the lesions.
    """
    random = np.random.default_rng(seed)
    size = np.array(shape) * np.array(spacing)
    scale = size / _FIELD_MM
    first = (np.array(spacing) - size) / 2
    axes = [first[axis] + spacing[axis] * np.arange(shape[axis]) for axis in range(3)]
    activity = np.zeros(shape, dtype=np.float32, order="F")
    labels = np.zeros(shape, dtype=np.uint8, order="F")
    lesions = np.zeros(shape, dtype=np.uint16, order="F")

    centre, half_axes, suv = _BODY
    _paint(axes, np.array(centre) * scale, np.array(half_axes) * scale, [(activity, suv)])
    names = dict(enumerate([*_ORGANS, LESION], start=1))
    for label, (centre, half_axes, suv) in enumerate(_ORGANS.values(), start=1):
        at = (np.array(centre) + random.uniform(-4, 4, 3)) * scale
        reach = np.array(half_axes) * random.uniform(0.93, 1.07, 3) * scale
        _paint(axes, at, reach, [(activity, suv * random.uniform(0.85, 1.15)), (labels, label)])
    for number, (at, reach) in enumerate(_places(random, scale), start=1):
        suv = random.uniform(*_LESION_SUV)
        _paint(axes, at, reach, [(activity, suv), (labels, len(names)), (lesions, number)])

    activity += _NOISE * np.sqrt(activity) * random.standard_normal(shape, dtype=np.float32)
    sigma = _BLUR_FWHM_MM / np.sqrt(8 * np.log(2)) / np.array(spacing)
    image = gaussian_filter(activity, sigma, truncate=3, output=np.empty_like(activity)).clip(min=0)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.block(
        [[np.diag(spacing), first[:, np.newaxis]], [np.zeros((1, 3)), np.ones((1, 1))]]
    )
    return Phantom(Volume(image, affine, "SUVbw"), labels, names, lesions)


def _places(random: np.random.Generator, scale: Point) -> list[tuple[Point, Point]]:
    """Draw centres and half axes (mm) of lesions in the body, clear of its surface, organs and each other."""
    wanted = int(random.integers(_LESIONS[0], _LESIONS[1] + 1))
    smallest, largest = _DIAMETERS_MM
    centre, half_axes, _ = _BODY
    places: list[tuple[Point, Point]] = []
    for _ in range(1000):
        at = random.uniform(-1, 1, 3) * half_axes * scale
        longest = np.exp(random.uniform(np.log(1.25 * smallest), np.log(largest))) / 2
        reach = longest * random.uniform(0.8, 1, 3)
        inside = _distance(at, np.array(centre) * scale, np.array(half_axes) * scale - longest) < 1
        clear = all(
            _distance(at, np.array(organ) * scale, np.array(axes) * scale + longest) > 1.1
            for organ, axes, _ in _ORGANS.values()
        )
        apart = all(np.linalg.norm(at - other) > longest + max(others) + 8 for other, others in places)
        if inside and clear and apart:
            places.append((at, reach))
        if len(places) == wanted:
            return places
    raise VolumeError("The phantom's field of view is too small for its lesions; give it more voxels.")


def _distance(point: Point, centre: Point, half_axes: Point) -> float:
    """Return the distance from an ellipsoid's centre, 1 on its surface; infinite for an empty one."""
    return float(np.linalg.norm((point - centre) / half_axes)) if (half_axes > 0).all() else np.inf


def _paint(
    axes: list[Point], centre: Point, half_axes: Point, grids: list[tuple[NDArray, float | int]]
) -> None:
    """Set a value in each grid where a voxel's centre lies in an ellipsoid (mm)."""
    box, squares = [], []
    for axis, middle, reach in zip(axes, centre, half_axes, strict=True):
        start, stop = np.searchsorted(axis, (middle - reach, middle + reach))
        box.append(slice(start, stop))
        squares.append(((axis[start:stop] - middle) / reach) ** 2)
    x, y, z = np.ix_(*squares)
    inside = x + y + z <= 1
    for grid, value in grids:
        grid[tuple(box)][inside] = value
