"""Memory: how a server keeps to little of it, and what is given back when there is none left."""

import ctypes
import errno
import gc
import re
import traceback

import torch
from monailabel.interfaces.utils.app import app_instance

NO_MEMORY = (
    "The server has no memory left for this. Nothing is lost, and what it kept for speed is given back now: "
    "ask again in a moment; a smaller study may fit where this one does not."
)
#: As torch's allocator for CPUs and the starting of threads say it: they raise plain RuntimeErrors.
_SAID = re.compile("can't allocate memory|not enough memory|can't start new thread", re.IGNORECASE)

#: What glibc's malloc is told (malloc.h): parameter and value. By itself it makes eight heaps for each core
#: and learns to put blocks of up to 32 MB into them, which then keep what was ever needed at the same time.
_MALLOC = {
    "M_ARENA_MAX": (-8, 2),  # no more than two threads compute at a time
    "M_MMAP_THRESHOLD": (-3, 4 << 20),  # images go back to the system; what a click needs is used again
    "M_TRIM_THRESHOLD": (-1, 32 << 20),  # else the top of a heap came and went at every click
}


def keep_heaps_small() -> None:
    """Have memory that is let go given back; to be called before threads have heaps of their own."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC.values():
            mallopt(parameter, value)


def keep_what_is_loaded() -> None:
    """Take what is there before the first request, and stays, out of the collector's sight.

    It would look through all libraries again from time to time, and stop every thread meanwhile, for a tenth
    of a second and more.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # so that it reckons with what is left only


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, of this machine or of its GPU."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and bool(_SAID.search(str(error)))
    )


def give_back(error: BaseException) -> None:
    """Let go of what the failed work held, and of what is kept for speed alone.

    Args:
        error: that the work raised.
    """
    traceback.clear_frames(error.__traceback__)
    app = app_instance()
    app.workspace.volumes.forget()
    app.network.forget()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
