"""How well two readers agree who labelled a study independently: lesion by lesion, and in volume."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lib.interaction.labels import is_lesion
from lib.learning.metrics import match
from lib.pet import Crop, read_mask
from lib.pet.components import objects_of
from lib.store import LabelVersion, LabelVersions


@dataclass(frozen=True)
class MatchedLesion:
    """A lesion that both saw.

    Args:
        first, second: its number in each reading.
        iou: intersection over union, at least 0.1.
        dice: 2 |A and B| / (|A| + |B|).
        volumes_ml: in each reading.
    """

    first: int
    second: int
    iou: float
    dice: float
    volumes_ml: tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """Two readings of a study against each other. Neither is the truth: both readers count alike.

    Args:
        readers: who read.
        versions: of the label.
        matched: lesions that both saw, one to one, as lesion F1 matches them (`lib.learning.metrics`).
        only: numbers of the lesions that one of them saw alone, of each.
        tmtv_ml: total metabolic tumour volume of each.
    """

    readers: tuple[str, str]
    versions: tuple[int, int]
    matched: tuple[MatchedLesion, ...]
    only: tuple[tuple[int, ...], tuple[int, ...]]
    tmtv_ml: tuple[float, float]

    @property
    def dice(self) -> float | None:
        """Mean Dice of the lesions that both saw; None where there is none."""
        return sum(one.dice for one in self.matched) / len(self.matched) if self.matched else None

    @property
    def f1(self) -> float | None:
        """2 matched / (lesions of the one + lesions of the other); None where neither saw any."""
        total = 2 * len(self.matched) + sum(map(len, self.only))
        return 2 * len(self.matched) / total if total else None

    @property
    def tmtv_difference_ml(self) -> float:
        """TMTV of the second less that of the first."""
        return self.tmtv_ml[1] - self.tmtv_ml[0]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {
            "dice": self.dice, "f1": self.f1, "tmtv_difference_ml": self.tmtv_difference_ml,
        }  # fmt: skip


def agreements(labels: LabelVersions, study: str) -> list[Agreement]:
    """Compare the newest independent reading of each reader of a study with that of each other.

    Raises:
        StoreError, VolumeError: a reading cannot be read.
    """
    read = [(version, *lesions_of(version)) for version in labels.readings(study)]
    return [_agreement(first, second) for first, second in combinations(read, 2)]


def lesions_of(version: LabelVersion) -> tuple[dict[int, Crop], float]:
    """Return the masks of a version's lesions by number, and the ml of a voxel."""
    assert version.instances is not None, "a reading is saved with its objects"
    grid, affine = read_mask(version.instances)
    labels = {one["id"]: str(one["label"]) for one in version.objects()["objects"]}
    lesions = {
        int(value): mask for value, mask in objects_of(grid, "values") if is_lesion(labels.get(value, ""))
    }
    return lesions, float(abs(np.linalg.det(affine[:3, :3]))) / 1000


def _agreement(
    first: tuple[LabelVersion, Mapping[int, Crop], float],
    second: tuple[LabelVersion, Mapping[int, Crop], float],
) -> Agreement:
    (a, lesions, voxel_ml), (b, others, _) = first, second
    numbers, other_numbers = list(lesions), list(others)
    pairs = match(list(lesions.values()), list(others.values()))
    matched = []
    for at, to, common in pairs:
        one, other = lesions[numbers[at]].count, others[other_numbers[to]].count
        iou, dice = common / (one + other - common), 2 * common / (one + other)
        volumes = one * voxel_ml, other * voxel_ml
        matched.append(MatchedLesion(numbers[at], other_numbers[to], iou, dice, volumes))
    seen = {one.first for one in matched}, {one.second for one in matched}
    return Agreement(
        readers=(a.author or "", b.author or ""),
        versions=(a.number, b.number),
        matched=tuple(matched),
        only=(
            tuple(number for number in numbers if number not in seen[0]),
            tuple(number for number in other_numbers if number not in seen[1]),
        ),
        tmtv_ml=(_volume(lesions, voxel_ml), _volume(others, voxel_ml)),
    )


def _volume(lesions: Mapping[int, Crop], voxel_ml: float) -> float:
    return sum(mask.count for mask in lesions.values()) * voxel_ml
