"""Images as the command line reads them: which series and frame of a DICOM folder, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import InputError

if TYPE_CHECKING:
    from lib.pet import Volume

Series = Annotated[
    str | None,
    typer.Option(help="Of a DICOM folder with several series, which: its place, from 0, or its UID."),
]
Frame = Annotated[int | None, typer.Option(help="Of a dynamic or gated series, which frame, from 0.")]


def read_image(path: Path, unit: str | None, series: str | None, frame: int | None) -> "Volume":
    """Read an image; where there was something to choose, what was chosen and why is said on stderr.

    Raises:
        InputError: a series or frame of an image that is no DICOM folder.
        VolumeError: as `lib.pet.read_volume`.
    """
    from lib.pet import read_volume

    if not path.is_dir() and not (series is None and frame is None):
        raise InputError("--series and --frame are for DICOM folders: leave them out.")
    wanted = int(series) if series is not None and series.isdecimal() else series
    volume = read_volume(path, unit, wanted, frame)
    if volume.preflight and volume.preflight.choice:
        typer.echo(volume.preflight.choice, err=True)
    return volume
