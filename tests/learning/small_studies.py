"""Small labelled studies and networks: what fine-tuning needs, in seconds."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from lib.learning.cases import Case
from lib.network import CompactPET
from lib.pet import Crop, Volume
from tests.small_network import tiny_compact

AFFINE = np.diag([8.0, 8.0, 8.0, 1.0])


def tiny_network() -> CompactPET:
    return tiny_compact().requires_grad_(False)


def ball(centre, radius, shape=(24, 24, 24)):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)) <= radius**2


def picture(seed, masks, shape=(24, 24, 24)):
    image = np.random.default_rng(seed).uniform(0.8, 1.2, shape).astype(np.float32)
    for mask in masks:
        image[mask] += 6
    return image


@dataclass(frozen=True)
class BallStudy:
    """A body with two hot balls."""

    name: str
    seed: int = 0
    trusted: bool = True

    def stamp(self) -> str:
        return repr(self)

    def read(self) -> Case:
        random = np.random.default_rng(self.seed)
        masks = [ball(random.uniform(6, 8, 3), 3), ball(random.uniform(15, 17, 3), 2)]
        volume = Volume(picture(self.seed, masks), AFFINE, "SUVbw")
        objects = tuple(Crop.from_grid(mask) for mask in masks)
        return Case(self.name, volume, objects, objects[0].union(objects[1]), (1, 2))


def write_studies(folder: Path, count: int, labelled: int | None = None) -> None:
    """Write studies `p0` ... in MONAI Label's layout, so many of them with a final label of two lesions."""
    final = folder / "labels" / "final"
    final.mkdir(parents=True)
    for number in range(count):
        case = BallStudy(f"p{number}", number).read()
        nibabel.save(nibabel.Nifti1Image(case.volume.array, AFFINE), folder / f"p{number}.nii.gz")
        (folder / f"p{number}.json").write_text('{"Units": "g/mL"}')
        if number < (count if labelled is None else labelled):
            mask = case.truth.to_grid(case.volume.shape).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(mask, AFFINE), final / f"p{number}.nii.gz")
