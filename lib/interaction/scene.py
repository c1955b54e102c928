"""The scene: what is seen of each object where several overlap, and which slices of it a change touches."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lib.interaction.labels import precedence
from lib.interaction.objects import AnnotatedObject
from lib.interaction.prompts import Index
from lib.pet import Crop


class Scene:
    """The objects of a study as a viewer shows them: each voxel is one object's, or nobody's.

    Lesions win over organs, accepted objects over others, later labels over earlier ones, higher numbers over
    lower ones, as in the class map that is saved.

    Args:
        objects: of the study.
        masks: their masks, by number.
        labels: names in use, `background` first.
        before: the scene before a change: an object that looks as before keeps its crop, and whatever was
            measured in it.
    """

    def __init__(
        self,
        objects: Iterable[AnnotatedObject] = (),
        masks: Mapping[int, Crop] | None = None,
        labels: Sequence[str] = (),
        before: "Scene | None" = None,
    ) -> None:
        masks = masks or {}
        self.seen: dict[int, Crop] = {}
        """What is seen of each object, by number."""
        self.covered: set[int] = set()
        """Numbers of the objects that have voxels, none of which is seen."""
        self._rests: dict[tuple[Crop, ...], Crop] = {}
        winners: list[Crop] = []
        for obj in sorted(objects, key=lambda obj: precedence(obj, labels), reverse=True):
            mask = masks[obj.id]
            over = tuple(winner for winner in winners if _overlap(mask, winner))
            if over:
                key = (mask, *over)
                rest = before._rests.get(key) if before else None
                self._rests[key] = self.seen[obj.id] = _minus_all(mask, over) if rest is None else rest
                if not self.seen[obj.id].any():
                    self.covered.add(obj.id)
            else:
                self.seen[obj.id] = mask
            winners.append(mask)

    def at(self, index: Index) -> int | None:
        """Return the number of the object that is seen in a voxel (i, j, k); None where there is none."""
        return next((number for number, crop in self.seen.items() if crop.contains(index)), None)

    def slices(self, shape: Sequence[int], first: int, last: int) -> NDArray[np.uint8]:
        """Return the objects' numbers in the slices from `first` to before `last`.

        Args:
            shape: voxels of the study along i, j and k.
            first, last: along k.

        Returns:
            uint8 [k, j, i], C order: each slice as DICOM has the pixels of a frame.
        """
        image = np.zeros((last - first, shape[1], shape[0]), np.uint8)
        for number, crop in self.seen.items():
            begin, end = max(crop.start[2], first), min(crop.stop[2], last)
            if begin < end:
                i, j, _ = crop.slices
                inside = crop.array[:, :, begin - crop.start[2] : end - crop.start[2]].T
                image[begin - first : end - first, j, i][inside] = number
        return image

    def filled_slices(self, shape: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
        """Return the slices in which something is seen, uint8 [j, i], by k."""
        return Scene().changed_slices(self, shape)

    def changed_slices(self, after: "Scene", shape: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
        """Return the slices that look otherwise in another scene, as they look there: uint8 [j, i], by k."""
        crops = [
            crop
            for number in self.seen.keys() | after.seen.keys()
            for crop in _if_changed(self.seen.get(number), after.seen.get(number))
        ]
        changed = {}
        for first, last in _runs(crops):
            before, now = (scene.slices(shape, first, last) for scene in (self, after))
            for k in np.flatnonzero((before != now).any(axis=(1, 2))).tolist():
                changed[first + k] = now[k]
        return changed


def _if_changed(before: Crop | None, after: Crop | None) -> list[Crop]:
    crops = [crop for crop in (before, after) if crop is not None and crop.array.size]
    return [] if before is after else crops


def _runs(crops: Sequence[Crop]) -> list[tuple[int, int]]:
    """Return the runs of slices in which crops lie, without those between them."""
    runs: list[tuple[int, int]] = []
    for begin, end in sorted((crop.start[2], crop.stop[2]) for crop in crops):
        if runs and begin <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((begin, end))
    return runs


def _overlap(mask: Crop, other: Crop) -> bool:
    """Whether two masks share a voxel."""
    return mask.minus(other) is not mask


def _minus_all(mask: Crop, others: Iterable[Crop]) -> Crop:
    for other in others:
        mask = mask.minus(other)
    return mask
