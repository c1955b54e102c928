"""A digital patient from a seed: body, tracer, lesions, scanner."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lib.pet.phantom.abdomen import abdomen
from lib.pet.phantom.acquisition import FWHM_MM, LIVER_CV, acquire
from lib.pet.phantom.canvas import Canvas, Grid
from lib.pet.phantom.chest import chest
from lib.pet.phantom.classes import CLASSES, LESION_CLASS, NUMBERS
from lib.pet.phantom.field import Orientation, check_field, field_grid, tilted
from lib.pet.phantom.head import head
from lib.pet.phantom.lesions import KINDS, LARGEST_MM, SMALLEST_MM, Lesion, paint_lesions
from lib.pet.phantom.outline import outline
from lib.pet.phantom.parts import Patient, Variation
from lib.pet.phantom.shown import as_shown
from lib.pet.phantom.skeleton import skeleton
from lib.pet.phantom.uptake import Uptake, uptake_of
from lib.pet.volume import Volume, VolumeError

DEFAULT_SHAPE = (96, 96, 160)
DEFAULT_SPACING = (4.0, 4.0, 4.0)
_STANDARD_MM = 1750.0
_LESIONS = (3, 8)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A PET image and its truth.

    Args:
        volume: the image, unit "SUVbw".
        labels: uint8 [i, j, k], class of each voxel; 0 is everything else.
        names: class -> name, of those in `labels`, and "lesion" always. A class has the same number in
            every phantom.
        lesions: uint16 [i, j, k], 1 to n where the n lesions are, the largest first; they are of class
            "lesion".
        organs: uint8 [i, j, k], class of what was there before the lesions were.
        findings: the n lesions.
        patient: who it is.
        uptake: the tracer's table.
        fwhm_mm: the blur.
        liver_cv: standard deviation over mean in the liver more than 10 mm from its surface.
    """

    volume: Volume
    labels: NDArray[np.uint8]
    names: dict[int, str]
    lesions: NDArray[np.uint16]
    organs: NDArray[np.uint8]
    findings: tuple[Lesion, ...]
    patient: Patient
    uptake: Uptake
    fwhm_mm: float
    liver_cv: float


def make_phantom(
    seed: int,
    shape: tuple[int, int, int] | None = None,
    spacing: tuple[float, float, float] | None = None,
    tracer: str = "FDG",
    *,
    lesions: int | None = None,
    kinds: Sequence[str] | None = None,
    largest_mm: float = LARGEST_MM,
    sex: Literal["F", "M"] | None = None,
    height_m: float | None = None,
    weight_kg: float | None = None,
    arms: Literal["up", "down"] | None = None,
    orientation: Orientation = "straight",
    uptake_table: Path | None = None,
    begins: Callable[[], None] = lambda: None,
) -> Phantom:
    """Draw a patient with lesions, as a scanner would show them.

    The body has its true size: the field shows as much of it as it has millimetres, with the trunk in its
    middle or, if it is long, from the vertex down. What is not asked for is drawn from the seed: the same
    arguments give the same bytes, and another tracer shows the same body.

    Args:
        seed: of every random choice; 0 to 2^63 - 1.
        shape: voxels to the left, to posterior, and up: 96 x 96 x 160 if not given.
        spacing: mm between voxel centres in that order: 4 if not given.
        tracer: a table of `data/phantom_uptake.toml`, or of `uptake_table`.
        lesions: how many; 3 to 8 if not given.
        kinds: which of `KINDS` may occur; all if not given.
        largest_mm: the longest diameter of a lesion; above 80 mm the first lesion is as long as that,
            where it finds room.
        sex: "F" or "M".
        height_m: 1.2 to 2.2.
        weight_kg: with a body mass index of 14 to 50.
        arms: "up" or "down".
        orientation: "odd" turns the field by a few degrees, and puts the axes i, j, k in any order and
            direction.
        uptake_table: a file with further tracers.
        begins: called when all arguments are found to be in range, and drawing begins.

    Raises:
        VolumeError: an argument out of range, or too little room for the lesions.
        UptakeError: no table for the tracer, or a file that holds none.
    """
    uptake = uptake_of(tracer, uptake_table)
    chosen = _checked_kinds(kinds)
    if not 0 <= seed < 1 << 63:  # headers have no room for longer ones
        raise VolumeError("A phantom's seed must be 0 or more, and below 2^63.")
    if lesions is not None and not 0 <= lesions <= 500:
        raise VolumeError("A phantom can have 0 to 500 lesions.")
    if not SMALLEST_MM <= largest_mm <= 400:
        raise VolumeError(f"The longest lesion must be {SMALLEST_MM:g} to 400 mm long.")
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
    of_patient, of_body, of_uptake, of_lesions, of_scan = streams
    shape, spacing = shape or DEFAULT_SHAPE, spacing or DEFAULT_SPACING
    check_field(shape, spacing)
    patient = _patient(of_patient, shape[0] * spacing[0], sex, height_m, weight_kg, arms)
    grid = field_grid(shape, spacing, 1000 * patient.height_m, patient.arms)
    if orientation == "odd":
        grid = tilted(grid, of_scan)

    begins()
    levels = uptake.draw(of_uptake)
    canvas = _paint_body(grid, patient, levels, of_body)
    count = int(of_lesions.integers(_LESIONS[0], _LESIONS[1] + 1)) if lesions is None else lesions
    organs = canvas.labels.copy()
    instances, findings = paint_lesions(canvas, of_lesions, count, chosen, largest_mm, levels["blood"])

    fwhm, cv = float(of_scan.uniform(*FWHM_MM)), float(of_scan.uniform(*LIVER_CV))
    image = acquire(
        canvas.activity,
        canvas.labels == NUMBERS["liver"],
        grid.spacing[::-1],
        fwhm,
        cv,
        uptake.mean_sd("liver")[0],
        of_scan,
    )
    findings = as_shown(findings, instances, image, canvas.activity > 0, grid.spacing[::-1], fwhm)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    present = np.flatnonzero(np.bincount(canvas.labels.ravel(), minlength=LESION_CLASS + 1))
    names = {int(number): CLASSES[int(number)] for number in present if number}
    names[LESION_CLASS] = CLASSES[LESION_CLASS]
    volume = Volume(image.T, to_ras @ grid.affine, "SUVbw")
    return Phantom(volume, canvas.labels.T, names, instances.T, organs.T, findings, patient, uptake, fwhm, cv)


