"""What the finished image shows of the lesions that were painted."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from lib.pet.phantom.lesions import Lesion

_SHELL_MM = 10.0


def as_shown(
    findings: Sequence[Lesion],
    instances: NDArray[np.uint16],
    image: NDArray[np.float32],
    body: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    fwhm_mm: float,
) -> tuple[Lesion, ...]:
    """Return the lesions with their contrast in the image, and whether their cores are resolved.

    Args:
        findings: all lesions, by number.
        instances: their map [k, j, i].
        image: SUV after blur and noise.
        body: where anything took up the tracer before the blur; what is around a lesion is measured there.
        spacing: mm along k, j, i.
        fwhm_mm: of the blur.
    """
    # Nearer than one FWHM the lesion's own activity spills over; a shell holds one layer of voxels at least.
    far = fwhm_mm + max(_SHELL_MM, spacing.max())
    reach = np.ceil(far / spacing).astype(int).tolist()
    # A cold ball one FWHM across keeps 29 % of its depth in its middle, one of two keeps 86 %.
    seen_from = 2 * max(fwhm_mm, float(spacing.max()))
    shown = []
    for lesion, found in zip(findings, find_objects(instances), strict=True):
        box = tuple(
            slice(max(part.start - more, 0), part.stop + more)
            for part, more in zip(found, reach, strict=True)
        )
        inside = instances[box] == lesion.number
        distance = distance_transform_edt(~inside, sampling=spacing)
        around = (distance > fwhm_mm) & (distance <= far) & body[box] & (instances[box] == 0)
        level = float(image[box][around].mean()) if around.any() else 0.0
        shown.append(
            replace(
                lesion,
                image_contrast=float(image[box][inside].mean()) / level if level > 0 else None,
                core_resolved=None if lesion.core_mm is None else lesion.core_mm >= seen_from,
            )
        )
    return tuple(shown)
