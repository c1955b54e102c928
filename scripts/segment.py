"""`segpet segment`: one image, some clicks, one mask."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, Unit, app
from scripts.chosen_weights import chosen_weights
from scripts.outputs import check_output_file
from scripts.reading import Frame, Series, read_image


class Method(StrEnum):
    """What turns the clicks into a mask."""

    segpet = "segpet"
    suv_region = "suv_region"


class Contour(StrEnum):
    """How `suv_region` finds the edge."""

    percent = "percent"
    fixed = "fixed"
    gradient = "gradient"


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD, or a folder with DICOM PET.")],
    point: Annotated[
        list[str], typer.Option(metavar="I,J,K", help="A voxel in the object, 0-based. Repeat for more.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The mask: .nii.gz, .nii or .nrrd.")],
    negative: Annotated[
        list[str] | None, typer.Option(metavar="I,J,K", help="A voxel outside of it. Repeat for more.")
    ] = None,
    label: Annotated[str, typer.Option(help="What the object is.")] = "lesion",
    method: Annotated[
        Method,
        typer.Option(help="segpet: the network; suv_region: region growing, which needs no weights."),
    ] = Method.segpet,
    model: Annotated[
        str | None, typer.Option(help="Weights: a file, or a name that `segpet weights list` shows.")
    ] = None,
    contour: Annotated[
        Contour | None,
        typer.Option(help="suv_region: share of the maximum (if not given), fixed value, or steepest edge."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="suv_region: per cent (41 if not given), or the fixed value (4.0).")
    ] = None,
    unit: Unit = None,
    device: Annotated[
        str | None, typer.Option(help="Where the network runs: cpu (if not given), cuda, cuda:1, mps.")
    ] = None,
    series: Series = None,
    frame: Frame = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment objects of one PET image from clicks, and measure them.

    Clicks that fall in one object correct it; a click elsewhere begins another object of the same label.

    `segpet segment PET.nii.gz --unit SUVbw --method suv_region --point 20,21,30 -o mask.nii.gz`
    """
    from lib.interaction import (
        Engine,
        NetworkSegmenter,
        RegionGrower,
        class_map,
        describe,
        read_labels,
        read_prompts,
    )
    from lib.network import load_network, usable_device
    from lib.pet import write_mask

    _check_options(method, model=model, device=device, contour=contour, threshold=threshold)
    labels = read_labels(label)
    if len(labels) != 2:
        raise InputError("One label is given at a time; segment again for another.")
    check_output_file(output, [image])
    if method is Method.suv_region:
        segmenter = RegionGrower((contour or Contour.percent).value, threshold)
    else:
        weights = chosen_weights(model, "name a file with --model, or use --method suv_region")
        segmenter = NetworkSegmenter(load_network(weights, usable_device(device or "cpu")))
    volume = read_image(image, unit, series, frame)
    background, name = labels
    clicks = {name: [_voxel(text) for text in point], background: [_voxel(text) for text in negative or []]}
    prompts = read_prompts(clicks, labels, volume.shape)

    engine = Engine(segmenter)
    update = engine.update(volume, (), prompts)
    write_mask(output, class_map(volume.shape, update.objects, update.masks, labels), volume.affine)
    result = describe(volume, update, engine)
    result["seconds"] = {stage: round(spent, 4) for stage, spent in update.seconds.items()}
    typer.echo(json.dumps({"mask": str(output), **result}, indent=2) if as_json else _as_text(result, output))


def _check_options(method: Method, **given: object) -> None:
    """Raise InputError for an option that would have no effect."""
    of_the_other = ("model", "device") if method is Method.suv_region else ("contour", "threshold")
    for name in of_the_other:
        if given[name] is not None:
            raise InputError(f"--{name} has no effect with --method {method.value}: leave it out.")
    if given["contour"] is Contour.gradient and given["threshold"] is not None:
        raise InputError("--threshold has no effect with --contour gradient: leave it out.")


def _voxel(text: str) -> list[int]:
    try:
        i, j, k = (int(number) for number in text.split(","))
    except ValueError as error:
        raise InputError(f"'{text}' is no voxel: give three whole numbers as I,J,K.") from error
    return [i, j, k]


def _as_text(result: dict, output: Path) -> str:
    prefix = "suv_" if result["unit"] == "SUVbw" else ""
    unit = {"SUVbw": "g/ml", "Bq/ml": "Bq/ml"}.get(result["unit"], "(unit unknown)")
    lines = [
        f"{obj['label']} {obj['id']}: {obj['volume_ml']:.2f} ml"
        + (
            f", max {maximum:.2f} {unit}, mean {obj[f'{prefix}mean']:.2f} {unit}"
            if maximum is not None
            else ""
        )
        for obj in result["objects"]
        for maximum in [obj[f"{prefix}max"]]
    ]
    return "\n".join([*lines, *result["warnings"], f"Written: {output}"])
