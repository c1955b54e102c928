"""The table that `segpet evaluate segmentation` prints."""

import sys
from pathlib import Path
from typing import Any

#: What a run may write: not each one has lesions that are clicked one by one, or leaves a case out.
_FILES = ("report.html", "summary.json", "cases.csv", "lesions.csv", "left_out.csv", "clicks/", "masks/")


def print_summary(summary: dict[str, Any], output: Path | None) -> None:
    """Print each method's means after each number of clicks, and what was written to a folder.

    Args:
        summary: as `lib.learning.results.Results.summary`.
        output: the folder; None where nothing was written.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from lib.learning.metrics import METRICS
    from lib.learning.results import methods_of
    from lib.learning.summary import seconds_title

    table = Table(
        box=box.SIMPLE,
        title=f"Mean over cases, 95 % interval ({_said(summary)})",
        title_justify="left",
        caption=_below(summary),
        caption_justify="left",
    )
    names = ("dice", "surface_dice", "lesion_f1", "fpv_ml", "fnv_ml")
    for head in (
        "method",
        "clicks",
        *(METRICS[name].short for name in names),
        seconds_title(summary["settings"]),
    ):
        table.add_column(head, justify="left" if head == "method" else "right")
    for method in methods_of(summary):
        for clicks, at in method["clicks"].items():
            means = [at[name] for name in names]
            seconds = "" if at["seconds"] is None else f"{at['seconds']:.2f}"
            table.add_row(method["weights"], clicks, *map(_cell, means), seconds)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)
    if output:
        files = [name for name in _FILES if (output / name).exists()]
        console.print(f"Written: {', '.join([str(output / files[0]), *files[1:]])}", markup=False)


def _said(summary: dict[str, Any]) -> str:
    settings = summary["settings"]
    return ", ".join(f"{title} {value}" for title, value in settings.items() if value is not None)


def _below(summary: dict[str, Any]) -> str:
    """Return what stands below the table: cases and those without a lesion, and how seeds met the lesions."""
    from lib.learning.results import counted_cases, methods_of

    lines = [f"Cases: {counted_cases(methods_of(summary))}."]
    if without := max(method["without_lesion"] for method in methods_of(summary)):
        lines.append(f"Cases without a lesion: {without}; they count where something is clicked or proposed.")
    if seeds := summary.get("seeds"):
        lines.append(
            f"Seeds, mean over cases: recall {_cell(seeds['recall'])}, false {_cell(seeds['false'])}; "
            f"{seeds['found']} of {seeds['lesions']} lesions have one."
        )
    return "\n".join(lines)


def _cell(mean: dict[str, Any]) -> str:
    if mean["mean"] is None:
        return "-"
    low, high = mean["ci95"]
    interval = "" if low is None else f" ({low:.2f} to {high:.2f})"
    return f"{mean['mean']:.3f}{interval}"
