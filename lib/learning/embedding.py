"""Cropped patients set into larger bodies, so that the crop's box no longer tells where the target lies.

A crop with an even margin round its target gives the target away: an ellipsoid in the box, drawn without a
look at the image, can reach a Dice of 0.77. Trimmed unevenly and put somewhere into a larger body of the same
quiet tissue, the box says nothing any more.
"""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet import Volume, VolumeError

#: What is cut off each side, and how much body is put around along each axis (both sides together), mm.
TRIM_MM = (5.0, 45.0)
BODY_MM = (100.0, 200.0)
#: The seam, outside of the trimmed crop: within this distance the crop fades into the body.
SEAM_MM = 15.0
#: Quiet tissue is looked for at this distance from the target, where the scanner's blur has faded.
CLEAR_MM = 10.0
#: Blur of a scanner (FWHM): noise is correlated over it. Tissue itself varies over some centimetres.
NOISE_FWHM_MM, TISSUE_FWHM_MM, TISSUE_VARIATION = 6.0, 60.0, 0.1
#: What has less than this share of the quiet tissue's level, blurred over so many millimetres, is air.
AIR_LEVEL, AIR_FWHM_MM = 0.3, 12.0


Mask = TypeVar("Mask", bound=NDArray)


def embed_in_body(volume: Volume, mask: Mask, rng: np.random.Generator) -> tuple[Volume, Mask]:
    """Trim a crop at random, and set it at a random place into a larger body of quiet tissue.

    Each side loses 5 to 45 mm, but never a voxel of the target or the layer next to it. Around the crop comes
    tissue with the level and the noise of the crop's own quiet tissue; over 15 mm outside the trimmed sides
    the crop fades into it. Where the crop has air at a side, as beside a limb, air goes on beyond that side.
    World positions stay: a voxel of the crop keeps its place in millimetres.

    Args:
        volume: a patient cropped round a target; NaN is taken for air.
        mask: [i, j, k], the target is where it is not 0; may be empty.
        rng: source of chance; the same state gives the same body.

    Returns:
        The body, in the crop's spacing, orientation and unit, and the mask in it (every voxel of the target).

    Raises:
        VolumeError: the mask is not on the volume's grid.
    """
    if mask.shape != volume.shape:
        raise VolumeError(f"The mask has {mask.shape} voxels, the image {volume.shape}; they must be equal.")
    inside = mask != 0
    spacing, values = np.array(volume.spacing), np.nan_to_num(volume.array)
    first, last = _trimmed(inside, spacing, rng)
    seam = np.ceil(SEAM_MM / spacing).astype(int)
    around = np.round(rng.uniform(*BODY_MM, 3) / spacing).astype(int)
    shape = last - first + np.maximum(around, 2 * seam)
    place = rng.integers(seam, shape - (last - first) - seam, endpoint=True)

    level, noise = _quiet_tissue(values, inside, spacing)
    body = _tissue(level, noise, spacing, shape, rng)
    inner = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    body *= _silhouette(values[inner], level, spacing, shape, place)
    # The crop with its seam; beyond the crop's own sides its outermost voxels go on.
    reach = [np.arange(a - s, b + s) for a, b, s in zip(first, last, seam, strict=True)]
    grown = values[np.ix_(*(np.clip(at, 0, size - 1) for at, size in zip(reach, values.shape, strict=True)))]
    weight = _weight(last - first, seam, spacing)
    where = tuple(slice(a, a + n) for a, n in zip(place - seam, grown.shape, strict=True))
    body[where] += weight * (grown - body[where])

    target: Any = np.zeros(shape, dtype=mask.dtype, order="F")
    target[tuple(slice(a, a + n) for a, n in zip(place, last - first, strict=True))] = mask[inner]
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (first - place)
    return replace(volume, array=body, affine=affine), target


