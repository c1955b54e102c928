"""The server's log on stderr: text for a terminal, or JSON lines for a collector. It names no patient."""

import json
import logging
import threading
import traceback
import warnings
from datetime import UTC, datetime
from typing import Any

FORMATS = ("text", "json")
#: Not below info: what libraries say there holds addresses, and these hold names of studies.
LEVELS = ("info", "warning", "error")
#: Logs requests; in text they would bury the events.
requests = logging.getLogger("segpet.requests")


class _Text(logging.Formatter):
    """`2026-11-26 21:30:00,000 INFO message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        """Return kind and places of an error; its message may name a patient."""
        return places_of(ei[1])


class _Json(_Text):
    """One JSON object a line: `time` (UTC), `level`, `event`, and a record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(form: str = "text", level: str = "info") -> None:
    """Send everything that is logged to stderr.

    Args:
        form: one of FORMATS; json has a line for each request too.
        level: one of LEVELS.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    requests.disabled = form != "json"
    logging.getLogger("timeloop").disabled = True  # it sets its own level, and says everything twice
    logging.getLogger("monailabel").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").addFilter(_is_of_use)
    warnings.showwarning = _log_warning
    threading.excepthook = _log_thread


def places_of(error: BaseException | None) -> str:
    """Return an error's kind and the lines it came through, the innermost first; nothing of its message."""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    places = " <- ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__qualname__} at {places}"


def _is_of_use(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is a warning, or says where the server is and how it ends."""
    return record.levelno >= logging.WARNING or str(record.msg).startswith("Uvicorn running")


def _log_warning(_: Any, category: type[Warning], filename: str, line: int, *__: Any) -> None:
    """Log where a library warns: what it says, as of a malformed DICOM header, may name a patient."""
    logging.getLogger("segpet").warning("%s at %s:%d", category.__name__, filename, line)


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    logging.getLogger("segpet").error("%s", places_of(failed.exc_value))
