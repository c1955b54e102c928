"""Studies for experiments: real crops set into bodies, and labels made wrong on purpose."""

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
#: An eroded object keeps at most so much of its volume, a dilated one has at least so much more.
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
    """A study with a share of its objects outlined wrongly, or not at all; nobody vouches for it.

    Args:
        source: the study as it should be.
        share: chance of an object to be wrong.
        seed: of all chance.
    """

    source: Source
    share: float
    seed: int
    trusted: bool = False

    @property
    def name(self) -> str:
        """The study's."""
        return self.source.name

    def stamp(self) -> str:
        """Return what the study is made of."""
        return repr((self.source.stamp(), self.share, self.seed))

    def read(self) -> Case:
        """Read it; CaseError or VolumeError where that fails."""
        case = self.source.read()
        random = np.random.default_rng([self.seed, number_of(self.name), 3])
        kept: list[tuple[Crop, int]] = []
        for value, truth in zip(case.values, case.objects, strict=True):
            drawn = truth
            if random.random() < self.share:
                fault: Fault = FAULTS[int(random.integers(len(FAULTS)))]
                drawn = corrupted(truth, fault, case.volume.shape, case.volume.spacing, random)
            if drawn.any():
                kept.append((drawn, value))
        objects = tuple(crop for crop, _ in kept)
        union = objects[0] if objects else Crop.empty()
        for crop in objects[1:]:
            union = union.union(crop)
        return replace(case, objects=objects, truth=union, values=tuple(value for _, value in kept))


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
        wanted = max(1, round(truth.count * (_ERODED if fault == "eroded" else _DILATED)))
        level = np.partition(depth.ravel(), -min(wanted, depth.size))[-min(wanted, depth.size)]
        box = depth >= level
    i, j, k = start.tolist()
    return Crop((i, j, k), box).tight() if box.any() else Crop.empty()


def _shifted(box: NDArray[np.bool_], by: NDArray[np.int64]) -> NDArray[np.bool_]:
    moved = np.zeros_like(box)
    places = np.argwhere(box) + by
    places = places[((places >= 0) & (places < box.shape)).all(axis=1)]
    moved[tuple(places.T)] = True
    return moved
