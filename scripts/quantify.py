"""`segpet quantify`: the numbers of the lesions in a mask, and of the patient."""

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError, Unit, app
from scripts.outputs import check_output_file
from scripts.reading import Frame, Series, read_image

if TYPE_CHECKING:
    from lib.pet import Crop, Volume
    from lib.pet.tracers import Tracer


#: A mask of which a larger share lies outside of the image is not the image's.
MOST_OUTSIDE = 0.5


class Instances(StrEnum):
    """What one lesion is."""

    auto = "auto"
    values = "values"
    parts = "parts"


@app.command()
def quantify(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD, or a folder with DICOM PET.")],
    mask: Annotated[Path, typer.Argument(help="NIfTI or NRRD with the lesions; 0 is none.")],
    unit: Unit = None,
    value: Annotated[
        list[int] | None,
        typer.Option(help="A value of the mask that is lesion. Repeat for more; all if not given."),
    ] = None,
    instances: Annotated[
        Instances,
        typer.Option(
            help="What one lesion is: each of the mask's values, each connected part of a value (by face, "
            "edge or corner), or auto: parts if there is one value, else values."
        ),
    ] = Instances.auto,
    organs: Annotated[
        Path | None,
        typer.Option(help="Organ map that names sites: TotalSegmentator's NIfTI or folder, or DICOM SEG."),
    ] = None,
    organ_names: Annotated[
        Path | None,
        typer.Option(help="CSV of number, name, for an organ map with other labels."),
    ] = None,
    tracer: Annotated[
        str | None, typer.Option(help="Such as FDG or PSMA-11; of DICOM the header's if not given.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the lesions, a line for each, as CSV.")
    ] = None,
    series: Series = None,
    frame: Frame = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure lesions: SUVmax, SUVmean, SUVpeak, MTV, TLG, diameter; and TMTV, TLG and Dmax of the patient.

    With an organ map, lesions get their site, and liver and aorta are measured (PERCIST; Deauville for FDG).

    `segpet quantify PET.nii.gz mask.nii.gz --unit SUVbw --organs totalsegmentator/`
    """
    from lib.pet.lesion_table import lesion_table
    from lib.pet.organs import read_organ_map
    from lib.pet.tracers import tracer_of

    if csv_file:
        check_output_file(csv_file, [image, mask, organs, organ_names])
    known_tracer = _tracer(tracer)
    volume = read_image(image, unit, series, frame)
    if tracer is None:
        known_tracer = tracer_of(volume)
    objects, warnings = _objects(mask, volume, value, instances.value)
    study = None if series else image  # of several series the one that is read by default is looked at
    organ_map = read_organ_map(organs, volume, organ_names, study) if organs else None
    lesions = {number: crop for number, (_, crop) in enumerate(objects, start=1)}
    result = lesion_table(volume, lesions, organ_map, known_tracer)
    for lesion, (in_mask, _) in zip(result["lesions"], objects, strict=True):
        lesion["value"] = in_mask
    result["warnings"] = warnings + result["warnings"]
    if csv_file:
        _write_csv(csv_file, result["lesions"])
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _print_tables(result)


def _tracer(name: str | None) -> "Tracer | None":
    from lib.pet.tracers import tracer_named, tracers

    found = tracer_named(name) if name is not None else None
    if name is not None and found is None:
        known = ", ".join(tracer.name for tracer in tracers())
        raise InputError(f"The tracer '{name[:64]}' is not known: use one of {known}.")
    return found


def _objects(
    path: Path, volume: "Volume", values: list[int] | None, instances: Any
) -> "tuple[list[tuple[int, Crop]], list[str]]":
    """Return the objects of a mask on the volume's grid, each with its value in the mask, and warnings."""
    import numpy as np

    from lib.pet import VolumeError, read_mask
    from lib.pet.components import objects_of
    from lib.pet.resample import nearest_labels, same_grid, share_outside

    try:
        mask, affine = read_mask(path)
    except VolumeError as error:  # of a file, which to its reader is an image
        raise InputError(str(error).replace("The image", "The mask")) from error
    warnings = []
    if not same_grid(mask.shape, affine, volume):
        outside = share_outside(mask, affine, volume)
        mask = nearest_labels(mask, affine, volume)
        if outside > MOST_OUTSIDE:
            raise InputError(
                f"{outside:.0%} of the mask lies outside of the image: it belongs to another study, or to "
                "another frame of reference."
            )
        warnings.append("The mask lies on another grid than the image; it was resampled (nearest neighbour).")
        if outside > 0:
            share = f"{100 * outside:.2g} %"
            warnings.append(f"{share} of the mask lies outside of the image and was not measured.")
    if values:
        there = sorted(set(np.unique(mask).tolist()) - {0})
        if missing := sorted(set(values) - set(there)):
            raise InputError(
                f"The mask does not hold the value {_listed(missing)}: "
                f"{f'it has {_listed(there)}' if there else 'it is empty'}."
            )
        mask = np.where(np.isin(mask, values), mask, 0).astype(mask.dtype)
    return objects_of(mask, instances), warnings


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:10])) + (" ..." if len(values) > 10 else "")


