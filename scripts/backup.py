"""`segpet backup` and `segpet restore`: what a team has made in one file, also while a server runs."""

from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, app
from scripts.doctor import folders_of
from scripts.outputs import check_output_file

Studies = Annotated[str, typer.Argument(help="The folder, or DICOMweb URL, that `segpet serve` serves.")]
State = Annotated[Path | None, typer.Option(help="Its state folder, where `serve` was given one.")]


@app.command()
def backup(
    studies: Studies,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file, ending in .tar.")],
    state: State = None,
) -> None:
    """Write labels with all versions, journals, impressions, weights and the rest of a store into one file.

    A server may run and be worked with meanwhile. Images are not in it: they are yours, and SegPET never
    changes them. The file holds patient data, readable by you alone. `segpet restore` puts it back.

    `segpet backup /data/pet -o pet-2026-11-26.tar`
    """
    from lib.store.backup import write_backup

    folder, place = folders_of(studies, state)
    if not place.is_dir():
        raise InputError(f"There is no state folder {place}: nothing was saved yet.")
    check_output_file(output, [place])
    if output.exists():
        raise InputError(f"{output} is there already: name another file, or move it away.")
    count = write_backup(place, None if folder.is_relative_to(place) else folder, output)
    typer.echo(f"{count} files, {output.stat().st_size / 1e6:.1f} MB in {output}.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="That `segpet backup` wrote.")],
    studies: Studies,
    state: Annotated[
        Path | None, typer.Option(help="Where the state folder is to be, if not beside the studies.")
    ] = None,
) -> None:
    """Put a backup back where there is no store: labels into STUDIES, the rest into the state folder.

    Nothing is overwritten: move an old state folder and an old `labels/` away first. The images must be in
    STUDIES again. What was put back is looked over as by `segpet doctor`.

    `segpet restore pet-2026-11-26.tar /data/pet`
    """
    from lib.store.backup import restore_backup
    from scripts.doctor import found_in

    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    folder, place = folders_of(studies, state, must_exist=False)
    count, listed = restore_backup(file, place, None if folder.is_relative_to(place) else folder)
    wrong = [one for one in found_in(folder, place) if not one.harmless]
    typer.echo(f"{count} files are back, labels in {folder}, the store in {place}.")
    if not listed:
        typer.echo(
            "Whether these are all is not known: the backup was made before backups listed their files.",
            err=True,
        )
    for one in wrong:
        typer.echo(f"!!  {one.path}\n    {one.what}", err=True)
    if wrong:
        typer.echo("`segpet doctor` says what can be done about it.", err=True)
        raise typer.Exit(1)
