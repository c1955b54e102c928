"""Training scenes: cubes with a target and the first click, each drawn from a seed and its number.

A third of them come from real patients, the others are synthetic: drawn from formulas, or cut from whole-body
phantoms. A scene depends on nothing but seed and number, so an interrupted training goes on as if it had not
been.
"""

import zlib
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils.data import Dataset

from lib.learning.analytic import KINDS, analytic_scene
from lib.learning.bodies import TrainingPhantom, magnified_scene, phantom_scene, wide_scene
from lib.learning.patients import Patient, patient_scene
from lib.learning.textures import Field, noise_field, smooth_field

#: Share of scenes of each origin: patients, formulas, phantoms.
SHARES = (0.35, 0.15, 0.5)
#: Share of scenes as a second look sees them, and of each origin among them.
FINE_SHARE = 0.3
FINE_SHARES = (0.15, 0.4, 0.45)
#: Patients whose tumour is at most so long are seen so.
_SMALL_TUMOUR_MM = 70.0
_SMALL_KINDS = ("lesion",)
#: Share of scenes as looks from farther away see them, each such spacing as often as another.
WIDE_SHARE = 0.25
#: What of formulas and patients is seen so: others are looked at closely.
_LARGE_KINDS = ("mass", "organ", "tube")
_LARGE_TUMOUR_MM = 50.0
#: Share of the phantoms' scenes that lie as the engine's lattice does, R, A, S, but for left and right.
UPRIGHT_SHARE = 0.7

Drawn = tuple[Field, NDArray[np.bool_], NDArray[np.int64]]


class Scene(TypedDict):
    """What the network is trained on. S is the cube's side.

    image: (1, S, S, S) float32, SUV. target: (1, S, S, S) float32, 0 or 1. point: (1, 3) float32, voxel of
    the first positive click. previous: (1, S, S, S) float32, logits that a neighbouring region hands over.
    """

    image: Tensor
    target: Tensor
    point: Tensor
    previous: Tensor


@dataclass(frozen=True, eq=False)
class Scenes(Dataset[Scene]):
    """Endless scenes: `scenes[number]` is drawn from (seed, number).

    Args:
        patients: real cases; may be empty.
        phantoms: whole bodies; may be empty.
        side: of the cube, voxels.
        spacing: mm.
        seed: of all scenes.
        fine_spacing: mm, of scenes with a small target as a second look sees them; 0: there are none.
        wide_spacings: mm, of scenes with a large target as looks from farther away see them.
    """

    patients: list[Patient]
    phantoms: list[TrainingPhantom]
    side: int
    spacing: float
    seed: int
    fine_spacing: float = 0.0
    wide_spacings: tuple[float, ...] = ()

    def __getitem__(self, number: int) -> Scene:
        random = np.random.default_rng((self.seed, number))
        spacing, part = self.spacing, random.random()
        if self.fine_spacing and part < FINE_SHARE:
            spacing = self.fine_spacing
        elif self.wide_spacings and part > 1 - WIDE_SHARE:
            spacing = float(random.choice(self.wide_spacings))
        upright, (image, target, click) = self._draw(spacing, random)
        image = _augmented(image, spacing, random)
        previous = np.zeros_like(image)
        if target.sum() > 0.02 * target.size and random.random() < 0.3:
            previous = _handed_over(target, random)
        turned = random.permutation(3), random.choice((-1, 1), 3)
        if upright:
            turned = np.arange(3), np.array((turned[1][0], 1, 1))
        cubes = [torch.from_numpy(_turned(cube, *turned))[None] for cube in (image, target, previous)]
        point = torch.from_numpy(_turned_point(click, *turned, self.side).astype(np.float32))[None]
        return {"image": cubes[0], "target": cubes[1].float(), "previous": cubes[2], "point": point}

    @property
    def sources(self) -> list[str]:
        """What the scenes are drawn from, patients with a checksum of their values."""
        sums = [f"{zlib.crc32(patient.values.numpy().tobytes()):08x}" for patient in self.patients]
        named = [f"{patient.name} {check}" for patient, check in zip(self.patients, sums, strict=True)]
        return [*named, f"{len(self.phantoms)} phantoms"]

    def _draw(self, spacing: float, random: np.random.Generator) -> tuple[bool, Drawn]:
        """Draw a scene as a look at this spacing sees it, and say whether it lies as the lattice does."""
        fine, wide = spacing == self.fine_spacing, spacing in self.wide_spacings
        patients, phantoms = self.patients, self.phantoms
        if fine:
            patients = [patient for patient in patients if patient.extent_mm <= _SMALL_TUMOUR_MM]
            phantoms = [phantom for phantom in phantoms if phantom.small_lesion_boxes]
        elif wide:
            patients = [patient for patient in patients if patient.extent_mm > _LARGE_TUMOUR_MM]
            phantoms = [phantom for phantom in phantoms if phantom.large_organ_boxes]
        shares = np.array(FINE_SHARES if fine else SHARES) * (bool(patients), True, bool(phantoms))
        origin = random.choice(3, p=shares / shares.sum())
        if origin == 0:
            patient = patients[random.integers(len(patients))]
            return False, patient_scene(patient, self.side, spacing, random)
        if origin == 1:
            kinds = _SMALL_KINDS if fine else _LARGE_KINDS if wide else tuple(KINDS)
            image, target, click = analytic_scene(self.side, spacing, random, kinds)
            if fine and random.random() < 0.5:
                image = _seen_coarsely(image)
            return False, (image, target, click)
        phantom = phantoms[random.integers(len(phantoms))]
        upright = bool(random.random() < UPRIGHT_SHARE)
        if fine:
            return upright, magnified_scene(phantom, self.side, random)
        if wide:
            return upright, wide_scene(phantom, self.side, spacing / self.spacing, random)
        return upright, phantom_scene(phantom, self.side, random)


