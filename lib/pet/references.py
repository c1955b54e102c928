"""Normal tissue as the measure of a lesion: liver and blood pool, PERCIST's limit, Deauville's score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.crop import Crop
from lib.pet.organ_map import OrganMap
from lib.pet.volume import Volume

#: PERCIST's sphere in the right lobe of the liver.
LIVER_RADIUS_MM = 15.0
#: The blood pool: voxels of the aorta at least so far from any outside it, to leave spill-over out.
AORTA_DEPTH_MM = 5.0
#: Fewer voxels than this are no blood pool.
_FEWEST = 8


@dataclass(frozen=True)
class Reference:
    """Uptake of normal tissue.

    Args:
        organ: "liver" or "aorta".
        mean: in the volume's unit.
        sd: standard deviation of its voxels, divided by N.
        max: highest value.
        region: where it was measured.
        unit: the volume's unit.
    """

    organ: str
    mean: float
    sd: float
    max: float
    region: Crop
    unit: str

    @property
    def percist_limit(self) -> float:
        """SULpeak from which a lesion is measurable: 1.5 mean + 2 SD of liver, 2 mean + 2 SD of blood.

        PERCIST means SUL (Wahl 2009, J Nucl Med 50 Suppl 1:122S; O 2016, Radiology 280:576); of a volume in
        SUVbw the limit is in SUVbw, and only comparable with that. The aorta's counts where the liver gives
        no reference.
        """
        return (1.5 if self.organ == "liver" else 2.0) * self.mean + 2 * self.sd


def liver_reference(volume: Volume, organs: OrganMap, lesions: Sequence[Crop] = ()) -> Reference | None:
    """Measure a sphere of 3 cm in diameter in the right lobe of the liver.

    Its centre is the voxel deepest inside what is liver, no lesion, and right of the liver's centroid; the
    first one in index order where several are.

    Returns:
        None where the map has no liver, or no such sphere fits into it.
    """
    liver = _without(organs.mask("liver"), lesions)
    if not liver.any():
        return None
    depth = _depth(liver, volume.spacing)
    x = _right(liver, volume.affine)
    depth[x <= x[liver.array].mean()] = 0
    centre = np.unravel_index(int(depth.argmax()), depth.shape)
    if depth[centre] <= LIVER_RADIUS_MM:
        return None
    offsets = np.indices(liver.array.shape) - np.reshape(centre, (3, 1, 1, 1))
    squared = np.tensordot(np.square(volume.spacing), offsets**2, axes=1)
    return _measured("liver", volume, Crop(liver.start, squared <= LIVER_RADIUS_MM**2).tight())


def aorta_reference(volume: Volume, organs: OrganMap, lesions: Sequence[Crop] = ()) -> Reference | None:
    """Measure the blood pool: the aorta at least 5 mm inside its wall, in the whole of the field of view.

    PERCIST's cylinder of 1 x 2 cm in the descending thoracic aorta lies in it; all of it has less noise.

    Returns:
        None where the map has no aorta, or nothing of it is so far inside.
    """
    aorta = _without(organs.mask("aorta"), lesions)
    if not aorta.any():
        return None
    pool = Crop(aorta.start, _depth(aorta, volume.spacing) >= AORTA_DEPTH_MM)
    return _measured("aorta", volume, pool.tight()) if pool.count >= _FEWEST else None


def deauville(lesion_max: float | None, mediastinum: Reference, liver: Reference) -> int:
    """Return Deauville's score, 1 to 5, of a lesion's or patient's highest uptake.

    1: no uptake (None); 2: up to the mediastinum; 3: up to the liver; 4: up to twice the liver; 5: more.
    Where the mediastinum is hotter than the liver, the liver divides 2 from 3 (lesion = liver is 3). Of each
    reference the maximum counts, for 4 and 5 as Barrington 2014 (J Clin Oncol 32:3048) proposes. New lesions,
    which are a 5 as well, and X, uptake that is no lymphoma, are for the reader to see.

    Args:
        lesion_max: SUVmax; None where there is no lesion.
        mediastinum: `aorta_reference` of the same volume.
        liver: `liver_reference` of the same volume.
    """
    if lesion_max is None:
        return 1
    if lesion_max > liver.max:
        return 4 if lesion_max <= 2 * liver.max else 5
    if mediastinum.max >= liver.max:
        return 3 if lesion_max == liver.max else 2
    return 2 if lesion_max <= mediastinum.max else 3


def _measured(organ: str, volume: Volume, region: Crop) -> Reference | None:
    values = volume.array[region.slices][region.array].astype(np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    return Reference(
        organ, float(values.mean()), float(values.std()), float(values.max()), region, volume.unit
    )


def _without(organ: Crop, lesions: Sequence[Crop]) -> Crop:
    """Return an organ less the lesions."""
    array = organ.array.copy()
    for lesion in lesions:
        start, stop = np.maximum(lesion.start, organ.start), np.minimum(lesion.stop, organ.stop)
        if (start < stop).all():
            part = lesion.array[tuple(map(slice, start - lesion.start, stop - lesion.start))]
            array[tuple(map(slice, start - organ.start, stop - organ.start))] &= ~part
    return Crop(organ.start, array)


def _depth(organ: Crop, spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return each voxel's distance, mm, from the nearest one outside of the organ; 0 there."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(organ.array, 1), sampling=spacing)
    return depth[1:-1, 1:-1, 1:-1]


def _right(organ: Crop, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return RAS x, mm, of each voxel of the organ's box."""
    i, j, k = np.ix_(*(np.arange(start, stop) for start, stop in zip(organ.start, organ.stop, strict=True)))
    x: NDArray[np.float64] = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
    return x
