"""The numbers of a lesion, and of a patient."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.pet.crop import Crop
from lib.pet.diameter import feret_diameter, largest_distance
from lib.pet.peak import peak
from lib.pet.volume import Volume

#: Thresholds in use for FDG, by name, in SUV (compared for lymphoma in Barrington 2021, J Nucl Med 62:332).
FIXED_SUV = {"suv_4": 4.0, "suv_2.5": 2.5}
#: Those in use as a share of the lesion's maximum (Boellaard 2015, EANM guideline 2.0).
SHARES_OF_MAX = {"41_percent": 0.41}

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LesionNumbers:
    """What a mask measures in a volume; voxels without a value (NaN) count nowhere.

    Everything but `volume_ml`, `voxels` and `unit` is None where the mask has no voxel with a value.

    Args:
        max: highest value in `unit`.
        mean: mean value in `unit`.
        peak: highest mean in a sphere of 1 cm3 around one of its voxels, in `unit` (`lib.pet.peak`).
        sd: standard deviation in `unit`, of the voxels as a whole population (divided by N, as IBSI's
            variance ECT3).
        volume_ml: volume of the mask's voxels in millilitres; for a lesion in SUV this is its MTV.
        tlg_g: total lesion glycolysis, mean x volume in g; only for "SUVbw".
        feret_mm: 3D Feret diameter in mm (`lib.pet.diameter`).
        centroid: mean index (i, j, k) of its voxels.
        centroid_mm: the same place in RAS+ mm.
        thresholds_ml: volume in ml of its voxels at or above each threshold, by its name: fixed ones
            (FIXED_SUV if no others are asked for) for "SUVbw" only, those of SHARES_OF_MAX where `max` is
            positive.
        voxels: how many they are.
        unit: the volume's unit, "SUVbw", "Bq/ml" or "unknown".
    """

    max: float | None
    mean: float | None
    peak: float | None
    sd: float | None
    volume_ml: float
    tlg_g: float | None
    feret_mm: float | None
    centroid: Point | None
    centroid_mm: Point | None
    thresholds_ml: Mapping[str, float]
    voxels: int
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON.

        Where they are SUV: `suv_max`, `suv_mean`, `suv_peak`, `suv_sd`, `mtv_ml`, `tlg_g`; else `max`,
        `mean`, `peak`, `sd`. Always: `volume_ml`, `thresholds_ml`, `feret_mm`, `centroid`, `centroid_mm`,
        `voxels`, `unit`.
        """
        is_suv = self.unit == "SUVbw"
        prefix = "suv_" if is_suv else ""
        return {
            f"{prefix}max": self.max,
            f"{prefix}mean": self.mean,
            f"{prefix}peak": self.peak,
            f"{prefix}sd": self.sd,
            "volume_ml": self.volume_ml,
            **({"mtv_ml": self.volume_ml, "tlg_g": self.tlg_g} if is_suv else {}),
            "thresholds_ml": dict(self.thresholds_ml),
            "feret_mm": self.feret_mm,
            "centroid": None if self.centroid is None else list(self.centroid),
            "centroid_mm": None if self.centroid_mm is None else list(self.centroid_mm),
            "voxels": self.voxels,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class PatientNumbers:
    """What all lesions of a patient measure together.

    Args:
        count: lesions that have a voxel with a value.
        volume_ml: volume of all of them in ml, a voxel in several of them counted once; in SUV the TMTV.
        tlg_g: total lesion glycolysis in g, each voxel once; only for "SUVbw".
        dmax_mm: largest distance in mm between the centroids of two lesions (Cottereau 2020); None for fewer
            than two.
        unit: the volume's unit.
    """

    count: int
    volume_ml: float
    tlg_g: float | None
    dmax_mm: float | None
    unit: str

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return the numbers for JSON: `tmtv_ml` and `total_tlg_g` where they are SUV, else `volume_ml`."""
        if self.unit == "SUVbw":
            sums = {"tmtv_ml": self.volume_ml, "total_tlg_g": self.tlg_g}
        else:
            sums = {"volume_ml": self.volume_ml}
        return {"count": self.count, **sums, "dmax_mm": self.dmax_mm, "unit": self.unit}


def quantify(
    volume: Volume, crop: Crop, fixed_suv: Mapping[str, float] = MappingProxyType(FIXED_SUV)
) -> LesionNumbers:
    """Measure one lesion.

    Args:
        volume: the image.
        crop: the lesion's mask.
        fixed_suv: thresholds in SUV, by name; used only where the volume is in SUV.

    Raises:
        VolumeError: the crop reaches beyond the volume.
    """
    crop = _with_values(volume, crop)
    values = volume.array[crop.slices][crop.array]
    if not values.size:
        return LesionNumbers(None, None, None, None, 0.0, None, None, None, None, {}, 0, volume.unit)
    highest, mean = float(values.max()), float(values.mean(dtype=np.float64))
    volume_ml = values.size * volume.voxel_ml
    thresholds = dict(fixed_suv) if volume.unit == "SUVbw" else {}
    if highest > 0:
        thresholds |= {name: share * highest for name, share in SHARES_OF_MAX.items()}
    centroid = _centroid(crop)
    return LesionNumbers(
        max=highest,
        mean=mean,
        peak=peak(volume, crop),
        sd=float(values.std(dtype=np.float64)),
        volume_ml=volume_ml,
        tlg_g=mean * volume_ml if volume.unit == "SUVbw" else None,
        feret_mm=feret_diameter(crop, volume.affine),
        centroid=_as_point(centroid),
        centroid_mm=_as_point(volume.affine[:3, :3] @ centroid + volume.affine[:3, 3]),
        thresholds_ml={
            name: int(np.count_nonzero(values >= level)) * volume.voxel_ml
            for name, level in thresholds.items()
        },
        voxels=int(values.size),
        unit=volume.unit,
    )


def summarise(volume: Volume, crops: Mapping[int, Crop]) -> PatientNumbers:
    """Measure all lesions of a patient together; which objects are lesions is the caller's choice.

    Args:
        volume: the image.
        crops: each lesion's mask, by its id.

    Raises:
        VolumeError: a crop reaches beyond the volume.
    """
    lesions = [lesion for crop in crops.values() if (lesion := _with_values(volume, crop)).any()]
    centroids = [volume.affine[:3, :3] @ _centroid(lesion) for lesion in lesions]
    indices = [
        np.ravel_multi_index(tuple((np.argwhere(lesion.array) + lesion.start).T), volume.shape)
        for lesion in lesions
    ]
    once = np.unique(np.concatenate(indices)) if indices else np.empty(0, dtype=np.intp)
    values = volume.array[np.unravel_index(once, volume.shape)]
    total = float(values.sum(dtype=np.float64)) * volume.voxel_ml
    return PatientNumbers(
        count=len(lesions),
        volume_ml=once.size * volume.voxel_ml,
        tlg_g=total if volume.unit == "SUVbw" else None,
        dmax_mm=largest_distance(np.array(centroids)) if len(centroids) > 1 else None,
        unit=volume.unit,
    )


def summarise_apart(volume: Volume, numbers: Iterable[LesionNumbers]) -> PatientNumbers:
    """Return what `summarise` does, of lesions that share no voxel: from their numbers alone.

    Args:
        volume: the image.
        numbers: of each lesion.
    """
    lesions = [one for one in numbers if one.voxels]
    centroids = np.array([one.centroid_mm for one in lesions])
    return PatientNumbers(
        count=len(lesions),
        volume_ml=sum(one.voxels for one in lesions) * volume.voxel_ml,
        tlg_g=sum(one.tlg_g or 0.0 for one in lesions) if volume.unit == "SUVbw" else None,
        dmax_mm=largest_distance(centroids) if len(lesions) > 1 else None,
        unit=volume.unit,
    )


def unit_warning(volume: Volume) -> str | None:
    """Return the sentence that says why a volume's numbers are no SUV, or that its own unit was overruled.

    None where they are SUV and the image says nothing else.
    """
    preflight = volume.preflight
    if preflight and preflight.overruled:
        return (
            f"The image says that its values are in {preflight.overruled}; they were taken for "
            f"{volume.unit}, as demanded."
        )
    if volume.unit == "SUVbw":
        return None
    if volume.unit == "unknown" and preflight:
        return preflight.sentence
    said = "Bq/ml" if volume.unit == "Bq/ml" else "in a unit that the file does not state"
    why = preflight.why_not.get("SUVbw", "") if preflight else ""
    return f"The numbers are no SUV: this image's values are {said}. {why}".rstrip()


def _with_values(volume: Volume, crop: Crop) -> Crop:
    """Return the mask without the voxels that have no value, in its smallest box."""
    crop.check_fits(volume.shape)
    crop = crop.tight()
    return Crop(crop.start, crop.array & ~np.isnan(volume.array[crop.slices]))


def _centroid(crop: Crop) -> NDArray[np.float64]:
    sums = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        counts = np.count_nonzero(crop.array, axis=others)
        sums.append(int(counts @ np.arange(counts.size)))
    centroid: NDArray[np.float64] = np.array(sums) / crop.count + crop.start
    return centroid


def _as_point(place: NDArray[np.float64]) -> Point:
    i, j, k = place.tolist()
    return i, j, k
