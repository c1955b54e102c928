"""`segpet agreement`: how well readers agree who labelled the same studies independently."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import InputError, app
from scripts.doctor import folders_of

if TYPE_CHECKING:
    from lib.learning.agreement import Agreement


@app.command()
def agreement(
    studies: Annotated[str, typer.Argument(help="The folder, or DICOMweb URL, that `segpet serve` serves.")],
    state: Annotated[Path | None, typer.Option(help="Its state folder, where `serve` was given one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all lesions as JSON.")] = False,
) -> None:
    """Compare independent readings of the same studies, lesion by lesion.

    Of each reader who began a study without anybody's label (`segpet serve --readers 2`), the newest version
    counts that is submitted or further. Lesions are matched one to one at an intersection over union of at
    least 0.1, as lesion F1 does. Neither reader is the truth: F1 and Dice are the same both ways.

    `segpet agreement /data/pet`
    """
    from lib.learning.agreement import agreements
    from lib.pet import VolumeError
    from lib.store import LabelVersions

    _, place = folders_of(studies, state)
    labels = LabelVersions(place / "labels") if place.is_dir() else None
    found: list[tuple[str, Agreement]] = []
    for study in labels.studies() if labels else []:
        try:
            found += [(study, one) for one in agreements(labels, study)] if labels else []
        except VolumeError as error:
            raise InputError(f"A reading of {study} cannot be read: {error} (`segpet doctor`)") from error
    if as_json:
        typer.echo(json.dumps([{"study": study, **one.as_dict()} for study, one in found], indent=2))
    elif found:
        _print(found)
    else:
        typer.echo("No study was read independently by two readers so far (`segpet serve --readers 2`).")


def _print(found: "list[tuple[str, Agreement]]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    heads = ("study", "readers", "both saw", "only the first", "only the second", "F1", "Dice", "TMTV, ml")
    table = Table(*heads, box=box.SIMPLE)
    for study, one in found:
        dice, f1 = ("-" if value is None else f"{value:.2f}" for value in (one.dice, one.f1))
        volumes = f"{one.tmtv_ml[0]:.1f}, {one.tmtv_ml[1]:.1f} ({one.tmtv_difference_ml:+.1f})"
        counts = [str(len(part)) for part in (one.matched, *one.only)]
        table.add_row(study, ", ".join(one.readers), *counts, f1, dice, volumes)
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    matched = [lesion for _, one in found for lesion in one.matched]
    lesions = 2 * len(matched) + sum(len(part) for _, one in found for part in one.only)
    if matched:
        dice = sum(lesion.dice for lesion in matched) / len(matched)
        typer.echo(
            f"Over {len(found)} pairs: F1 {2 * len(matched) / lesions:.2f}, Dice of the {len(matched)} "
            f"lesions that both saw {dice:.2f} on average."
        )