def _paint_body(
    grid: Grid,
    patient: Patient,
    levels: Mapping[str, float],
    of_body: np.random.Generator,
) -> Canvas:
    vary = Variation(of_body)
    length = 1000 * patient.height_m / _STANDARD_MM
    scale = np.array([vary.size(0.03) * length**0.7, vary.size(0.03) * length**0.7, length])
    canvas = Canvas(grid, scale)
    for region in (outline, skeleton, chest, head, abdomen):
        for part in region(patient, vary):
            label = None if part.organ is None else NUMBERS.get(part.organ, 0)
            canvas.paint(part.shape, levels[part.tissue] * part.factor, label)
    return canvas


def _patient(
    random: np.random.Generator,
    width_mm: float,
    sex: Literal["F", "M"] | None,
    height_m: float | None,
    weight_kg: float | None,
    arms: Literal["up", "down"] | None,
) -> Patient:
    """Draw what is not given; heights and body mass indices as adults in Europe have them."""
    woman, deviate, index, lifted = random.random() < 0.5, random.normal(), random.normal(), random.random()
    drawn: Literal["F", "M"] = sex or ("F" if woman else "M")
    if drawn not in ("F", "M"):
        raise VolumeError("A phantom's sex must be F or M.")
    middle, spread = (1.63, 0.065) if drawn == "F" else (1.76, 0.07)
    height = height_m
    if height is None:
        height = float(np.clip(middle + spread * deviate, middle - 2.2 * spread, middle + 2.2 * spread))
    if not 1.2 <= height <= 2.2:
        raise VolumeError("A phantom's height must be 1.2 to 2.2 m.")
    weight = weight_kg
    if weight is None:
        weight = float(np.clip(np.exp(3.25 + 0.17 * index), 17, 42)) * height**2
    if not 14 <= weight / height**2 <= 50:
        raise VolumeError(
            f"A phantom's weight must fit its height: {14 * height**2:.1f} to {50 * height**2:.1f} kg at "
            f"{height:.2f} m, a body mass index of 14 to 50 kg/m2."
        )
    # Arms beside the trunk need a field as wide as scanners have it.
    posture: Literal["up", "down"] = arms or ("down" if width_mm >= 480 and lifted < 0.4 else "up")
    if posture not in ("up", "down"):
        raise VolumeError("A phantom's arms must be up or down.")
    return Patient(drawn, height, weight, posture)


def _checked_kinds(kinds: Sequence[str] | None) -> list[str]:
    chosen = list(KINDS if kinds is None else kinds)
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown or not chosen:
        raise VolumeError(f"Lesions are of the kinds {', '.join(KINDS)}; name one of them or more.")
    return chosen
