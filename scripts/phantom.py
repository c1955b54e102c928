"""`segpet phantom`: a digital patient as files."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError, app
from scripts.outputs import check_output_folder

if TYPE_CHECKING:
    from lib.pet import Phantom

_WIDTH_MM = 560.0  # across and from front to back, as scanners reconstruct it or a little less


class Extent(StrEnum):
    """How much of the body the field shows."""

    trunk = "trunk"
    thighs = "thighs"
    whole = "whole"


class Orientation(StrEnum):
    """How the image's axes lie."""

    straight = "straight"
    odd = "odd"


class Sex(StrEnum):
    """The patient's."""

    F = "F"
    M = "M"


class Arms(StrEnum):
    """Where the patient has them."""

    up = "up"
    down = "down"


_LENGTHS_MM = {Extent.trunk: 640.0, Extent.thighs: 1150.0, Extent.whole: 2100.0}


@app.command()
def phantom(
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder; made where absent.")],
    tracer: Annotated[str, typer.Option(help="FDG, PSMA, DOTATATE, or one of your own table.")] = "FDG",
    seed: Annotated[int, typer.Option(help="Another number is another patient.")] = 0,
    lesions: Annotated[int | None, typer.Option(help="How many; 3 to 8 if not given.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only lesions of this kind; repeat for more: sphere, irregular, lobulated, necrotic, "
            "cluster, bone, beside_bladder, beside_heart, beside_kidney."
        ),
    ] = None,
    largest: Annotated[
        float, typer.Option(help="Longest diameter of a lesion, mm; above 80 one lesion is that long.")
    ] = 80.0,
    voxel: Annotated[
        str,
        typer.Option(
            metavar="X,Y,Z",
            help="Size in mm to the left, to the back and up. Real ones: 4.07,4.07,3 and 1.65,1.65,1.65 "
            "(Siemens), 2.73,2.73,3.27 and 5.47,5.47,3.27 (GE), 4,4,4 (Philips).",
        ),
    ] = "4.07,4.07,3",
    shape: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", help="Numbers of voxels, instead of --extent.")
    ] = None,
    extent: Annotated[
        Extent, typer.Option(help="trunk: neck to pelvis; thighs: vertex to thighs; whole: all of the body.")
    ] = Extent.thighs,
    orientation: Annotated[
        Orientation, typer.Option(help="odd: axes in any order and direction, and a few degrees oblique.")
    ] = Orientation.straight,
    sex: Annotated[Sex | None, typer.Option(help="Drawn from the seed if not given.")] = None,
    height: Annotated[float | None, typer.Option(help="Of the patient, m; drawn if not given.")] = None,
    weight: Annotated[float | None, typer.Option(help="Of the patient, kg; drawn if not given.")] = None,
    arms: Annotated[Arms | None, typer.Option(help="Drawn if not given.")] = None,
    uptake: Annotated[
        Path | None,
        typer.Option(help="TOML with uptake tables of further tracers, as lib/pet/data/phantom_uptake.toml."),
    ] = None,
    dicom: Annotated[bool, typer.Option(help="Write a DICOM PET series too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw a digital patient whose lesions and organs are known, and write it as a study.

    Writes PET_image.nii.gz (SUVbw) with its sidecar, PET_mask.nii.gz (1: lesion), lesions.nii.gz (each lesion
    its number, the largest first), organs.nii.gz with labels.csv, phantom.json, and in dicom/ a PET series
    from whose header the same SUVs follow. The same options give the same bytes.

    `segpet phantom --tracer PSMA --seed 7 -o studies/psma-7`
    """
    from lib.pet import make_phantom
    from lib.pet.phantom.dicom_series import write_dicom
    from lib.pet.phantom.files import IMAGE, summary, write_nifti
    from lib.pet.phantom.lesions import LARGEST_MM

    check_output_folder(output)
    if (output / IMAGE).exists() or (output / "dicom").exists():
        raise InputError(f"{output.name} holds a study already; name another folder.")
    spacing = _three(voxel, "voxel size", float)
    numbers = _three(shape, "shape", int) if shape is not None else _shape(extent, spacing)
    made = make_phantom(
        seed,
        numbers,
        spacing,
        tracer,
        lesions=lesions,
        kinds=kind,
        largest_mm=largest,
        sex=sex.value if sex else None,
        height_m=height,
        weight_kg=weight,
        arms=arms.value if arms else None,
        orientation=orientation.value,
        uptake_table=uptake,
        begins=lambda: typer.echo("Drawing the patient ...", err=True),
    )
    if lesions != 0 and largest > LARGEST_MM and not any(one.kind == "giant" for one in made.findings):
        raise InputError(f"A lesion of {largest:g} mm found no room in this patient; ask for a shorter one.")
    output.mkdir(parents=True, exist_ok=True)
    typer.echo("Writing NIfTI ...", err=True)
    write_nifti(made, output, seed)
    if dicom:
        name = f"{made.uptake.tracer}-{seed}"
        with typer.progressbar(length=1, label="Writing DICOM", file=_stderr()) as bar:

            def progress(done: int, of: int) -> None:
                bar.length = of
                bar.update(1)

            write_dicom(made, output / "dicom", name, progress)
    found = {"folder": str(output), **summary(made, seed)}
    typer.echo(json.dumps(found, indent=2) if as_json else _as_text(found, made))


def _shape(extent: Extent, spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    size = (_WIDTH_MM, _WIDTH_MM, _LENGTHS_MM[extent])
    # max(0.1, NaN) is 0.1: what is no size gives some number here, and is refused with the field.
    i, j, k = (max(1, round(length / max(0.1, step))) for length, step in zip(size, spacing, strict=True))
    return i, j, k


def _three(text: str, what: str, number: type) -> tuple[Any, Any, Any]:
    try:
        x, y, z = (number(one) for one in text.split(","))
    except ValueError as error:
        raise InputError(f"'{text}' is no {what}: give three numbers as X,Y,Z.") from error
    return x, y, z


def _stderr() -> Any:
    import sys

    return sys.stderr


def _as_text(found: dict[str, Any], made: "Phantom") -> str:
    patient = made.patient
    size = " x ".join(map(str, made.volume.shape))
    lines = [
        f"{'Woman' if patient.sex == 'F' else 'Man'}, {patient.height_m:.2f} m, {patient.weight_kg:.0f} kg, "
        f"arms {patient.arms}; {found['tracer']}; {size} voxels, {found['organs']} organs and bones; "
        f"blur {made.fwhm_mm:.1f} mm, liver CV {100 * made.liver_cv:.0f} %"
    ]
    lines += [
        f"lesion {one.number}: {one.kind}{' (core not resolved)' if one.core_resolved is False else ''}, "
        f"{one.volume_ml:.2f} ml, SUV {one.suv:.1f}, {one.contrast:.1f} x background"
        f"{f', {one.image_contrast:.1f} x in the image' if one.image_contrast else ''}"
        f"{f', in {one.site}' if one.site else ''}"
        for one in made.findings
    ]
    return "\n".join([*lines, f"Written: {found['folder']}"])
