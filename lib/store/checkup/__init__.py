"""Looking a state folder over: what is wrong in it, and what can be put right without deleting anything."""

from collections.abc import Iterator
from pathlib import Path

from lib.store.checkup.audit import check_audit
from lib.store.checkup.files import check_folder, check_leftovers, check_records
from lib.store.checkup.finding import Aside, Finding
from lib.store.checkup.journals import check_journals
from lib.store.checkup.labels import check_labels
from lib.store.checkup.lost import check_lost
from lib.store.checkup.models import check_models
from lib.store.checkup.studies import check_studies
from lib.store.checkup.texts import check_impressions

__all__ = ["Aside", "Finding", "check_state", "check_studies"]


def check_state(state: Path) -> Iterator[Finding]:
    """Yield all that is found in a state folder; nothing is changed."""
    for check in (
        check_folder,
        check_leftovers,
        check_records,
        check_journals,
        check_labels,
        check_impressions,
        check_models,
        check_audit,
        check_lost,
    ):
        yield from check(state)
