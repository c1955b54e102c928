"""Where a command's results go; checked before the work that makes them."""

import os
from collections.abc import Iterable
from pathlib import Path

from scripts import InputError


def check_output_file(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse a file that cannot be written, or that would overwrite what the command reads.

    Args:
        output: the file to be written.
        inputs: files and folders that the command reads; None where one was not given.

    Raises:
        InputError: one sentence that says why.
    """
    for path in filter(None, inputs):
        within = path.is_dir() and path.resolve() in output.resolve().parents
        if (within and output.exists()) or _is_same(output, path):
            raise InputError(f"The output would overwrite {path}, which is read: choose another name.")
    if output.is_dir():
        raise InputError(f"{output} is a folder: name a file.")
    if not output.parent.is_dir():
        raise InputError(f"There is no folder {output.parent}.")
    if not os.access(output.parent, os.W_OK | os.X_OK) or (
        output.exists() and not os.access(output, os.W_OK)
    ):
        raise InputError(f"Cannot write {output.name} in {output.parent.absolute()}: permission denied.")


def check_output_folder(output: Path) -> None:
    """Refuse a folder that can neither be made nor be written in.

    Raises:
        InputError: one sentence that says why.
    """
    there = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file: name a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write in {there}: permission denied.")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)  # links too
    except OSError:
        return one.resolve() == other.resolve()
