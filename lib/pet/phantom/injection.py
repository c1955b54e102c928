"""Dose, weight and times of a phantom's scan: what headers state, and what turns its SUV into Bq/ml."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.pet.nuclides import HALF_LIVES
from lib.pet.phantom.whole import Phantom

_INJECTED = datetime(2024, 1, 15, 8, 0)


@dataclass(frozen=True)
class Injection:
    """What was injected into whom and when, rounded as a header states it.

    Args:
        dose_bq: as injected.
        weight_kg: of the patient.
        half_life_s: of the nuclide.
        injected: when.
        scanned: when, which is the time to which the image is corrected for decay.
    """

    dose_bq: int
    weight_kg: float
    half_life_s: float
    injected: datetime
    scanned: datetime

    @classmethod
    def of(cls, phantom: Phantom) -> "Injection":
        """Return a phantom's, as usual for its tracer."""
        uptake = phantom.uptake
        scanned = _INJECTED + timedelta(minutes=round(uptake.uptake_minutes))
        return cls(
            dose_bq=round(uptake.dose_mbq * 1e6),
            weight_kg=round(phantom.patient.weight_kg, 1),
            half_life_s=HALF_LIVES[uptake.nuclide],
            injected=_INJECTED,
            scanned=scanned,
        )

    @property
    def bqml_per_suv(self) -> float:
        """Bq/ml of SUVbw 1: the dose decayed to the scan, over the weight in g."""
        seconds = (self.scanned - self.injected).total_seconds()
        return float(self.dose_bq * 2.0 ** (-seconds / self.half_life_s) / (1000 * self.weight_kg))
