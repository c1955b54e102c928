"""Whole-body phantoms as training scenes: lesions and organs among everything else a body holds."""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from lib.interaction.lattice import Lattice
from lib.learning.first_click import choose_click, region_offset
from lib.learning.textures import Field
from lib.pet.phantom import Phantom, make_phantom, phantoms_state
from lib.store.atomic import write_atomic

#: Tracers that take turns; another one is left out, so that it can tell how a new tracer would do.
TRACERS = ("FDG", "PSMA-11")
#: Organs that teams outline are targets more often than the rest (ribs, vertebrae, vessels ...).
OUTLINED = (
    "liver", "spleen", "kidney_left", "kidney_right", "heart", "aorta", "urinary_bladder", "brain",
    "prostate", "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
    "lung_middle_lobe_right", "lung_lower_lobe_right", "stomach", "pancreas", "parotid_gland_left",
    "parotid_gland_right",
)  # fmt: skip
#: Large ones, colder or less even than what is around them, take more practice.
_HARD = {"lung_": 6.0, "liver": 2.0, "heart": 2.0, "brain": 6.0}
_OTHERS = 0.1  # weight of any organ that is not outlined
_LESION_SHARE, _LARGE_LESION_SHARE = 0.5, 0.3  # of the targets, and of large ones; the rest are organs
_SMALLEST_ORGAN = 30  # voxels
_SHAPE = (112, 88, 230)
_LARGE_MM = (60.0, 120.0, 280.0)  # longest diameter of a lesion, in turns

#: A small lesion is at most so many voxels long: it fits into a cube of half the edge.
SMALL = 16
#: What is longer is a large target, which the engine may look at from farther away.
LARGE = 12

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class TrainingPhantom:
    """A phantom on the network's lattice.

    Args:
        image: float32 (R, A, S), SUV.
        organs: uint8, class of each voxel.
        lesions: uint8, 1 to n where the n lesions are.
        weights: (256,) how often an organ class is a target.
    """

    image: Field
    organs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    weights: NDArray[np.float64]

    @cached_property
    def lesion_boxes(self) -> dict[int, Box]:
        """The box of each lesion."""
        return _boxes(self.lesions)

    @cached_property
    def small_lesion_boxes(self) -> dict[int, Box]:
        """The boxes of the lesions that are at most SMALL voxels long along each axis."""
        return {number: box for number, box in self.lesion_boxes.items() if _length(box) <= SMALL}

    @cached_property
    def large_lesion_boxes(self) -> dict[int, Box]:
        """The boxes of the lesions that are longer than LARGE voxels along some axis."""
        return {number: box for number, box in self.lesion_boxes.items() if _length(box) > LARGE}

    @cached_property
    def organ_boxes(self) -> dict[int, Box]:
        """The box of each organ that can be a target."""
        sizes = np.bincount(self.organs.ravel(), minlength=256)
        wanted = (sizes >= _SMALLEST_ORGAN) & (self.weights > 0)
        return {number: box for number, box in _boxes(self.organs).items() if wanted[number]}

    @cached_property
    def large_organ_boxes(self) -> dict[int, Box]:
        """The boxes of the organs among them that are longer than LARGE voxels along some axis."""
        return {number: box for number, box in self.organ_boxes.items() if _length(box) > LARGE}


def phantom_scene(
    phantom: TrainingPhantom, side: int, random: np.random.Generator
) -> tuple[Field, NDArray[np.bool_], NDArray[np.int64]]:
    """Cut a cube about one lesion or organ; return SUVs, the target's mask, and the first click's voxel."""
    labels, number, click = _clicked(
        phantom, phantom.lesion_boxes, phantom.organ_boxes, _LESION_SHARE, random
    )
    wanted = side // 2 + region_offset(side, random)
    start = click - wanted
    return _cut(phantom.image, start, side), _cut(labels, start, side) == number, wanted


def wide_scene(
    phantom: TrainingPhantom, side: int, times: float, random: np.random.Generator
) -> tuple[Field, NDArray[np.bool_], NDArray[np.int64]]:
    """Cut a cube about a large target at so many times the voxel size, as `phantom_scene`.

    Voxels are interpolated as the engine does from a scanner's. The phantom must have a large organ.
    """
    labels, number, click = _clicked(
        phantom, phantom.large_lesion_boxes, phantom.large_organ_boxes, _LARGE_LESION_SHARE, random
    )
    wanted = side // 2 + region_offset(side, random)
    edge = round(times * side)
    start = click - np.floor((wanted + 0.5) * times).astype(np.int64)
    both = np.stack((_cut(phantom.image, start, edge), _cut(labels, start, edge) == number))
    image, share = F.interpolate(torch.from_numpy(both)[None], side, mode="trilinear")[0].numpy()
    mask: NDArray[np.bool_] = share > 0.5
    mask[tuple(wanted)] = True
    return image, mask, wanted


def _clicked(
    phantom: TrainingPhantom,
    lesions: dict[int, Box],
    organs: dict[int, Box],
    lesion_share: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], int, NDArray[np.int64]]:
    """Choose a lesion or an organ; return the labels that hold it, its number there, and a voxel of it."""
    labels, boxes = phantom.organs, organs
    if lesions and (random.random() < lesion_share or not organs):
        labels, boxes = phantom.lesions, lesions
        number = int(random.choice(list(boxes)))
    else:
        weights = phantom.weights[list(boxes)]
        number = int(random.choice(list(boxes), p=weights / weights.sum()))
    box = boxes[number]
    return labels, number, choose_click(labels[box] == number, random) + [part.start for part in box]


