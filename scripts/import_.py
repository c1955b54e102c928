"""`segpet import`: outlines of other programs as labels of your studies."""

from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, app


@app.command("import")
def import_(
    studies: Annotated[Path, typer.Argument(help="Studies folder, as `serve --studies` has it.")],
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder with the outlines: for each study a file or a folder of the study's name."
        ),
    ],
    status: Annotated[
        str,
        typer.Option(
            help="draft: to be gone on from in the viewer. final: counts at once, and is trained on."
        ),
    ] = "draft",
    names: Annotated[
        Path | None,
        typer.Option(help="CSV of name, label: what regions' names mean (GTV*,lesion); no label leaves out."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Label of regions whose name tells nothing, such as the value 1.")
    ] = None,
    value_names: Annotated[
        Path | None, typer.Option(help="CSV of number, name: what the values of mask files are.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels in use, separated by commas; those of `serve`.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="State folder, as of `serve`.")] = None,
) -> None:
    """Take over what other programs outlined: RT Structure Sets, DICOM SEG, NIfTI and NRRD masks.

    Each region becomes an object of the study's label, on the PET's grid; masks on another grid are
    resampled. The label is a new version: nothing that was saved before is lost.

    `segpet import /data/pet contours/ --names names.csv --status final`
    """
    from rich.progress import track

    from apps.segpet.importing import Importer, ImportingError
    from infer_tasks.workspace import Workspace
    from lib.interaction import DEFAULT_LABELS, read_labels
    from lib.interaction.label_table import read_label_table
    from lib.store import open_state
    from lib.store.labels import STATUSES

    for folder in (studies, source):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.")
    if status not in STATUSES:
        raise InputError(f"The status must be one of {', '.join(STATUSES)}.")
    in_use = read_labels(labels) if labels else DEFAULT_LABELS
    if label is not None and label not in in_use[1:]:
        raise InputError(f"'{label[:64]}' is no label in use: name it among --labels.")
    table = read_label_table(names, in_use) if names else ()
    workspace = Workspace(open_state(str(studies), state), in_use)
    importer = Importer(workspace, studies, table, label, value_names)
    refused = 0
    for study, outcome in track(importer.run(source, status), "Importing"):
        if isinstance(outcome, ImportingError):
            refused += 1
            typer.echo(f"{study}: not imported. {outcome}", err=True)
        else:
            told = [
                ("left out", outcome.left_out),
                ("not kept, for others cover it", outcome.covered),
                ("kept but for what others cover", outcome.cut),
            ]
            notes = "".join(f", {what}: {', '.join(regions)}" for what, regions in told if regions)
            count = f"{outcome.objects} object{'' if outcome.objects == 1 else 's'}"
            typer.echo(f"{study}: {count}, version {outcome.version} ({status}){notes}")
            for doubt in outcome.doubts:
                typer.echo(f"{study}: {doubt}", err=True)
    if refused:
        raise typer.Exit(2)
