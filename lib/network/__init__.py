"""SegAnyPET: the network, and how its weights come from files."""

from lib.network.checkpoints import load_network, save_network
from lib.network.compact import CompactPET
from lib.network.compact_config import CompactConfig
from lib.network.config import SegAnyPETConfig
from lib.network.devices import DeviceError, usable_device
from lib.network.errors import CheckpointError
from lib.network.kept import kept_apart
from lib.network.protocol import Embedding, PromptableNetwork, embedding_bytes
from lib.network.seganypet import SegAnyPET

__all__ = [
    "CheckpointError",
    "CompactConfig",
    "CompactPET",
    "DeviceError",
    "Embedding",
    "PromptableNetwork",
    "SegAnyPET",
    "SegAnyPETConfig",
    "embedding_bytes",
    "kept_apart",
    "load_network",
    "save_network",
    "usable_device",
]
