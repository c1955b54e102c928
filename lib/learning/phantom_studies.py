"""Digital phantoms as studies: what a network knew before, to rehearse it and to see that nothing is lost."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.learning.bodies import OUTLINED
from lib.learning.cases import Case
from lib.pet import Crop
from lib.pet.components import objects_of
from lib.pet.phantom import make_phantom, phantoms_state

#: Tracers of the bundled weights' training, which take turns.
TRACERS = ("FDG", "PSMA-11")
#: Seeds from here on were never trained on; those rehearsed, watched and measured are never the same.
REHEARSED, WATCHED, MEASURED = 5000, 5500, 6000
_SHAPE = (112, 88, 230)
_SPACING = (4.0, 4.0, 4.0)
_SMALLEST_ORGAN = 30  # voxels


@dataclass(frozen=True)
class PhantomStudy:
    """A digital patient with lesions, drawn when it is read.

    Args:
        tracer: whose distribution it shows.
        seed: of the patient; another tracer with the same seed shows the same one.
        lesions: how many.
        organs: how many outlined organs are objects as well.
    """

    tracer: str
    seed: int
    lesions: int = 8
    organs: int = 4

    @property
    def name(self) -> str:
        """Tracer and seed."""
        return f"{self.tracer} phantom {self.seed}"

    @property
    def trusted(self) -> bool:
        """A phantom's truth is known."""
        return True

    def stamp(self) -> str:
        """Return what the phantom is drawn from."""
        return repr((self, phantoms_state()))

    def read(self) -> Case:
        """Draw it; lesions first, then organs."""
        phantom = make_phantom(self.seed, _SHAPE, _SPACING, self.tracer, lesions=self.lesions)
        objects = objects_of(phantom.lesions, "values")
        outlined: list[tuple[int, Crop]] = []
        for number, name in phantom.names.items():
            if name in OUTLINED and (mask := phantom.labels == number).sum() >= _SMALLEST_ORGAN:
                outlined.append((1000 + number, Crop.from_grid(mask)))
        random = np.random.default_rng([self.seed, 7])
        chosen = random.permutation(len(outlined))[: self.organs]
        objects += [outlined[place] for place in sorted(chosen.tolist())]
        truth: Any = np.zeros(phantom.volume.shape, np.bool_)
        for _, crop in objects:
            truth[crop.slices] |= crop.array
        crops = tuple(crop.tight() for _, crop in objects)
        return Case(self.name, phantom.volume, crops, Crop.from_grid(truth), tuple(v for v, _ in objects))


def rehearsed(count: int) -> list[PhantomStudy]:
    """Return phantoms to learn from beside new labels."""
    return [PhantomStudy(TRACERS[n % len(TRACERS)], REHEARSED + n) for n in range(count)]


def watched(count: int) -> list[PhantomStudy]:
    """Return phantoms by which to choose how far new weights may go."""
    return [PhantomStudy(TRACERS[n % len(TRACERS)], WATCHED + n) for n in range(count)]


def retained(count: int) -> list[PhantomStudy]:
    """Return phantoms on which to see that nothing is lost; none is among those rehearsed."""
    return [PhantomStudy(TRACERS[n % len(TRACERS)], MEASURED + n) for n in range(count)]