def _trimmed(
    mask: NDArray[np.bool_], spacing: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first voxel of what is left of a crop, and the one after its last."""
    size = np.array(mask.shape)
    cut = np.round(rng.uniform(*TRIM_MM, (2, 3)) / spacing).astype(int)
    if mask.any():
        filled = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        low = np.array([at[0] - 1 for at in filled])
        high = np.array([at[-1] + 2 for at in filled])
    else:
        low, high = size // 3, size - size // 3
    return np.clip(cut[0], 0, np.maximum(low, 0)), np.clip(size - cut[1], np.minimum(high, size), size)


def _quiet_tissue(
    values: NDArray[np.float32], mask: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> tuple[float, float]:
    """Return level and noise of a crop's tissue away from the target; the noise is what a blur takes away."""
    clear = ~mask
    if mask.any():
        clear = ndimage.distance_transform_edt(clear, sampling=spacing) > CLEAR_MM
    outside = values[clear] if clear.any() else values.ravel()
    not_air = outside[outside > 0.1 * outside.mean()]
    level = float(np.median(not_air)) if not_air.size else 0.0
    quiet = (np.abs(values - level) < 0.5 * level) & ~mask
    return level, _spread(_rough(values, spacing)[quiet])


def _tissue(
    level: float,
    noise: float,
    spacing: NDArray[np.float64],
    shape: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return tissue of a level and a noise everywhere."""
    grain = _correlated(shape, NOISE_FWHM_MM, spacing, rng)
    grain *= noise / max(_spread(_rough(grain, spacing)), 1e-9)
    variation = TISSUE_VARIATION * _correlated(shape, TISSUE_FWHM_MM, spacing, rng)
    body: NDArray[np.float32] = np.clip(level * (1 + variation) + grain, 0, None)
    return np.asfortranarray(body, dtype=np.float32)


def _rough(values: NDArray[np.float32], spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    return values - ndimage.gaussian_filter(values, _sigma(NOISE_FWHM_MM, spacing))


def _silhouette(
    crop: NDArray[np.float32],
    level: float,
    spacing: NDArray[np.float64],
    shape: NDArray[np.int64],
    place: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the share of tissue in each voxel of the body: what the crop has at its sides goes on."""
    solid = ndimage.gaussian_filter(crop, _sigma(AIR_FWHM_MM, spacing)) > AIR_LEVEL * level
    nearest = (
        np.clip(np.arange(n) - at, 0, size - 1) for n, at, size in zip(shape, place, crop.shape, strict=True)
    )
    share: NDArray[np.float32] = solid[np.ix_(*nearest)].astype(np.float32)
    return ndimage.gaussian_filter(share, _sigma(NOISE_FWHM_MM, spacing))


def _correlated(
    shape: NDArray[np.int64], fwhm: float, spacing: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return Gaussian noise of unit spread, blurred to a width in mm."""
    noise = rng.standard_normal(tuple(shape), dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, _sigma(fwhm, spacing), mode="wrap")
    return noise / max(float(noise.std()), 1e-9)


def _sigma(fwhm: float, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    return fwhm / np.sqrt(8 * np.log(2)) / spacing


def _spread(values: NDArray[np.float32]) -> float:
    """Return the standard deviation by the median absolute deviation: edges of organs do not count."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def _weight(
    size: NDArray[np.int64], seam: NDArray[np.int64], spacing: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the crop's share: 1 in the trimmed crop, falling to 0 over the seam around it."""
    beyond = []
    for n, width, step in zip(size, seam, spacing, strict=True):
        at = np.arange(-width, n + width)
        beyond.append(np.maximum(np.maximum(-at, at - (n - 1)), 0) * step)
    i, j, k = np.ix_(*(axis**2 for axis in beyond))
    distance = np.sqrt(i + j + k) / SEAM_MM
    share: NDArray[np.float32] = (0.5 + 0.5 * np.cos(np.pi * np.clip(distance, 0, 1))).astype(np.float32)
    return share
