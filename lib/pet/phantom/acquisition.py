"""The scanner: it blurs, and its noise is grainy, more where there is more activity."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, find_objects, gaussian_filter

FWHM_MM = (4.0, 7.0)
#: The drawn ones stay clear of the ends of 8 to 15 %, so that other ways to measure it come to lie within.
LIVER_CV = (0.095, 0.13)
_GRAIN = 1.3  # width of a grain of noise, in widths of the blur: filters after reconstruction make both
_DEPTH_MM = 10.0  # below the liver's surface: out of reach of the blur
_FEWEST = 200  # voxels in which a standard deviation means something
_PER_FWHM = 1 / np.sqrt(8 * np.log(2))


def acquire(
    activity: NDArray[np.float32],
    liver: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    fwhm_mm: float,
    liver_cv: float,
    liver_suv: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the image of an activity.

    Noise has a standard deviation that goes as the root of the blurred activity, as in counting. In the liver
    more than 10 mm from its surface it is scaled to what was asked for, where that part is in the field.

    Args:
        activity: SUV [k, j, i].
        liver: where the liver is, without lesions and what is near them.
        spacing: mm along k, j, i.
        fwhm_mm: of the blur.
        liver_cv: standard deviation over mean in the liver.
        liver_suv: mean of the liver where it is not in the field; 0 is no noise.
        random: of the noise.
    """
    sigma = fwhm_mm * _PER_FWHM / spacing
    image = gaussian_filter(activity, sigma, truncate=3)
    noise = random.standard_normal(activity.shape, dtype=np.float32)
    noise = gaussian_filter(noise, _GRAIN * sigma, truncate=3)
    noise /= noise.std() or 1  # a single voxel has none
    noise *= np.sqrt(np.maximum(image, 0))
    # A field that cuts the liver away leaves the noise as counting has it.
    scale = liver_cv * np.sqrt(liver_suv)
    box = next(iter(find_objects(liver.view(np.uint8))), None)
    if box is not None and liver_suv > 0:
        inner = binary_erosion(liver[box], iterations=max(1, round(_DEPTH_MM / float(spacing.mean()))))
        if np.count_nonzero(inner) >= _FEWEST:
            scale = _scale(image[box][inner], noise[box][inner], liver_cv)
    noise *= np.float32(max(scale, 0.0))
    image += noise
    return np.maximum(image, 0, out=image)


def _scale(clean: NDArray[np.float32], grain: NDArray[np.float32], cv: float) -> float:
    """Return the factor of the noise with which both together have the coefficient of variation."""
    image, noise = clean - clean.mean(dtype=np.float64), grain - grain.mean(dtype=np.float64)
    # Var(image + s noise) is a quadratic in s; the noise's own mean hardly changes that of the image.
    a, b = noise.var(), 2 * np.mean(image * noise)
    c = image.var() - (cv * clean.mean(dtype=np.float64)) ** 2
    return float(np.sqrt(max(b * b - 4 * a * c, 0)) - b) / (2 * a)
