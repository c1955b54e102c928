"""What a look over the store finds, and where what is repaired goes."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lib.store.state import make_private

#: In the state folder: what a repair has moved aside.
QUARANTINE = "quarantine"


class Aside:
    """Where a repair puts what it takes away: `quarantine/TIME/` in the state folder, under its own path.

    Args:
        state: the state folder.
        studies: the studies folder; what is from there goes below `studies/`.
    """

    def __init__(self, state: Path, studies: Path) -> None:
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self.state, self.studies, self.folder = state, studies, state / QUARANTINE / time

    def move(self, path: Path) -> None:
        """Move a file or folder aside."""
        shutil.move(path, self._place(path))

    def copy(self, path: Path) -> None:
        """Copy a file aside, before it is changed."""
        shutil.copy2(path, self._place(path))

    def _place(self, path: Path) -> Path:
        ours = path.is_relative_to(self.state)
        within = path.relative_to(self.state) if ours else "studies" / path.relative_to(self.studies)
        place = self.folder / within
        make_private(place.parent)
        return place


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        path: of the file or folder.
        what: a sentence on what is wrong.
        remedy: a sentence on what a repair does; "" where it can do nothing.
        harmless: it costs nothing, as what a killed server leaves behind; the store is sound nevertheless.
        mend: does what `remedy` says.
    """

    path: Path
    what: str
    remedy: str = ""
    harmless: bool = False
    mend: Callable[[Aside], None] | None = field(default=None, repr=False)


def moved_aside(path: Path, what: str, then: str = "", harmless: bool = False) -> Finding:
    """Return a finding that is repaired by moving its file or folder aside."""
    remedy = f"It is moved to {QUARANTINE}/{f'; {then}' if then else ''}."
    return Finding(path, what, remedy, harmless, lambda aside: aside.move(path))
