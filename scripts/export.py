"""`segpet export`: your labels as DICOM, masks and numbers."""

from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, app
from scripts.outputs import check_output_folder


@app.command()
def export(
    studies: Annotated[Path, typer.Argument(help="Studies folder, as `serve --studies` has it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the cases; made where absent.")],
    images: Annotated[
        bool, typer.Option("--images", help="Write the images too: cases to evaluate and train on.")
    ] = False,
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify",
            help="Name the cases case-0001 and so on, and leave out DICOM, authors, times, names and UIDs. "
            "Which study is which case is kept in the state folder.",
        ),
    ] = False,
    unit: Annotated[
        str | None,
        typer.Option(help="What values are in files that do not say it: SUVbw or Bq/ml. Overrules no file."),
    ] = None,
    state: Annotated[Path | None, typer.Option(help="State folder, as of `serve`.")] = None,
) -> None:
    """Write the label that counts of each study: the final one, else the one furthest on.

    For each: PET_mask.nii.gz (each object its number), lesions.json (labels and numbers), and of a DICOM
    study segmentation.dcm (SEG), report.dcm (SR, TID 1500) and value_map.dcm (how stored values become SUV).

    `segpet export /data/pet -o shared/ --images --deidentify`
    """
    from rich.progress import track

    from apps.segpet.exporting import Exporter
    from infer_tasks.workspace import Workspace
    from lib.interaction import DEFAULT_LABELS
    from lib.store import open_state

    if not studies.is_dir():
        raise InputError(f"There is no folder {studies}.")
    if output.resolve().is_relative_to(studies.resolve()):
        raise InputError(
            "The output lies among the studies, where it would be taken for studies: name another."
        )
    check_output_folder(output)
    if unit is not None and unit not in ("SUVbw", "Bq/ml"):
        raise InputError("--unit must be SUVbw or Bq/ml.")
    workspace = Workspace(open_state(str(studies), state), DEFAULT_LABELS, unit)
    written = refused = 0
    for study, case, error in track(
        Exporter(workspace, studies, images, deidentify).run(output), "Exporting"
    ):
        written += error is None
        refused += error is not None
        typer.echo(f"{study}: not exported. {error}" if error else f"{output / case}", err=error is not None)
    if not written and not refused:
        raise InputError(f"No study of {studies} has a saved label yet.")
    if refused:
        raise typer.Exit(2)
