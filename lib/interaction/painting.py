"""Painting: what an annotator brushed on or off, as a kind of step, and what later clicks leave of it.

What was painted stays so, whatever the segmenter answers afterwards, until a click of the opposite sign falls
in it: that gives the painted part around it back to the segmenter. The mask stays a pure function of the
image, the segmenter, the clicks and the paintings.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.prompts import Index, PromptError, Step
from lib.pet import Crop, Volume

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Bits:
    """A mask in few bytes, equal to every mask of the same voxels; made by `of`.

    Args:
        start: index (i, j, k) in the grid of the smallest box around it.
        shape: voxels of the box.
        packed: its voxels in C order, eight a byte (`numpy.packbits`), deflated.
    """

    start: Index
    shape: Index
    packed: bytes

    @classmethod
    def of(cls, mask: Crop) -> "Bits":
        """Return a mask in few bytes."""
        tight = mask.tight()
        i, j, k = tight.array.shape
        return cls(tight.start, (i, j, k), zlib.compress(np.packbits(tight.array).tobytes()))

    @property
    def crop(self) -> Crop:
        """The mask itself, made anew at each call."""
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        return Crop(self.start, np.unpackbits(bits, count=prod(self.shape)).reshape(self.shape).astype(bool))

    def as_dict(self) -> dict[str, Any]:
        """Return the mask as JSON has it."""
        packed = base64.b64encode(self.packed).decode()
        return {"start": list(self.start), "shape": list(self.shape), "bits": packed}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Bits":
        """Return the mask that `as_dict` wrote.

        Raises:
            PromptError: it is not one.
        """
        try:
            (i, j, k), (a, b, c) = stored["start"], stored["shape"]
            bits = cls(
                (int(i), int(j), int(k)),
                (int(a), int(b), int(c)),
                base64.b64decode(stored["bits"], validate=True),
            )
            _ = bits.crop
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise PromptError("A mask in the journal cannot be read.") from error
        return bits


NOTHING = Bits.of(Crop.empty())


@dataclass(frozen=True)
class Paint:
    """What was painted at one time.

    Args:
        after: how many of the object's steps were made before.
        on: voxels that became the object's.
        off: voxels that were taken from it.
    """

    after: int
    on: Bits = NOTHING
    off: Bits = NOTHING

    @classmethod
    def between(cls, after: int, before: Crop, wanted: Crop) -> "Paint":
        """Return what has to be painted to make one mask of another."""
        return cls(after, Bits.of(wanted.minus(before)), Bits.of(before.minus(wanted)))

    def over(self, mask: Crop) -> Crop:
        """Return a mask painted over."""
        return mask.minus(self.off.crop).union(self.on.crop).tight()

    def as_dict(self) -> dict[str, Any]:
        """Return the painting as JSON has it."""
        return {"after": self.after, "on": self.on.as_dict(), "off": self.off.as_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Paint":
        """Return the painting that `as_dict` wrote; PromptError where it is none."""
        try:
            return cls(int(stored["after"]), Bits.from_dict(stored["on"]), Bits.from_dict(stored["off"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PromptError("A painting in the journal cannot be read.") from error


def painted(volume: Volume, mask: Crop, steps: Sequence[Step], paints: Sequence[Paint]) -> Crop:
    """Return a segmenter's mask with everything painted over it that clicks have not given back since.

    A negative click in what was painted on gives back the connected part there (26 neighbours), as far as it
    is nearer to that click than to any positive one in the part, or without such to its hottest voxel. A
    positive click in what was painted off gives back all of the connected part.

    Args:
        volume: the study's image.
        mask: the segmenter's answer to all steps.
        steps: the object's clicks.
        paints: in the order in which they were painted.
    """
    on = off = Crop.empty()
    inside: list[Index] = []
    for done in range(len(steps) + 1):
        for click in steps[done - 1] if done else ():
            if click.positive:
                inside.append(click.index)
                off = off.minus(_part_with(off, click.index))
            else:
                on = on.minus(_given_back(volume, _part_with(on, click.index), click.index, inside))
        for paint in paints:
            if paint.after == done:
                on = on.minus(paint.off.crop).union(paint.on.crop)
                off = off.minus(paint.on.crop).union(paint.off.crop)
    return mask.union(on).minus(off).tight()


def _part_with(mask: Crop, index: Index) -> Crop:
    """Return the connected part of a mask that holds a voxel; nothing where the mask does not hold it."""
    if not mask.contains(index):
        return Crop.empty()
    parts, _ = ndimage.label(mask.array, structure=_TOUCHING)
    return Crop(mask.start, parts == parts[tuple(np.subtract(index, mask.start))])


def _given_back(volume: Volume, part: Crop, against: Index, inside: Sequence[Index]) -> Crop:
    """Return the voxels of a painted part that a negative click takes away."""
    if not part.any():
        return part
    places = np.argwhere(part.array) + part.start
    kept = [index for index in inside if part.contains(index)]
    if not kept:
        values = np.nan_to_num(volume.array[tuple(places.T)], nan=-np.inf)
        kept = [tuple(places[int(np.argmax(values))].tolist())]
    to_kept = np.min([_squared_mm(volume, places, index) for index in kept], axis=0)
    array = np.zeros_like(part.array)
    array[part.array] = _squared_mm(volume, places, against) <= to_kept
    return Crop(part.start, array)


def _squared_mm(volume: Volume, places: NDArray[np.int64], index: Index) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = (((places - index) @ volume.affine[:3, :3].T) ** 2).sum(axis=1)
    return squared