def _seen_coarsely(image: Field) -> Field:
    """Return an image as one whose voxels are twice as large looks when it is interpolated."""
    coarse = F.avg_pool3d(torch.from_numpy(image)[None, None], 2)
    seen: Field = F.interpolate(coarse, scale_factor=2, mode="trilinear")[0, 0].numpy()
    return seen


def _augmented(image: Field, spacing: float, random: np.random.Generator) -> Field:
    """Vary what differs from scanner to scanner: the scale of SUV, sharpness, noise."""
    image = image * np.float32(np.exp(np.clip(random.normal(0, 0.5), np.log(0.3), np.log(3.0))))
    if random.random() < 0.25:
        image = gaussian_filter(image, random.uniform(1.2, 4.0) / spacing, truncate=3)
    if random.random() < 0.35:
        spread = random.uniform(0.02, 0.2) * np.sqrt(np.maximum(image, 0.02))
        noise = spread * noise_field(len(image), spacing, random)
        image = (image + noise).astype(np.float32)
    return np.maximum(image, np.float32(0))


def _handed_over(target: NDArray[np.bool_], random: np.random.Generator) -> Field:
    """Return logits as a region has them that an object grew into: right in one half, unknown (0) beyond."""
    side = len(target)
    soft = gaussian_filter(target.astype(np.float32), 1.0, truncate=2) - 0.5
    soft += 0.15 * smooth_field(side, 2.5, random)
    logits: Field = 12 * soft
    known = int(side * random.uniform(0.35, 0.6))
    axis = int(random.integers(3))
    beyond = slice(known, None) if random.random() < 0.5 else slice(None, side - known)
    logits[(slice(None),) * axis + (beyond,)] = 0
    return logits


def _turned(cube: NDArray, order: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray:
    turned = cube.transpose(order)[:: steps[0], :: steps[1], :: steps[2]]
    return np.ascontiguousarray(turned)


def _turned_point(
    point: NDArray[np.int64], order: NDArray[np.int64], steps: NDArray[np.int64], side: int
) -> NDArray[np.int64]:
    turned = point[order]
    return np.where(steps > 0, turned, side - 1 - turned)
