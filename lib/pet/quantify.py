"""The numbers of a lesion."""

from dataclasses import dataclass

import numpy as np

from lib.pet.crop import Crop
from lib.pet.volume import Volume


@dataclass(frozen=True)
class LesionNumbers:
    """What a mask measures in a volume; voxels without a value (NaN) count nowhere.

    Args:
        max: highest value in `unit`; None where the mask has no voxel with a value.
        mean: mean value in `unit`; None likewise.
        volume_ml: volume of the mask's voxels in millilitres.
        voxels: how many they are.
        unit: the volume's unit, "SUVbw", "Bq/ml" or "unknown".
    """

    max: float | None
    mean: float | None
    volume_ml: float
    voxels: int
    unit: str

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the numbers for JSON; called `suv_max` and `suv_mean` only where they are SUV."""
        prefix = "suv_" if self.unit == "SUVbw" else ""
        return {
            f"{prefix}max": self.max,
            f"{prefix}mean": self.mean,
            "volume_ml": self.volume_ml,
            "unit": self.unit,
        }


def quantify(volume: Volume, crop: Crop) -> LesionNumbers:
    """Measure one lesion.

    Raises:
        VolumeError: the crop reaches beyond the volume.
    """
    crop.check_fits(volume.shape)
    values = volume.array[crop.slices][crop.array]
    values = values[~np.isnan(values)]
    voxels = int(values.size)
    return LesionNumbers(
        max=float(values.max()) if voxels else None,
        mean=float(values.mean(dtype=np.float64)) if voxels else None,
        volume_ml=voxels * volume.voxel_ml,
        voxels=voxels,
        unit=volume.unit,
    )
