"""Cases that `segpet evaluate segmentation` leaves out: told by number, named in a file alone."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lib.learning.results import Results

_FILE = "left_out.csv"


class LeftOut:
    """Names the cases that were left out, in `left_out.csv`: a case's name may say who the patient is.

    Args:
        results: of the run, which has its folder.
        folder: where the file goes, in place of an earlier run's; None: nowhere.
    """

    def __init__(self, results: "Results", folder: Path | None) -> None:
        self._results, self._file = results, folder / _FILE if folder else None
        if self._file:
            self._file.unlink(missing_ok=True)

    def add(self, number: int, name: str, reason: str) -> str:
        """Leave a case out; returns the sentence that says so, without its name."""
        self._results.leave_out(number, name, reason)
        self._write(str(number), name, reason)
        told = f"Case {number} was left out: {self._results.left_out[-1]['reason']}"
        return f"{told} ({self._which()})"

    def without_mask(self, studies: Path, mask: str) -> None:
        """Say which folders have an image and no mask of that name: it may have been mistyped."""
        images = sorted(studies.glob("*/PET_image.nii.gz"))
        names = [image.parent.name for image in images if not (image.parent / mask).is_file()]
        for name in names:
            self._write("", name, f"There is no {mask} in its folder.")
        if names:
            count = "1 folder has" if len(names) == 1 else f"{len(names)} folders have"
            typer.echo(f"{count} an image and no {mask}, left out ({self._which()}).", err=True)

    def _which(self) -> str:
        return f"{_FILE} says which" if self._file else f"with --output {_FILE} says which"

    def _write(self, number: str, name: str, reason: str) -> None:
        if not self._file:
            return
        new = not self._file.exists()
        with self._file.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerows([("number", "case", "reason")] * new + [(number, name, reason)])
