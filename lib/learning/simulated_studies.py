"""Studies for experiments: real crops set into bodies, and labels made wrong on purpose."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.learning.cases import Case, CaseFiles, number_of, read_case
from lib.learning.studies import Source
from lib.pet import Crop

Fault = Literal["eroded", "dilated", "shifted", "missing"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
#: An eroded object keeps so much of its volume, a dilated one has so much.
_ERODED, _DILATED = 0.4, 2.5
_SHIFT = 0.6  # of the object's extent along an axis


@dataclass(frozen=True)
class EmbeddedStudy:
    """A case on disk, its crop set into a larger body (`lib.learning.embedding`).

    Args:
        files: the case.
        seed: of the body.
    """

    files: CaseFiles
    seed: int
    trusted: bool = True

    @property
    def name(self) -> str:
        """The case's."""
        return self.files.name

    def stamp(self) -> str:
        """Return what the study is made of."""
        return repr((self.files, self.seed))

    def read(self) -> Case:
        """Read it; CaseError or VolumeError where that fails."""
        return read_case(self.files, "SUVbw", embed=self.seed)


@dataclass(frozen=True)
class CorruptedStudy:
    """A study that nobody vouches for, and whose objects may be outlined wrongly, or not at all.

    Args:
        source: the study as it should be.
        fault: of its first object, the next one has the next of FAULTS; None: nothing is wrong.
        seed: of all chance.
    """

    source: Source
    fault: Fault | None
    seed: int
    trusted: bool = False

    @property
    def name(self) -> str:
        """The study's."""
        return self.source.name

    def stamp(self) -> str:
        """Return what the study is made of."""
        return repr((self.source.stamp(), self.fault, self.seed))

    def read(self) -> Case:
        """Read it; CaseError or VolumeError where that fails."""
        case = self.source.read()
        if self.fault is None:
            return case
        random = np.random.default_rng([self.seed, number_of(self.name), 3])
        faults = itertools.islice(itertools.cycle(FAULTS), FAULTS.index(self.fault), None)
        drawn = [
            corrupted(truth, fault, case.volume.shape, case.volume.spacing, random)
            for truth, fault in zip(case.objects, faults, strict=False)
        ]
        kept = [(crop, value) for crop, value in zip(drawn, case.values, strict=True) if crop.any()]
        objects = tuple(crop for crop, _ in kept)
        union = functools.reduce(Crop.union, objects, Crop.empty())
        return replace(case, objects=objects, truth=union, values=tuple(value for _, value in kept))


def with_wrong_labels(studies: Sequence[Source], share: float, seed: int) -> list[CorruptedStudy]:
    """Return studies of which this share is labelled wrongly, each kind of fault as often as any other.

    Args:
        studies: as they should be.
        share: of the studies, 0 to 1, rounded to whole ones.
        seed: draws which ones, and with which kind it begins.
    """
    random = np.random.default_rng([seed, 4])
    first = int(random.integers(len(FAULTS)))
    wrong = random.permutation(len(studies))[: round(share * len(studies))].tolist()
    faults = {place: FAULTS[(first + turn) % len(FAULTS)] for turn, place in enumerate(wrong)}
    return [CorruptedStudy(study, faults.get(place), seed) for place, study in enumerate(studies)]


def corrupted(
    truth: Crop,
    fault: Fault,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    random: np.random.Generator,
) -> Crop:
    """Return an object as a careless annotator might have left it; empty where it is missing.

    Args:
        truth: the object, on a grid of this shape and spacing (mm).
        fault: eroded to 40 % of its volume, dilated to 250 %, shifted by 60 % of its extent along one axis
            and half of that along the others, or missing.
    """
    if fault == "missing":
        return Crop.empty()
    margin = np.maximum(np.array(truth.array.shape), 4)
    start = np.maximum(np.array(truth.start) - margin, 0)
    stop = np.minimum(np.array(truth.stop) + margin, shape)
    box = truth.window(start, stop)
    if fault == "shifted":
        extent = np.array(truth.array.shape) * random.choice((-1, 1), 3) * _SHIFT
        weights = np.full(3, 0.5)
        weights[random.integers(3)] = 1.0
        moved = np.round(extent * weights).astype(int)
        box = _shifted(box, moved)
    else:
        # By distance, not by steps: voxels need not be cubes.
        inside = ndimage.distance_transform_edt(np.pad(box, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
        outside = ndimage.distance_transform_edt(~box, sampling=spacing)
        depth = inside - outside
        # Many voxels of a small object are as deep as each other: those near its middle stay, and go first.
        middle = np.mean(np.argwhere(box), axis=0)
        away = np.linalg.norm((np.argwhere(np.ones_like(box)) - middle) * spacing, axis=1)
        wanted = max(1, round(truth.count * (_ERODED if fault == "eroded" else _DILATED)))
        box = np.zeros_like(box)
        box.flat[np.lexsort((away, -depth.ravel()))[:wanted]] = True
    i, j, k = start.tolist()
    return Crop((i, j, k), box).tight() if box.any() else Crop.empty()


def _shifted(box: NDArray[np.bool_], by: NDArray[np.int64]) -> NDArray[np.bool_]:
    moved = np.zeros_like(box)
    places = np.argwhere(box) + by
    places = places[((places >= 0) & (places < box.shape)).all(axis=1)]
    moved[tuple(places.T)] = True
    return moved
