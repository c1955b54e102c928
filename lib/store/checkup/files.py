"""The state folder itself: who may read it, what a killed process left in it, records that are no JSON."""

import os
from collections.abc import Iterator
from pathlib import Path

from lib.store.atomic import is_unfinished
from lib.store.checkup.finding import QUARANTINE, Finding, moved_aside
from lib.store.errors import StoreError
from lib.store.records import from_json

#: What is made anew where it is damaged, and what that means.
_RECORDS = {
    "training/*.json": "The last training is forgotten; its checkpoint and its weights stay",
    "scores/*.json": "The study is scored anew",
    "dicomweb/*.json": "The images are read anew",
    "sent/*.json": "The label is compared with the archive's, and sent where it is not there",
    "leases/*/*": "It says who had a study open",
    "export-names.json": "Exports give their cases new names from now on",
    "models/rule.json": "The default rule promotes from now on",
    "adapters/rule.json": "The default rule promotes from now on",
}


def check_folder(state: Path) -> Iterator[Finding]:
    """Find what others may read, and what whoever checks may not write."""
    if state.stat().st_mode & 0o077:
        yield Finding(
            state,
            "Other users of this machine may read the state folder, and patients' data in it.",
            "Only its owner may from then on (chmod 700).",
            mend=lambda _: state.chmod(0o700),
        )
    for path in [state, *(path for path in _all(state) if path.is_dir())]:
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Finding(
                path,
                "This folder may not be written by who runs this: a server can save nothing in it. Run the "
                "check as the server's user, or give the folder to it (chown, chmod 700).",
            )


def check_leftovers(state: Path) -> Iterator[Finding]:
    """Find what a killed process was just writing."""
    for path in _all(state):
        if is_unfinished(path) and not is_unfinished(path.parent):
            what = "A process was killed while it wrote this; nobody was told that it is saved."
            yield moved_aside(path, what, harmless=True)


def check_records(state: Path) -> Iterator[Finding]:
    """Find small records that cannot be read and can be done without."""
    layout = state / "format"
    if layout.exists() and not layout.read_bytes().strip().isdigit():
        what = "What names the format of this folder cannot be read, and no server starts with it."
        yield moved_aside(layout, what, "the folder counts as of the first format, the only one so far")
    for pattern, then in _RECORDS.items():
        for path in sorted(state.glob(pattern)):
            if path.is_file() and not is_unfinished(path):
                try:
                    from_json(path.read_bytes())
                except (StoreError, OSError):
                    yield moved_aside(path, f"This record cannot be read. {then}.", "it is made anew")


def _all(state: Path) -> Iterator[Path]:
    for path in sorted(state.iterdir()):
        if path.name != QUARANTINE:
            yield path
            if path.is_dir() and not path.is_symlink() and path.name != "archive":  # copies of a PACS' images
                yield from sorted(path.rglob("*"))
