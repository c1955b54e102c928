"""What a client is told when something fails: one sentence, the right status, nothing of the inside."""

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from apps.segpet.logs import places_of
from apps.segpet.memory import NO_MEMORY, give_back, is_out_of_memory
from apps.segpet.turns import BusyError, StoppingError
from infer_tasks.annotations import SessionMovedError
from infer_tasks.network_engine import WeightsMissingError
from infer_tasks.requests import RequestError
from lib.interaction import PromptError
from lib.network import CheckpointError
from lib.pet import VolumeError
from lib.report.backends import BackendError, Cancelled
from lib.report.language import ReportError
from lib.store import StoreError

UNEXPECTED = "Something went wrong in the server; its log says where."

#: How a file of a moment's use is called (`Workspace.new_file`); a client has never heard of it.
_TEMPORARY = re.compile(r"result-\w+(\.nii\.gz|\.nii|\.nrrd)")

_FULL = (
    "The server's disk is full. Nothing is lost: what was saved before is as it was. Do it again when "
    "there is space."
)
_SHUT = (
    "The server may not write in its own folders. Nothing is lost: what was saved before is as it was. "
    "Whoever runs it finds the place with `segpet doctor`; do it again when that is mended."
)
_DAMAGED = (
    "A record on the server is damaged; nothing was changed. Whoever runs it finds and repairs the "
    "record with `segpet doctor`."
)
#: What a client is told when the disk refuses.
_DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), (507, _FULL)),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE), (503, _SHUT)),
}

logger = logging.getLogger("segpet")

_STATUS: dict[type[Exception], int] = {
    PromptError: 422,
    RequestError: 422,
    VolumeError: 422,
    ReportError: 422,
    WeightsMissingError: 409,
    CheckpointError: 409,
    SessionMovedError: 409,
}


@contextmanager
def told_to_client() -> Iterator[None]:
    """Make HTTPExceptions of what the block raises: ours keep their sentence, others get a general one."""
    try:
        yield
    except (HTTPException, Cancelled):
        raise
    except tuple(_STATUS) as error:
        raise HTTPException(_STATUS[type(error)], _TEMPORARY.sub("The file", str(error))) from error
    except BusyError as error:
        raise HTTPException(429, str(error), {"Retry-After": str(error.seconds)}) from error
    except StoppingError as error:
        raise HTTPException(503, str(error), {"Retry-After": "10"}) from error
    except BackendError as error:
        raise HTTPException(error.status, str(error)) from error
    except (ImageNotFoundException, LabelNotFoundException) as error:
        raise HTTPException(404, "There is no such image or label.") from error
    except StoreError as error:
        log_unexpected(error)
        raise HTTPException(503, _DAMAGED) from error
    except Exception as error:
        log_unexpected(error)
        if is_out_of_memory(error):
            give_back(error)
            raise HTTPException(503, NO_MEMORY, {"Retry-After": "5"}) from None
        raise HTTPException(*status_and_sentence(error)) from error


def status_and_sentence(error: Exception) -> tuple[int, str]:
    """Return what a client is told of an error that nobody foresaw: that the disk refused, else nothing."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return _DISK[error.errno]
    return 500, UNEXPECTED


def log_unexpected(error: BaseException) -> None:
    """Log the kind of an error and the lines it came through; its message may name a patient."""
    logger.error("%s", places_of(error))
