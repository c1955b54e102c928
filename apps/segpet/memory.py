"""When memory runs out: how that is known, and how it is given back, so that the next click finds some."""

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
