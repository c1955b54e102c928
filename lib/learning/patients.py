"""Real patients as training scenes: a cropped tumour set into a larger body at a random place.

The crops end at a fixed distance from the tumour, so their box gives the tumour away. Each crop is therefore
trimmed at random, turned, scaled and shifted, and blended into tissue of the same level and noise.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from lib.learning.analytic import background_scene
from lib.learning.cases import Case, CaseError, check_suv, find_cases, read_case
from lib.learning.first_click import choose_click, region_offset
from lib.learning.textures import Field, smooth_field

#: A crop loses so much of each side, mm.
TRIM_MM = (5.0, 45.0)
#: The seam is blended over so much, of which so much lies outside the trimmed box, mm.
SEAM_MM, SEAM_OUTSIDE_MM = 15.0, 5.0
_QUIET_SUV = (0.1, 1.5)  # soft tissue without disease, air and organs left out
_CLEAR_MM = 15.0  # what is nearer to the tumour is not quiet tissue
_ENOUGH = 100  # voxels of quiet tissue; with fewer, level and noise are the typical ones
_TYPICAL = (0.5, 0.12)


@dataclass(frozen=True, eq=False)
class Patient:
    """A cropped study and its tumour.

    Args:
        name: of the case.
        values: (2, I, J, K) float32, SUV and mask (0 or 1).
        spacing: (3,) mm.
        level: SUV of quiet tissue.
        noise: its deviation from voxel to voxel.
    """

    name: str
    values: Tensor
    spacing: NDArray[np.float64]
    level: float
    noise: float

    @cached_property
    def extent_mm(self) -> float:
        """The tumour's length along the axis where it is longest."""
        (box,) = ndimage.find_objects((self.values[1] > 0.5).numpy().astype(np.uint8))
        lengths = [(part.stop - part.start) * step for part, step in zip(box, self.spacing, strict=True)]
        return float(max(lengths))


def read_patients(folder: Path) -> list[Patient]:
    """Read the cases of a folder (see `lib.learning.cases.find_cases`), in the order of their names.

    Raises:
        CaseError: no case, one without a tumour, or one whose values are no SUV.
        VolumeError: an image that cannot be read.
    """
    return [as_patient(read_case(files)) for files in find_cases(folder)]


def as_patient(case: Case) -> Patient:
    """Return a case as the scenes need it; all that is outlined is one target.

    Raises:
        CaseError: nothing is outlined, or the values are no SUV.
    """
    check_suv(case.name, case.volume)
    if not case.objects:
        raise CaseError(f"Nothing is outlined in {case.name}: leave it out.")
    image, spacing = np.nan_to_num(case.volume.array), np.array(case.volume.spacing)
    mask = case.truth.to_grid(case.volume.shape)
    clear = ndimage.distance_transform_edt(~mask, sampling=spacing) > _CLEAR_MM
    quiet = clear & (image > _QUIET_SUV[0]) & (image < _QUIET_SUV[1])
    level, noise = _TYPICAL
    if quiet.sum() >= _ENOUGH:
        level = float(np.median(image[quiet]))
        detail = image - ndimage.gaussian_filter(image, 1.5)
        noise = 1.4826 * float(np.median(np.abs(detail[quiet])))
    values = torch.from_numpy(np.ascontiguousarray(np.stack((image, mask)), dtype=np.float32))
    return Patient(case.name, values, spacing, level, noise)


def patient_scene(
    patient: Patient, side: int, spacing: float, random: np.random.Generator
) -> tuple[Field, NDArray[np.bool_], NDArray[np.int64]]:
    """Set a patient's crop into a cube (side^3); return SUVs, mask, and first click."""
    size = np.array(patient.values.shape[1:]) * patient.spacing
    trim = random.uniform(*TRIM_MM, (2, 3))
    low, high = trim[0], size - trim[1]
    mask = patient.values[1].numpy() > 0.5
    click_mm = (choose_click(mask, random) + 0.5) * patient.spacing

    wanted = side // 2 + region_offset(side, random)
    matrix = _turn_and_zoom(random)
    # A voxel's place in the crop (mm from its corner); the click lies somewhere in its voxel.
    offset = click_mm - matrix @ ((wanted + random.uniform(-0.4, 0.4, 3)) * spacing)
    places = _grid(side) * spacing @ matrix.T + offset
    grid = torch.from_numpy(
        (2 * places / size - 1)[..., ::-1].astype(np.float32)
    )  # grid_sample wants K, J, I
    values = F.grid_sample(
        patient.values[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0].numpy()

    depth = np.minimum(places - low, high - places).min(axis=-1)
    share = np.clip((depth + SEAM_OUTSIDE_MM) / SEAM_MM, 0, 1).astype(np.float32)
    image, target = values[0], values[1]
    background = background_scene(side, spacing, patient.level, patient.noise, random)
    image = share * image + (1 - share) * background
    target = np.where(share > 0, target, 0)
    return image, _outlined(target, wanted, random), wanted


def _turn_and_zoom(random: np.random.Generator) -> NDArray[np.float64]:
    """Draw a matrix (3, 3): axes reordered and flipped, turned a little, scaled."""
    matrix = np.eye(3)[random.permutation(3)] * random.choice((-1.0, 1.0), 3)
    if random.random() < 0.5:
        matrix = Rotation.from_rotvec(random.uniform(-0.3, 0.3, 3)).as_matrix() @ matrix
    if random.random() < 0.6:
        matrix = matrix * np.exp(random.uniform(np.log(0.75), np.log(1.4)))
    return matrix


def _outlined(
    target: NDArray[np.float32], click: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the mask, in one of five scenes as another reader would have drawn it, a few mm in or out.

    Such a target cannot be told from the image: it teaches to follow the clicks.
    """
    mask = target > 0.5
    if random.random() < 0.2:
        soft = ndimage.gaussian_filter(target, 1.5, truncate=2.5)
        sigma = float(random.choice((2.5, 6.0)))
        other = soft > 0.5 + random.uniform(-0.15, 0.15) + 0.15 * smooth_field(len(target), sigma, random)
        if other[tuple(click)]:
            return other
    mask[tuple(click)] = True
    return mask


def _grid(side: int) -> NDArray[np.float64]:
    """Return voxel indices (side, side, side, 3)."""
    return np.stack(np.meshgrid(*[np.arange(side, dtype=float)] * 3, indexing="ij"), axis=-1)
