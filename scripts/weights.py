"""`segpet weights`: which weights there are, getting the official ones, verifying a file."""

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import Commands, InputError, app

if TYPE_CHECKING:
    from lib.network.inspection import WeightsReport
    from lib.network.registry import WeightsFile

weights = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Weights: list, get, verify, promote, roll back."
)
app.add_typer(weights, name="weights")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@weights.command("list")
def list_weights(
    studies: Annotated[
        Path | None, typer.Argument(help="A studies folder: list what was trained on its labels instead.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="State folder of these studies.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the weights that are here and the official ones that are not, and say which `serve` would take.

    With a studies folder: the versions that were trained on its labels, what they gained on the frozen
    studies, and which of them is the champion, that answers.

    Your folder is `~/.segpet/weights`, or the one that the variable SEGPET_WEIGHTS names. A file that you put
    there has a name, its own without the suffix, wherever a command takes `--model`.
    """
    from lib.network.registry import weights_folder

    if studies is not None:
        from scripts.weights_versions import list_versions

        list_versions(studies, state, as_json)
        return
    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("", "name", "where", "MB", "SHA-256", "what", box=box.SIMPLE)
    for row in rows:
        mark, size = ("*" if row["default"] else ""), row["size_bytes"]
        megabytes = f"{size / 1e6:.1f}" if size is not None else "-"
        digest = row["sha256"][:12] if row["sha256"] else "-"
        table.add_row(mark, row["name"], row["where"], megabytes, digest, row["description"])
    # Where nobody looks at a terminal, nothing is folded to its width.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    taken = next((row for row in rows if row["default"]), None)
    name = taken["name"] if taken else "nothing, there are no weights"
    stops = ", and stops there" if taken and not taken["fits"] else ""
    typer.echo(f"* what serve takes: {name}{stops}; --model says otherwise.")
    for licence in dict.fromkeys(row["licence"] for row in rows):
        names = ", ".join(row["name"] for row in rows if row["licence"] == licence)
        typer.echo(f"Licence of {names}: {licence}.")
    for source in dict.fromkeys(filter(None, (row["source"] for row in rows))):
        names = ", ".join(row["name"] for row in rows if row["source"] == source)
        typer.echo(f"Source of {names}: {source} on the Hugging Face hub.")
    typer.echo(f"Your folder: {weights_folder()}")


@weights.command()
def get(
    name: Annotated[str, typer.Argument(help="Such as seganypet-v2; `segpet weights list` shows all.")],
    as_json: AsJson = False,
) -> None:
    """Download official weights from the Hugging Face hub into your folder, and verify them.

    Their licence is on their model card: read it first. An interrupted download goes on where it ended.
    """
    from lib.network.registry import OFFICIAL, official_named

    official = official_named(name)
    if official is None:
        known = ", ".join(one.name for one in OFFICIAL)
        raise InputError(f"There are no official weights '{name[:64]}': there are {known}.")
    from lib.network.hub import get_weights

    typer.echo(f"{official.repository}, {official.file}. Licence: {official.licence}.", err=True)
    path, report = get_weights(official)
    _print(report, path, as_json)


@weights.command()
def verify(
    file: Annotated[str, typer.Argument(help="A file of weights, or the name of one in a folder.")],
    as_json: AsJson = False,
) -> None:
    """Load a file of weights with every check, without running what it may hold beside weights."""
    from apps.segpet.options import BUNDLED
    from lib.network.inspection import inspect_weights
    from lib.network.registry import resolve_weights

    path = resolve_weights(file, [BUNDLED])
    _print(inspect_weights(path), path, as_json)


def _rows() -> list[dict[str, Any]]:
    from apps.segpet.options import BUNDLED
    from lib.network.registry import OFFICIAL, default_weights, find_weights

    files, taken = find_weights([BUNDLED]), default_weights([BUNDLED])
    rows = [_row(found) | {"default": found == taken} for found in files]
    here = {found.official for found in files}
    for official in OFFICIAL:
        if official not in here:
            row: dict[str, Any] = dict.fromkeys(("name", "where", "path", "size_bytes", "sha256", "fits"))
            row |= {"description": official.description, "licence": official.licence, "default": False}
            row |= {"source": official.repository}
            rows.append(row | {"name": official.name, "where": "not here: segpet weights get"})
    return rows


def _row(found: "WeightsFile") -> dict[str, Any]:
    from lib.network.inspection import fits

    with found.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if found.official:
        description, licence = found.official.description, found.official.licence
    elif found.is_own:
        description, licence = "a file of yours", "not known here"
    else:
        description, licence = "comes with SegPET", "on its model card in docs/"
    if not (is_usable := fits(found.path)):
        description = f"cannot be used: segpet weights verify {found.name}"
    return {
        "name": found.official.name if found.official else found.name,
        "where": "your folder" if found.is_own else "bundled",
        "path": str(found.path),
        "size_bytes": found.path.stat().st_size,
        "sha256": digest,
        "fits": is_usable,
        "description": description,
        "licence": licence,
        "source": found.official.repository if found.official else None,
    }


def _print(report: "WeightsReport", path: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"path": str(path), **report.as_dict()}, indent=2))
        return
    types = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
    edge = report.image_size * report.spacing
    typer.echo(
        f"{path}\n"
        f"architecture  {report.architecture}, a cube of {report.image_size} voxels of {report.spacing:g} mm "
        f"({edge:g} mm)\n"
        f"tensors       {report.keys} ({types}), {report.parameters:,} values, all finite\n"
        f"size          {report.bytes:,} bytes\n"
        f"SHA-256       {report.sha256}"
    )
