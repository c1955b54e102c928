"""What can be measured in an image, and why not the rest; told without anything that names the patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_WHAT_TO_DO = (
    "The unit of the values is unknown, so numbers are not SUV; the server can be told (--unit), or a "
    'JSON file of the same name beside the image ({"Units": "g/ml"} for SUV, "Bq/mL" for activity).'
)


@dataclass(frozen=True)
class Preflight:
    """One record of what an image allows.

    Args:
        unit: of the volume's values, "SUVbw", "Bq/ml" or "unknown".
        unit_from: what says so; "" where nothing does.
        overruled: the unit that the image states of itself, as it states it, where somebody said another.
        scale: from a stored value of DICOM, rescaled, to the volume's; 1 for other files.
        factors: from the volume's values to each quantity of `lib.pet.suv.QUANTITIES` that is possible.
        why_not: for each other quantity one sentence.
        series: the DICOM series in words; "" for other files.
        choice: why this series and frame; "" where there was nothing to choose.
        kind: "static", "whole body", "dynamic" or "gated"; "" where unknown.
        frames: how many there are to choose from.
        frame: the one that was read, 0-based.
        attenuation_corrected: whether; None where unknown.
        tracer: as the header calls it.
        nuclide: such as "F-18".
        half_life_s: seconds.
        uptake_minutes: from injection to the start of the frame that was read.
        weight_known: the header holds the patient's weight.
        height_known: likewise.
        sex_known: male or female is stated.
        ct: a CT on the same frame of reference lies beside it.
    """

    unit: str
    unit_from: str
    overruled: str = ""
    scale: float = 1.0
    factors: Mapping[str, float] = field(default_factory=dict)
    why_not: Mapping[str, str] = field(default_factory=dict)
    series: str = ""
    choice: str = ""
    kind: str = ""
    frames: int = 1
    frame: int = 0
    attenuation_corrected: bool | None = None
    tracer: str = ""
    nuclide: str = ""
    half_life_s: float | None = None
    uptake_minutes: float | None = None
    weight_known: bool = False
    height_known: bool = False
    sex_known: bool = False
    ct: bool = False

    @staticmethod
    def of_file(unit: str, unit_from: str, overruled: str = "") -> "Preflight":
        """Return the record of an image file that says no more of itself than its unit."""
        return Preflight(unit, unit_from, overruled, factors={"SUVbw": 1.0} if unit == "SUVbw" else {})

    @property
    def possible(self) -> tuple[str, ...]:
        """The quantities that can be had from the values."""
        return tuple(self.factors)

    @property
    def sentence(self) -> str:
        """What the numbers are, and if not SUV, why; fit to be shown to a reader."""
        if self.unit == "SUVbw":
            return f"Numbers are SUV (body weight), {self.unit_from}."
        if "SUVbw" in self.why_not:
            numbers = "in Bq/ml" if self.unit == "Bq/ml" else "those stored, of unknown unit"
            return f"Numbers are {numbers}, not SUV. {self.why_not['SUVbw']}"
        if self.unit == "Bq/ml":
            return f"Numbers are in Bq/ml, {self.unit_from}."
        return _WHAT_TO_DO

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        plain = {name: dict(part) if isinstance(part, Mapping) else part for name, part in vars(self).items()}
        return {**plain, "possible": list(self.possible), "sentence": self.sentence}
