"""The audit log: each line follows from the one before."""

from collections.abc import Iterator
from pathlib import Path

from lib.store.audit import Audit
from lib.store.checkup.finding import Finding
from lib.store.errors import StoreError


def check_audit(state: Path) -> Iterator[Finding]:
    """Find lines of the audit log that were changed or taken out."""
    folder = state / "audit"
    if not (folder / "key").exists():
        return
    try:
        for _ in Audit(folder).read():
            pass
    except (StoreError, OSError, ValueError) as error:
        yield Finding(
            folder,
            f"The audit log cannot be trusted from there on, and new lines do not mend it. {error} Keep the "
            "folder as it is for whoever looks into it; a backup shows what was there.",
        )
