"""SegPET's command line, one file a command.

A file `scripts/NAME.py` declares its command with `@app.command()` (a group with `app.add_typer`); that is
all, `scripts/__main__.py` finds it. What is heavy (torch, lib.network, MONAI Label) is imported inside the
command's function, so that `--help` stays fast.
"""

import errno
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

OURS = {"lib", "infer_tasks", "trainers", "apps", "scripts"}
#: A disk that is full or broken, or a limit on the size of files; the system does not say at which file.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


Unit = Annotated[
    str | None,
    typer.Option(
        help="What the values are: SUVbw, Bq/ml or unknown. A DICOM header, or a sidecar, that knows the way "
        "turns its values into it; else it overrules what the file says of itself, with a warning, and the "
        "values stay as they are."
    ),
]


class InputError(ValueError):
    """What was typed cannot be used; the message is one sentence that says why."""


def named_unit(text: str | None) -> str | None:
    """Return the unit that an option names, as SegPET spells it; InputError where it names none."""
    from lib.pet import UNITS
    from lib.pet.sidecar import unit_named

    unit = unit_named(text) if text else None
    if unit == "unknown" != text:
        raise InputError(f"The unit must be one of {', '.join(UNITS)}.")
    return unit


class Commands(TyperGroup):
    """Turns bad input into one sentence on stderr and exit status 2; our own faults keep their trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command named on the command line.

        Bad input is a ValueError class of our own packages, or a file that the system does not open or write.
        """
        try:
            return super().invoke(ctx)
        except ValueError as error:
            if type(error).__module__.partition(".")[0] not in OURS:
                raise
            typer.echo(str(error), err=True)
        except OSError as error:
            if error.filename is None and error.errno not in DISK:
                raise
            typer.echo(f"{error.filename or 'A file could not be written'}: {error.strerror}.", err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"segpet {version('segpet')}")
        raise typer.Exit


@app.callback()
def segpet(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Label PET by clicks: SegAnyPET as a MONAI Label app, with SUV numbers.

    Start with `segpet demo`. Every command explains itself: `segpet COMMAND --help`.
    """
