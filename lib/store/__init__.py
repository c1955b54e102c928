"""What a team has made: the state folder, journals, versions of labels and of weights, and who is at what."""

from lib.store.atomic import rewrite_atomic, sync, write_atomic
from lib.store.audit import Audit, operator
from lib.store.errors import StoreError
from lib.store.journal import Journal
from lib.store.labels import LabelVersion, LabelVersions
from lib.store.leases import Leases
from lib.store.locks import alone_in
from lib.store.models import Models, Split, Version
from lib.store.state import StateFolder, default_state, open_state

__all__ = [
    "Audit",
    "Journal",
    "LabelVersion",
    "LabelVersions",
    "Leases",
    "Models",
    "Split",
    "StateFolder",
    "StoreError",
    "Version",
    "alone_in",
    "default_state",
    "open_state",
    "operator",
    "rewrite_atomic",
    "sync",
    "write_atomic",
]
