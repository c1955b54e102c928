"""The lesion table: all that can be said in numbers of a patient's lesions, as JSON has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.pet.crop import Crop
from lib.pet.organ_map import OrganMap, site_of
from lib.pet.plausible import doubts
from lib.pet.quantify import FIXED_SUV, quantify, summarise, unit_warning
from lib.pet.references import Reference, aorta_reference, deauville, liver_reference
from lib.pet.tracers import Tracer
from lib.pet.volume import Volume

#: A lesion lies in normal uptake when at least this share of its voxels does.
_SHARE_IN_UPTAKE = 0.5


@dataclass(frozen=True)
class _Surroundings:
    """What lesions are seen against; None what is not known."""

    organs: OrganMap | None
    liver: Reference | None
    aorta: Reference | None
    normal_uptake: Crop | None
    scored: bool  # by Deauville
    of_glucose: bool  # PERCIST is for FDG: other tracers' uptake in the liver is no yardstick

    @property
    def percist(self) -> Reference | None:
        return (self.liver or self.aorta) if self.of_glucose else None

    def deauville(self, suv_max: float | None) -> dict[str, int]:
        if not (self.scored and self.liver and self.aorta):
            return {}
        return {"deauville": deauville(suv_max, self.aorta, self.liver)}


def lesion_table(
    volume: Volume,
    lesions: Mapping[int, Crop],
    organs: OrganMap | None = None,
    tracer: Tracer | None = None,
) -> dict[str, Any]:
    """Measure lesions, and name their sites.

    Args:
        volume: the image.
        lesions: each lesion's mask, by its id.
        organs: names sites, and gives liver and aorta as references.
        tracer: adds its thresholds; with `organs` tells which lesions lie in normal uptake, and scores FDG in
            SUV by Deauville's rule.

    Returns:
        `lesions`: for each `id`, `LesionNumbers.as_dict`, `site` in words, `organ`, `side`, `relation` (all
        None without a map); where it can be said `measurable` (PERCIST, of FDG or where the image names no
        tracer, nor a nuclide but F-18: the peak reaches the limit), `deauville`, `normal_uptake`.
        `patient`: `PatientNumbers.as_dict`; where it can be said `deauville`, of the hottest lesion.
        `references`: `liver` and `aorta` with `mean`, `sd`, `max`, `volume_ml`; `percist_limit` and
        `percist_organ`; each None where the map does not give it. None without a map.
        `unit`; `tracer`, its name or None; `warnings`, sentences.

    Raises:
        VolumeError: a lesion reaches beyond the volume.
    """
    masks = list(lesions.values())
    around = _Surroundings(
        organs=organs,
        liver=liver_reference(volume, organs, masks) if organs else None,
        aorta=aorta_reference(volume, organs, masks) if organs else None,
        normal_uptake=organs.mask(*tracer.normal_uptake) if organs and tracer else None,
        scored=tracer is not None and tracer.name == "FDG" and volume.unit == "SUVbw",
        of_glucose=_may_be_fdg(volume) if tracer is None else tracer.name == "FDG",
    )
    thresholds = FIXED_SUV | _own_thresholds(tracer, around.liver)
    described = [_described(volume, number, lesion, thresholds, around) for number, lesion in lesions.items()]
    highest = max((entry["suv_max"] for entry in described if entry.get("suv_max") is not None), default=None)
    return {
        "lesions": described,
        "patient": {**summarise(volume, lesions).as_dict(), **around.deauville(highest)},
        "references": _references(volume, around) if organs else None,
        "unit": volume.unit,
        "tracer": tracer.name if tracer else None,
        "warnings": _warnings(volume, lesions, around, described),
    }


def _may_be_fdg(volume: Volume) -> bool:
    """Whether an image whose tracer is none of the table names neither one nor a nuclide other than F-18."""
    stated = volume.preflight
    return stated is None or (not stated.tracer.strip() and stated.nuclide in ("", "F-18"))


def _described(
    volume: Volume, number: int, lesion: Crop, thresholds: Mapping[str, float], around: _Surroundings
) -> dict[str, Any]:
    numbers = quantify(volume, lesion, thresholds)
    site = around.organs.site(lesion) if around.organs else None
    entry = {
        "id": number,
        **numbers.as_dict(),
        "site": site_of(around.organs, lesion) if around.organs else None,
        "organ": site and site.name,
        "side": site and site.side,
        "relation": site and site.relation,
    }
    if numbers.max is not None:
        entry |= around.deauville(numbers.max)
    if around.percist and numbers.peak is not None:
        entry["measurable"] = numbers.peak >= around.percist.percist_limit
    if around.normal_uptake and lesion.any():
        shared = lesion.count + around.normal_uptake.count - lesion.union(around.normal_uptake).count
        entry["normal_uptake"] = shared >= _SHARE_IN_UPTAKE * lesion.count
    return entry


def _own_thresholds(tracer: Tracer | None, liver: Reference | None) -> dict[str, float]:
    """Return a tracer's thresholds in SUV, by name, those from the liver where it was measured."""
    named = {}
    for threshold in tracer.thresholds if tracer else ():
        if threshold.kind == "suv":
            named[f"suv_{threshold.value:g}"] = threshold.value
        elif threshold.kind == "liver" and liver and liver.mean > 0:
            named["liver"] = threshold.value * (liver.mean + liver.sd) / liver.mean
    return named


def _references(volume: Volume, around: _Surroundings) -> dict[str, Any]:
    def described(reference: Reference | None) -> dict[str, float] | None:
        if reference is None:
            return None
        return {
            "mean": reference.mean,
            "sd": reference.sd,
            "max": reference.max,
            "volume_ml": reference.region.count * volume.voxel_ml,
        }

    return {
        "liver": described(around.liver),
        "aorta": described(around.aorta),
        "percist_limit": around.percist.percist_limit if around.percist else None,
        "percist_organ": around.percist.organ if around.percist else None,
    }


def _warnings(
    volume: Volume, lesions: Mapping[int, Crop], around: _Surroundings, described: list[dict[str, Any]]
) -> list[str]:
    warnings = list(around.organs.warnings) if around.organs else ["No organ map: sites are not named."]
    warnings += filter(None, [unit_warning(volume)])
    voxels = {entry["id"]: entry["voxels"] for entry in described}
    warnings += doubts(
        lesions, voxels, {entry["id"]: entry.get("suv_max") for entry in described}, volume.unit
    )
    if around.organs and around.liver is None:
        warnings.append("No sphere of 3 cm fits into the right liver outside of lesions" + _instead(around))
    if any(entry["voxels"] and entry.get("suv_peak", entry.get("peak")) is None for entry in described):
        warnings.append("There is no peak: the image's axes are not perpendicular.")
    return warnings


def _instead(around: _Surroundings) -> str:
    if around.aorta is None:
        return "; the aorta is too thin as well."
    return "; PERCIST's limit is the aorta's." if around.of_glucose else "."
