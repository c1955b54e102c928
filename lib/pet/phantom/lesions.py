"""Lesions: of which kind, where, how large, how hot; painted into a body that is already there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lib.pet.phantom.canvas import Box, Canvas
from lib.pet.phantom.classes import CLASSES, LESION_CLASS
from lib.pet.phantom.lesion_shapes import look
from lib.pet.phantom.sites import BONES, Sites
from lib.pet.volume import VolumeError

#: How a lesion looks or where it is; each with how often it is drawn.
KINDS: dict[str, float] = {
    "sphere": 0.16, "irregular": 0.18, "lobulated": 0.12, "necrotic": 0.1, "cluster": 0.1, "bone": 0.16,
    "beside_bladder": 0.06, "beside_heart": 0.06, "beside_kidney": 0.06,
}  # fmt: skip
SMALLEST_MM, LARGEST_MM = 6.0, 80.0
CONTRAST = (1.5, 10.0)
_LEAST_OF_BLOOD = 1.5  # below that multiple of the blood pool nobody would call it a lesion
_TRIES, _TRIES_ARE_FOR = 150, 8  # as many again for every further 8 lesions
#: Site -> longest diameter there, and weight, of lesions that may be anywhere.
_ANYWHERE = {
    "liver": (80.0, 0.22), "lung_*": (80.0, 0.2), "soft": (80.0, 0.2), "node": (45.0, 0.26),
    "spleen": (40.0, 0.04), "adrenal_gland_*": (35.0, 0.04), "pancreas": (40.0, 0.04),
}  # fmt: skip
_LARGEST = {
    "bone": 45.0,
    "cluster": 18.0,
    "beside_bladder": 35.0,
    "beside_heart": 40.0,
    "beside_kidney": 40.0,
}
_BESIDE = {"beside_bladder": "urinary_bladder", "beside_heart": "heart", "beside_kidney": "kidney_*"}


@dataclass(frozen=True)
class Lesion:
    """What was painted, before blur and noise, and what the image shows of it.

    Args:
        number: in the instance map.
        kind: see KINDS; or "giant".
        site: the class that held most of its voxels before, "" where none did.
        diameter_mm: the longest one that was aimed at.
        volume_ml: of its voxels.
        suv: of what is not dead in it.
        contrast: its SUV over the median of what was there before.
        core_mm: the shortest diameter of its dead core, None where it has none.
        core_resolved: whether that is at least two voxels and twice the blur's FWHM; None where it has none.
        image_contrast: mean over that of the body from one FWHM to 10 mm further around it, in the image;
            None where there is no such body.
    """

    number: int
    kind: str
    site: str
    diameter_mm: float
    volume_ml: float
    suv: float
    contrast: float
    core_mm: float | None
    core_resolved: bool | None = None
    image_contrast: float | None = None


def paint_lesions(
    canvas: Canvas,
    random: np.random.Generator,
    count: int,
    kinds: Sequence[str],
    largest_mm: float,
    blood: float,
) -> tuple[NDArray[np.uint16], tuple[Lesion, ...]]:
    """Paint lesions that neither touch each other nor leave the body.

    Args:
        canvas: with the body; changed.
        random: of every choice.
        count: how many.
        kinds: which may be drawn.
        largest_mm: the longest diameter; above 80 mm the first lesion is one as long as that, where it
            finds room.
        blood: SUV of the blood pool.

    Returns:
        Instance map [k, j, i] with 1, the largest, to count; and the lesions in that order.

    Raises:
        VolumeError: not all of them found room.
    """
    instances = np.zeros(canvas.labels.shape, dtype=np.uint16)
    painter = _Painter(canvas, random, instances, blood)
    weights = np.array([KINDS[kind] for kind in kinds])
    if count and largest_mm > LARGEST_MM:
        painter.try_giant(largest_mm)
    tries = _TRIES * max(1, math.ceil(count / _TRIES_ARE_FOR))
    for _ in range(tries):
        missing = count - len(painter.lesions)
        if missing <= 0:
            break
        kind = str(random.choice(kinds, p=weights / weights.sum()))
        if kind == "cluster":
            # A cluster has three nodes at least; if no more are wanted, the last is a node alone.
            painter.try_cluster(min(missing, int(random.integers(3, 7))))
        else:
            painter.try_one(kind, largest_mm)
    if len(painter.lesions) < count:
        raise VolumeError(
            f"Only {len(painter.lesions)} of {count} lesions found room in {tries} tries; give the phantom a "
            "larger field of view, smaller voxels, more kinds or fewer lesions."
        )
    order = sorted(painter.lesions, key=lambda lesion: -lesion.volume_ml)
    renumbered = np.zeros(count + 1, dtype=np.uint16)
    renumbered[[lesion.number for lesion in order]] = range(1, count + 1)
    return renumbered[instances], tuple(replace(one, number=at) for at, one in enumerate(order, start=1))


class _Painter:
    def __init__(
        self, canvas: Canvas, random: np.random.Generator, instances: NDArray[np.uint16], blood: float
    ) -> None:
        self.canvas, self.random, self.instances, self.blood = canvas, random, instances, blood
        self.sites = Sites(canvas)
        self.lesions: list[Lesion] = []
        # Lesions that touch by a corner would be one component: a gap of a voxel's diagonal is left.
        self._gap = 1.05 * float(np.linalg.norm(canvas.grid.spacing)) + 0.5

    def try_one(self, kind: str, largest_mm: float) -> None:
        if kind in _BESIDE:
            diameter = self._diameter(min(_LARGEST[kind], largest_mm))
            at = self.sites.beside(_BESIDE[kind], diameter / 2, self.random)
            host: str | None = None
        elif kind == "bone":
            diameter = self._diameter(min(_LARGEST[kind], largest_mm))
            host = str(self.random.choice(BONES))
            at = self.sites.inside(host, self.random)
        else:
            host = self._anywhere()
            diameter = self._diameter(min(_ANYWHERE[host][0], largest_mm))
            at = self._at(host, diameter)
        if at is not None:
            self._paint(kind, at, diameter, host)

    def try_cluster(self, nodes: int) -> None:
        middle = self.sites.beside("node", 12.0, self.random)
        if middle is None:
            return
        for _ in range(8 * nodes):
            if nodes == 0:
                return
            at = middle + self.random.normal(0, 11, 3)
            nodes -= self._paint("cluster", at, self._diameter(_LARGEST["cluster"]), None)

    def try_giant(self, diameter: float) -> None:
        for _ in range(60):
            at = self.sites.inside("soft", self.random)
            if at is not None and self._paint("giant", at, diameter, None):
                return

    def _anywhere(self) -> str:
        weights = np.array([weight for _, weight in _ANYWHERE.values()])
        return str(self.random.choice(list(_ANYWHERE), p=weights / weights.sum()))

    def _at(self, host: str, diameter: float) -> NDArray[np.float64] | None:
        if host == "node":
            return self.sites.beside("node", diameter / 2, self.random)
        return self.sites.inside(host, self.random)

    def _diameter(self, largest: float) -> float:
        # A little more of the large ones than of the small ones per octave.
        share = self.random.random() ** 0.7
        return float(SMALLEST_MM * (max(largest, SMALLEST_MM) / SMALLEST_MM) ** share)

    def _paint(self, kind: str, at: NDArray[np.float64], diameter: float, host: str | None) -> bool:
        """Paint one lesion if there is room for it; say whether there was."""
        form = look(kind, at, diameter, self.random)
        edge = float(np.cbrt(np.prod(self.canvas.grid.spacing)))
        box = self.canvas.grid.box(form.shape.bounds, self._gap + edge)
        if box is None:
            return False
        coordinates = self.canvas.grid.coordinates(box)
        distance = form.shape.distance(coordinates)
        inside = distance < 0
        if not inside.any():  # smaller than a voxel: the one that it is in
            inside = distance == distance.min()
        if not self._has_room(kind, box, inside, distance, host):
            return False
        beneath = self.canvas.labels[box][inside]
        background = float(np.median(self.canvas.activity[box][inside]))
        contrast = self._contrast(background, diameter)
        activity = self.canvas.activity[box]
        suv = contrast * background
        lean = self.random.normal(0, 0.12, 3) / max(diameter / 2, 1)  # one end takes up more than the other
        slope = sum(
            np.float32(each) * (axis - np.float32(middle))
            for each, axis, middle in zip(lean, coordinates, at, strict=True)
        )
        covered = np.clip(0.5 - distance / edge, 0, 1)
        activity += covered * (np.float32(suv) * np.clip(1 + slope, 0.6, 1.4) - activity)
        if form.core is not None:
            dead = np.clip(0.5 - form.core.distance(coordinates) / edge, 0, 1)
            activity += dead * (np.float32(0.6 * background) - activity)
        number = len(self.lesions) + 1
        self.canvas.labels[box][inside] = LESION_CLASS
        self.instances[box][inside] = number
        volume = float(np.count_nonzero(inside) * np.prod(self.canvas.grid.spacing) / 1000)
        site = CLASSES.get(int(np.bincount(beneath).argmax()), "")
        core = None if form.core is None else 2 * min(form.core.half_axes)
        self.lesions.append(Lesion(number, kind, site, diameter, volume, suv, contrast, core))
        return True

    def _has_room(
        self,
        kind: str,
        box: Box,
        inside: NDArray[np.bool_],
        distance: NDArray[np.float32],
        host: str | None,
    ) -> bool:
        if self.instances[box][distance < self._gap].any():
            return False
        shape = self.instances.shape
        faces = [inside.any(axis=(1, 2)), inside.any(axis=(0, 2)), inside.any(axis=(0, 1))]
        for part, size, present in zip(box, shape, faces, strict=True):
            filled = np.flatnonzero(present) + part.start
            if filled[0] < 1 or filled[-1] > size - 2:
                return False  # cut by the field of view
        in_body = self.canvas.activity[box][inside] > 0
        if kind == "giant":
            return bool(in_body.mean() > 0.99)
        labels = self.canvas.labels[box][inside]
        if not in_body.all() or np.isin(labels, self.sites.never).any():
            return False
        if kind in _BESIDE or host is None or host in ("soft", "node"):
            return bool(np.isin(labels, self.sites.soft).mean() > 0.75)
        return bool(np.isin(labels, self.sites.numbers(host)).mean() > (0.45 if kind == "bone" else 0.7))

    def _contrast(self, background: float, diameter: float) -> float:
        low, high = CONTRAST
        # What is small needs more contrast to be seen at all: partial volume takes most of it.
        low = float(np.interp(diameter, (6, 20), (3.5, low)))
        low = min(max(low, _LEAST_OF_BLOOD * self.blood / max(background, 1e-3)), high)
        return float(low * (high / low) ** self.random.random())
