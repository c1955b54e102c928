"""What a team has made: the state folder, each study's journal, labels and their versions, who is at it."""

from lib.store.atomic import sync, write_atomic
from lib.store.errors import StoreError
from lib.store.journal import Journal
from lib.store.labels import LabelVersion, LabelVersions
from lib.store.leases import Leases
from lib.store.state import StateFolder, default_state, open_state

__all__ = [
    "Journal",
    "LabelVersion",
    "LabelVersions",
    "Leases",
    "StateFolder",
    "StoreError",
    "default_state",
    "open_state",
    "sync",
    "write_atomic",
]
