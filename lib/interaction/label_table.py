"""What other programs' names mean: a table from regions' names to labels."""

import csv
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lib.interaction.labels import is_lesion, says_lesion
from lib.interaction.prompts import BACKGROUND, PromptError

#: Rows of (pattern, label); the first that fits counts, and the label "" leaves a region out.
LabelTable = tuple[tuple[str, str], ...]


def read_label_table(path: Path, labels: Sequence[str]) -> LabelTable:
    """Read a CSV of name, label.

    A name may hold `*` and `?`, and its case does not matter: `GTV*,lesion`. A region whose row has no label
    is left out.

    Raises:
        PromptError: there is no such file, a line without two columns, or a label that is none in use.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PromptError(f"The table of names {path.name} cannot be read as CSV.") from error
    for row in rows:
        if len(row) != 2 or not row[0]:
            raise PromptError(f"Each line of {path.name} must hold a name and a label, as in GTV*,lesion.")
        if row[1] and (row[1] not in labels or row[1] == BACKGROUND):
            raise PromptError(
                f"'{row[1][:64]}' in {path.name} is no label in use ({', '.join(labels[1:])} are): correct "
                "it, or name further --labels."
            )
    return tuple((name.lower(), label) for name, label in rows)


def label_of(name: str, table: LabelTable, labels: Sequence[str]) -> str | None:
    """Return the label that a region's name means: "" to leave it out, None where nothing tells.

    Without a row that fits, a name that is a label in other writing ("Left kidney" for kidney_left) is that
    label, and one that says lesion ("GTV", "tumor 2") is the first label of a lesion.
    """
    for pattern, label in table:
        if fnmatchcase(name.lower(), pattern):
            return label
    words = sorted(re.findall(r"[^\W_]+", name.lower()))
    for label in labels[1:]:
        if sorted(re.findall(r"[^\W_]+", label.lower())) == words:
            return label
    if says_lesion(name):
        return next((label for label in labels[1:] if is_lesion(label)), None)
    return None