def magnified_scene(
    phantom: TrainingPhantom, side: int, random: np.random.Generator
) -> tuple[Field, NDArray[np.bool_], NDArray[np.int64]]:
    """Cut a cube of half the edge about a small lesion, at half the voxel size, as `phantom_scene`.

    The image is interpolated, as the engine does from a scanner's voxels; the mask keeps its volume. The
    phantom must have a small lesion.
    """
    boxes = phantom.small_lesion_boxes
    number = int(random.choice(list(boxes)))
    box = boxes[number]
    click = choose_click(phantom.lesions[box] == number, random) + [part.start for part in box]
    wanted = side // 2 + region_offset(side, random)
    start = 2 * click + random.integers(0, 2, 3) - wanted  # in half voxels
    coarse = start // 2 - 1
    offset = start - 2 * coarse
    where = tuple(slice(at, at + side) for at in offset)
    edge = side // 2 + 3
    voxels = torch.from_numpy(_cut(phantom.image, coarse, edge))[None, None]
    image: Field = F.interpolate(voxels, scale_factor=2, mode="trilinear")[0, 0].numpy()
    mask = _cut(phantom.lesions, coarse, edge) == number
    return image[where], mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)[where], wanted


def make_training_phantoms(count: int, spacing: float, folder: Path) -> list[TrainingPhantom]:
    """Draw whole bodies of several tracers, or read those that were drawn so before into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    end = f"{spacing:g}mm-{phantoms_state()}.npz"
    return [_kept_or_drawn(seed, spacing, folder / f"{seed}-{end}") for seed in range(count)]


def on_lattice(phantom: Phantom, spacing: float) -> TrainingPhantom:
    """Bring a phantom onto the lattice of a network of this spacing (mm)."""
    shape = Lattice(phantom.volume, spacing, 1).shape
    image = Lattice(phantom.volume, spacing, int(shape.max())).cut((0, 0, 0)).numpy()
    image = image[tuple(slice(0, n) for n in shape)]
    weights = np.zeros(256)
    for number, name in phantom.names.items():
        weights[number] = _organ_weight(name)
    lattice = Lattice(phantom.volume, spacing, 1)
    lesions = _nearest(phantom.lesions, lattice).astype(np.uint8)
    organs = np.where(lesions > 0, 0, _nearest(phantom.labels, lattice)).astype(np.uint8)
    return TrainingPhantom(np.ascontiguousarray(image), organs, lesions, weights)


def _kept_or_drawn(seed: int, spacing: float, file: Path) -> TrainingPhantom:
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            image = kept["image"].astype(np.float32)
            return TrainingPhantom(image, kept["organs"], kept["lesions"], kept["weights"])
    drawn = make_phantom(
        seed,
        _SHAPE,
        (spacing,) * 3,
        TRACERS[seed % len(TRACERS)],
        lesions=6 + seed % 5,
        largest_mm=_LARGE_MM[seed // len(TRACERS) % len(_LARGE_MM)],
    )
    body = on_lattice(drawn, spacing)
    content = io.BytesIO()
    np.savez(
        content,
        image=body.image.astype(np.float16),
        organs=body.organs,
        lesions=body.lesions,
        weights=body.weights,
    )
    write_atomic(file, content.getvalue())
    return _kept_or_drawn(seed, spacing, file)  # what a later run will read


def _organ_weight(name: str) -> float:
    if name not in OUTLINED:
        return _OTHERS
    return next((weight for start, weight in _HARD.items() if name.startswith(start)), 1.0)


def _length(box: Box) -> int:
    return max(part.stop - part.start for part in box)


def _boxes(labels: NDArray[np.uint8]) -> dict[int, Box]:
    return {number: box for number, box in enumerate(ndimage.find_objects(labels), start=1) if box}


def _cut(array: NDArray, start: NDArray[np.int64], side: int) -> NDArray:
    """Return the cube that begins at a voxel, zeros outside the array."""
    cube = np.zeros((side,) * 3, array.dtype)
    low, high = np.maximum(start, 0), np.minimum(start + side, array.shape)
    if (low < high).all():
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        cube[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return cube


def _nearest(labels: NDArray, lattice: Lattice) -> NDArray:
    """Return the label of the source voxel nearest to each voxel of the lattice (R, A, S)."""
    origin = lattice.from_source((0, 0, 0))
    steps = [lattice.from_source(unit) - origin for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    along = [int(np.argmax(np.abs(step))) for step in steps]  # each source axis's lattice axis
    places = [
        np.floor((np.arange(lattice.shape[axis]) - origin[axis]) / step[axis] + 0.5).astype(int)
        for axis, step in zip(along, steps, strict=True)
    ]
    inside = [np.clip(at, 0, size - 1) for at, size in zip(places, labels.shape, strict=True)]
    return np.ascontiguousarray(labels[np.ix_(*inside)].transpose(np.argsort(along)))
