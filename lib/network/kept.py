"""Tensors that are kept for minutes, apart from those that are needed for a moment."""

import mmap
from typing import TypeVar, cast

import torch
from torch import Tensor

from lib.network.protocol import Embedding

E = TypeVar("E", Tensor, Embedding)


def kept_apart(kept: E) -> E:
    """Return a copy in memory of its own, which the system has back as soon as the copy is let go.

    Blocks that stay, among those of every computation, leave an allocator's heap full of holes: a server
    would grow for hours although its caches are bounded. What is on a GPU, which has an allocator of its own,
    is returned as it is.

    Raises:
        OSError: there is no memory (ENOMEM).
    """
    if isinstance(kept, tuple):
        return cast(E, tuple(kept_apart(part) for part in kept))
    if kept.device.type != "cpu":
        return kept
    memory = mmap.mmap(-1, kept.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # In the same order of axes in memory: in another one, sums come out otherwise in the last bits.
    like = torch.empty_like(kept, device="meta")
    copy = torch.frombuffer(memory, dtype=kept.dtype).as_strided(like.size(), like.stride())
    return cast(E, copy.copy_(kept))