#: Column's head, key without and with SUV, decimals.
_COLUMNS = (
    ("max", "max", "suv_max", 2),
    ("mean", "mean", "suv_mean", 2),
    ("peak", "peak", "suv_peak", 2),
    ("SD", "sd", "suv_sd", 2),
    ("volume, ml", "volume_ml", "", 2),
    ("MTV, ml", "", "mtv_ml", 2),
    ("TLG, g", "", "tlg_g", 1),
    ("diameter, mm", "feret_mm", "feret_mm", 1),
)


def _print_tables(result: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from lib.report.phrases import PHRASES

    is_suv = result["unit"] == "SUVbw"
    levels = list(dict.fromkeys(name for lesion in result["lesions"] for name in lesion["thresholds_ml"]))
    columns = [(head, suv if is_suv else plain, digits) for head, plain, suv, digits in _COLUMNS]
    columns = [column for column in columns if column[1]]
    with_sites = result["references"] is not None
    unit = {"SUVbw": "SUV, g/ml", "Bq/ml": "Bq/ml"}.get(result["unit"], "unit unknown")
    table = Table(box=box.SIMPLE, title=f"Lesions ({unit})", title_justify="left")
    table.add_column("lesion", justify="right")
    for head, *_ in columns:
        table.add_column(head, justify="right")
    for level in levels:
        table.add_column(f"≥ {_level_text(level)}, ml", justify="right")
    if with_sites:
        table.add_column("site")
    for lesion in result["lesions"]:
        cells = [_cell(lesion[key], digits) for _, key, digits in columns]
        cells += [_cell(lesion["thresholds_ml"].get(level), 2) for level in levels]
        if with_sites:
            in_uptake = [PHRASES["en"].normal_uptake] if lesion.get("normal_uptake") else []
            cells.append(", ".join([lesion["site"], *in_uptake]))
        table.add_row(str(lesion["id"]), *cells)
    # Where nobody looks at a terminal, nothing is folded to its width.
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)
    console.print(_totals(result))
    for warning in result["warnings"]:
        console.print(warning, markup=False)


def _totals(result: dict[str, Any]) -> str:
    patient, references = result["patient"], result["references"]
    parts = [f"{patient['count']} lesion{'' if patient['count'] == 1 else 's'}"]
    if "tmtv_ml" in patient:
        parts += [f"TMTV {patient['tmtv_ml']:.2f} ml", f"total TLG {patient['total_tlg_g']:.1f} g"]
    else:
        parts.append(f"total volume {patient['volume_ml']:.2f} ml")
    if patient["dmax_mm"] is not None:
        parts.append(f"Dmax {patient['dmax_mm']:.1f} mm")
    if "deauville" in patient:
        parts.append(f"Deauville {patient['deauville']} by numbers")
    lines = ["Patient: " + ", ".join(parts)]
    for organ in ("liver", "aorta"):
        if references and references[organ]:
            mean, sd = references[organ]["mean"], references[organ]["sd"]
            lines.append(f"{organ.capitalize()}: mean {mean:.2f}, SD {sd:.2f}")
    if references and references["percist_limit"] is not None:
        lines.append(
            f"PERCIST: measurable from a peak of {references['percist_limit']:.2f} "
            f"({references['percist_organ']}; defined for SUL)"
        )
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _level_text(name: str) -> str:
    """Return a threshold's name for a table's head: "suv_2.5" as "SUV 2.5"."""
    kind, _, value = name.partition("_")
    return f"SUV {value}" if kind == "suv" else name.replace("_percent", " %")


def _write_csv(path: Path, lesions: list[dict[str, Any]]) -> None:
    """Write a line for each lesion; places become a column for each axis, thresholds one each."""
    rows = []
    for lesion in lesions:
        row: dict[str, Any] = {}
        for key, content in lesion.items():
            if key == "thresholds_ml":
                row |= {f"{name}_ml": volume for name, volume in content.items()}
            elif key in ("centroid", "centroid_mm"):
                axes = "ijk" if key == "centroid" else "xyz"
                row |= {f"{key}_{axis}": content and content[place] for place, axis in enumerate(axes)}
            else:
                row[key] = content
        rows.append(row)
    heads = list(dict.fromkeys(key for row in rows for key in row)) or ["id"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, heads)
        writer.writeheader()
        writer.writerows(rows)
