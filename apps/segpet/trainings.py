"""Trainings: one at a time, each a process of its own at low priority, which outlives a killed server."""

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from fastapi import HTTPException

from apps.segpet.failures import log_unexpected
from lib.store import StateFolder, write_atomic
from lib.store.locks import is_held

logger = logging.getLogger("segpet")

ROOT = Path(__file__).resolve().parents[2]
_NICENESS = 15
#: A file that says that the training was stopped with the server, which takes it up again.
_PAUSED = "paused"
#: Seconds that a server waits for a training to have stopped: when it stops or the next training is to
#: start, and when it starts again.
_ENDS_WITHIN, _HAS_ENDED_WITHIN = 5.0, 600.0
#: A file that says which process was started last.
_STARTED = "started.json"
#: What is shown of a training; the rest of its progress file is for programs.
_SHOWN = (
    "status", "stage", "share", "epoch", "epochs", "seconds", "curve", "message", "version", "promoted",
    "mode", "started", "trainer", "warnings",
)  # fmt: skip
_UNFINISHED = ("stopped", "killed", "failed")
#: In the words of MONAI Label's tasks.
_STATUS = {"running": "RUNNING", "done": "DONE", "stopped": "STOPPED", "killed": "ERROR", "failed": "ERROR"}


class Trainings:
    """Starts, watches and stops trainings; what is known of the last one is in `training/` of the state.

    A server that starts while a training runs finds it there. Whether one runs is told by the lock that its
    process holds; before it has that, by its process id and the time of its start: another process may have
    the id by now.

    Args:
        state: the state folder.
        command: makes of a request's parameters the command line of its training; ValueError with a sentence
            for parameters that cannot be used. `trainer` among them names the trainer, `segpet` if not given.
        ended: called when a training that was started here has ended.
    """

    def __init__(
        self,
        state: StateFolder,
        command: Callable[[Mapping[str, Any]], list[str]],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = state.folder("training")
        self._command, self._ended = command, ended
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._turn = threading.Lock()

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a training; where one with the same parameters was stopped or killed, it goes on.

        3D Slicer stops a training and starts the next in one go: one that is stopping is waited for, some
        seconds.

        Raises:
            HTTPException: 429 while one runs, 422 for parameters that cannot be used.
        """
        until = time.monotonic() + _ENDS_WITHIN
        while self._is_stopped and self.is_running and time.monotonic() < until:
            time.sleep(0.1)
        with self._turn:
            if self.is_running:
                if self._is_stopped:
                    detail, seconds = "A training is stopping; start the next one when it has.", 5
                else:
                    detail, seconds = "A training is running already; wait for it, or stop it first.", 60
                raise HTTPException(429, detail, {"Retry-After": str(seconds)})
            try:
                command = self._command(request)
            except ValueError as error:
                raise HTTPException(422, str(error)) from error
            write_atomic(self._folder / "request.json", json.dumps({"trainer": "segpet", **request}))
            (self._folder / "progress.json").unlink(missing_ok=True)
            handle = os.open(self._folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as log:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # signals to the server are not for it
                )
            # Clicks go first. Threads that it begins from now on are as low.
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
            started = {"process": process.pid, "created": psutil.Process(process.pid).create_time()}
            write_atomic(self._folder / _STARTED, json.dumps(started))
            (self._folder / _PAUSED).unlink(missing_ok=True)
            self._process, self._is_stopped = process, False
        threading.Thread(target=self._wait, args=(process,), name="training", daemon=True).start()
        return self.progress()

    def resume(self) -> dict[str, Any]:
        """Go on with the last training, which was stopped or killed.

        Raises:
            HTTPException: 409 where there is none that could go on; and as `start`.
        """
        last = self.progress()
        if last["status"] not in _UNFINISHED:
            raise HTTPException(409, "There is no training that was stopped or broken off.")
        if not last["resumable"]:
            raise HTTPException(
                409,
                "The last training was started on the command line, where the same command goes on with it.",
            )
        return self.start(self._request())

    def stop(self) -> bool:
        """Ask the running training to keep its checkpoint and end; whether one runs."""
        (self._folder / _PAUSED).unlink(missing_ok=True)
        return self._end()

    def pause(self) -> None:
        """Ask the training that was started here to keep its checkpoint and end; `go_on` takes it up again.

        Returns when it has ended, or after some seconds: then it ends by itself.
        """
        process = self._process
        if process is None or process.poll() is not None:
            return
        write_atomic(self._folder / _PAUSED, "")
        self._end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)

    def go_on(self) -> None:
        """Take up the training that a former server paused, once that has ended; does not wait."""
        if (self._folder / _PAUSED).exists():
            threading.Thread(target=self._go_on, name="training goes on", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether a training runs, started here, by a former server or on the command line."""
        return (self._process is not None and self._process.poll() is None) or self._is_locked()

    def progress(self) -> dict[str, Any]:
        """Return how far the last training is: `status` (none, running, stopped, killed, failed, done) ..."""
        running, fields = self.is_running, self._read()
        told = {key: fields.get(key) for key in _SHOWN}
        told["trainer"] = told["trainer"] or self._request().get("trainer") or "segpet"
        if running:
            told["status"], told["stage"] = "running", told["stage"] or "starting"
        elif told["status"] == "running":
            told["status"] = "killed"
            how = "it can go on" if self._is_known(fields) else "the same command goes on"
            told["message"] = f"The training was broken off; {how} from its last checkpoint."
        elif told["status"] is None and self._process is not None:
            # Ended before it told anything: its imports take a moment.
            told["status"] = "stopped" if self._is_stopped else "failed"
            told["message"] = "" if self._is_stopped else self._last_words()
        else:
            told["status"] = told["status"] or "none"
        can_go_on = told["status"] in _UNFINISHED and self._is_known(fields)
        return {
            **told, "curve": told["curve"] or [], "share": told["share"] or 0.0, "resumable": can_go_on,
            "warnings": told["warnings"] or [],
        }  # fmt: skip

    def task(self) -> dict[str, Any] | None:
        """Return the last training in MONAI Label's form of a task; None where there was none."""
        progress = self.progress()
        if progress["status"] == "none":
            return None
        return {
            "id": progress["started"] or "starting",
            "status": _STATUS[progress["status"]],
            "model": progress["trainer"],
            "start_ts": progress["started"],
            "details": [progress["message"] or progress["stage"] or ""],
            "progress": progress,
        }

    def _end(self) -> bool:
        with self._turn:
            process, pid = self._process, None
            self._is_stopped = True
            if process is not None and process.poll() is None:
                pid = process.pid
            elif is_held(self._folder / "lock"):
                pid = self._read().get("pid")
            pid = pid or self._starting()
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
        return bool(pid)

    def _go_on(self) -> None:
        until = time.monotonic() + _HAS_ENDED_WITHIN
        while self.is_running and time.monotonic() < until:
            time.sleep(0.5)
        if not (self._folder / _PAUSED).exists():
            return  # somebody has started or stopped one meanwhile
        try:
            self.resume()
            logger.info("The training goes on that was stopped with the server.")
        except HTTPException as error:
            if not self.is_running:  # else the next start tries again
                (self._folder / _PAUSED).unlink(missing_ok=True)
            logger.warning("The training that was stopped with the server does not go on: %s", error.detail)
        except OSError as error:
            log_unexpected(error)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._ended()

    def _read(self, name: str = "progress.json") -> dict[str, Any]:
        """Return what is in one of the files; {} where nothing is, or it is damaged."""
        try:
            fields = json.loads((self._folder / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def _request(self) -> dict[str, Any]:
        """Return what the last training that a server started was asked for; {} where that is not known."""
        return self._read("request.json")

    def _is_known(self, fields: Mapping[str, Any]) -> bool:
        """Whether what the last training was asked for is known: a server started the process that told."""
        own = self._read(_STARTED).get("process")
        return bool(self._request()) and fields.get("pid") in (None, own)

    def _last_words(self) -> str:
        """Return the last line that a training wrote which ended before it began."""
        try:
            lines = (self._folder / "log.txt").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1][:300] if lines else "The training ended before it began."

    def _is_locked(self) -> bool:
        return is_held(self._folder / "lock") or self._starting() is not None

    def _starting(self) -> int | None:
        """Return the process that was started last, here or by a server that was killed; None if it ended."""
        kept = self._read(_STARTED)
        try:
            process = psutil.Process(kept["process"])
            is_it = process.create_time() == kept["created"] and process.status() != psutil.STATUS_ZOMBIE
        except (ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process.pid if is_it else None
