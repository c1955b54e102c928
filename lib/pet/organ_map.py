"""The organ map: which organ is where in a study, and so where a lesion is."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.pet.crop import Crop
from lib.pet.volume import read_only

Side = Literal["left", "right"]

#: A lesion is in an organ that holds at least this share of it, else beside one.
SHARE_IN = 1 / 3
#: Organs further away than this, mm, are no neighbours.
BESIDE_MM = 15.0
#: Within this distance, mm, of the body's midline there is no side.
MIDLINE_MM = 10.0

_TABLE = Path(__file__).parent / "data" / "totalsegmentator_v2.csv"
_SPINE = ("vertebrae_*", "sacrum")
_SIDES: tuple[Side, Side] = ("left", "right")


@dataclass(frozen=True)
class Site:
    """Where a lesion is.

    Args:
        name: the organ's name in the map, such as "lung_lower_lobe_right".
        side: of the patient: the organ's own where it is one of a pair, else that of the body's midline on
            which the lesion lies; None near the midline, and where the map has no spine.
        relation: "in" the organ, or "beside" it.
    """

    name: str
    side: Side | None
    relation: Literal["in", "beside"]

    @property
    def text(self) -> str:
        """The site in words: "in the lower lobe of the right lung", "beside the urinary bladder (left)"."""
        aside = f" ({self.side})" if self.side and side_of(self.name) is None else ""
        return f"{self.relation} the {organ_text(self.name)}{aside}"


@dataclass(frozen=True, eq=False)
class OrganMap:
    """The organs of a study on its PET grid; `read_organ_map` reads one.

    Args:
        labels: whole numbers [i, j, k] on the volume's grid, 0 where there is no organ; kept read only.
        names: label -> the organ's name; TotalSegmentator's names are known to the tracers' table.
        affine: 4x4, voxel centre -> RAS+ mm.
        warnings: what a reader should know about how the map was read.
    """

    labels: NDArray[np.unsignedinteger]
    names: Mapping[int, str]
    affine: NDArray[np.float64]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))

    def mask(self, *names: str) -> Crop:
        """Return the union of the organs with these names; `*` in a name stands for anything."""
        wanted = [label for label, name in self.names.items() if any(fnmatchcase(name, one) for one in names)]
        return Crop.from_grid(np.isin(self.labels, wanted)) if wanted else Crop.empty()

    def site(self, lesion: Crop) -> Site | None:
        """Return where a lesion is; None for an empty one, and where no organ lies within 15 mm of it.

        It is in the organ that holds the most of it, at least a third; else beside that organ, or beside the
        nearest one where none holds a part of it.
        """
        lesion.check_fits(self.labels.shape)
        lesion = lesion.tight()
        if not lesion.any():
            return None
        held = np.bincount(self.labels[lesion.slices][lesion.array])
        held[0] = 0
        if held.any():
            label = int(held.argmax())
            inside = held[label] >= SHARE_IN * lesion.count
        else:
            inside = False
            nearest = self._nearest(lesion)
            if nearest is None:
                return None
            label = nearest
        name = self.names.get(label, f"label {label}")
        return Site(name, side_of(name) or self._side(lesion), "in" if inside else "beside")

    def _nearest(self, lesion: Crop) -> int | None:
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        reach = np.ceil(BESIDE_MM / spacing).astype(int)
        start = np.maximum(np.subtract(lesion.start, reach), 0)
        stop = np.minimum(np.add(lesion.stop, reach), self.labels.shape)
        box = tuple(map(slice, start, stop))
        outside = np.ones(tuple(stop - start), dtype=np.bool_)
        outside[tuple(map(slice, lesion.start - start, lesion.stop - start))] = ~lesion.array
        distance = ndimage.distance_transform_edt(outside, sampling=spacing)
        distance[self.labels[box] == 0] = np.inf
        at = np.unravel_index(int(distance.argmin()), distance.shape)
        return int(self.labels[box][at]) if distance[at] <= BESIDE_MM else None

    def _side(self, lesion: Crop) -> Side | None:
        if self._midline is None:
            return None
        centre = np.argwhere(lesion.array).mean(axis=0) + lesion.start
        to_right = float(self.affine[0, :3] @ centre + self.affine[0, 3]) - self._midline
        if abs(to_right) <= MIDLINE_MM:
            return None
        return "right" if to_right > 0 else "left"

    @cached_property
    def _midline(self) -> float | None:
        """RAS x, mm, of the spine's middle."""
        spine = self.mask(*_SPINE)
        if not spine.any():
            return None
        centre = np.argwhere(spine.array).mean(axis=0) + spine.start
        return float(self.affine[0, :3] @ centre + self.affine[0, 3])


def site_of(organs: OrganMap | None, lesion: Crop) -> str:
    """Return a lesion's site in words, or why it has none."""
    if organs is None:
        return "no organ map: sites are not named"
    site = organs.site(lesion)
    return site.text if site else f"no organ of the map within {BESIDE_MM:g} mm"


def side_of(name: str) -> Side | None:
    """Return the side that an organ's name states."""
    return next((side for side in _SIDES if side in name.lower().split("_")), None)


def organ_text(name: str) -> str:
    """Return an organ's name in words: "left kidney" for "kidney_left"."""
    known = next((text for other, text in organ_table().values() if other == name), None)
    side = side_of(name)
    bare = " ".join(part for part in name.split("_") if part.lower() not in _SIDES)
    return known or (f"{side} {bare}" if side else bare)


@cache
def organ_table() -> dict[int, tuple[str, str]]:
    """Return TotalSegmentator v2's classes of the task "total": label -> name, and the name in words.

    Source: TotalSegmentator, `map_to_binary.py` (Apache-2.0; Wasserthal 2023, doi 10.1148/ryai.230024).
    """
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return {int(row["id"]): (row["name"], row["text"]) for row in csv.DictReader(file)}
