"""Faults of the system, for real: a full disk, folders that may not be written, a clock that jumps."""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import ModuleType

import pytest

_VERSION_3, _OVERRIDES = 0x20080522, (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_PR_CAPBSET_DROP = 24


@contextmanager
def full_disk(most: int = 0, pid: int = 0) -> Iterator[None]:
    """Let a process (0: this one) write no file beyond so many bytes; the system answers EFBIG."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def obeying_modes() -> Iterator[None]:
    """Have this thread obey the modes of files and folders, also where it is root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    sets[0] = effective & ~_OVERRIDES
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0


def obey_modes() -> None:
    """Before another program is run in this process: have that one obey modes, also where it is root's."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        assert all(libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0 for number in (1, 2))


def jump_clock(patch: pytest.MonkeyPatch, module: ModuleType, by: timedelta) -> None:
    """Have a module's `datetime.now` say another time."""

    class Jumped(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + by

    patch.setattr(module, "datetime", Jumped)
