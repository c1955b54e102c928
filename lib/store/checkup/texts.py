"""Accepted impressions: each readable, by itself."""

from collections.abc import Iterator
from pathlib import Path

from lib.store.checkup.finding import Finding, moved_aside
from lib.store.errors import StoreError
from lib.store.reports import read_impression


def check_impressions(state: Path) -> Iterator[Finding]:
    """Find accepted impressions that cannot be read."""
    for path in sorted((state / "impressions").glob("*/*.json")):
        if path.stem.isdecimal():
            try:
                read_impression(path)
            except (StoreError, OSError):
                then = "the study's impression is the one accepted before, if there is one"
                yield moved_aside(path, "This accepted impression cannot be read.", then)
