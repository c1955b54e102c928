"""Progress bars on stderr."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def counted() -> "Progress":
    """Return a bar that counts what is done, and is gone in the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
