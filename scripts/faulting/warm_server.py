"""A server that starts in a second: a process that has imported everything forks one whenever it is told.

`python -m scripts.faulting.warm_server OPTIONS` is that process, with the options of `python -m apps.segpet`:
for each line on its standard input it forks a server and prints its process id.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from scripts import InputError

#: Seconds in which everything is imported, and in which a server answers after it was forked.
_IMPORTED, _STARTED = 180.0, 60.0


class WarmServer:
    """Starts and kills servers over one studies folder and one state folder, at one address.

    Args:
        folder: with `studies/`; gets `state/` and `server.log`.
        before: called in the server's process first.
        conf: the app's options.
    """

    def __init__(self, folder: Path, before: Callable[[], None] | None = None, **conf: str | Path) -> None:
        self.folder, self.studies, self.state = folder, folder / "studies", folder / "state"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.pid = 0
        command = [sys.executable, "-P", "-m", "scripts.faulting.warm_server", "--studies", str(self.studies)]
        command += ["--port", str(port)]
        for key, value in {"state": self.state, **conf}.items():
            command += ["--conf", key, str(value)]
        self.log = folder / "server.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                cwd=Path(__file__).resolve().parents[2], preexec_fn=before,
            )  # fmt: skip

    def start(self) -> float:
        """Start a server; returns the seconds until it answered.

        Raises InputError: it does not start.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        if not told:
            raise InputError(f"The server did not start; its log is {self.log}.")
        begun, self.pid = time.monotonic(), int(told)
        while time.monotonic() - begun < _STARTED:
            try:
                with urlopen(f"{self.url}/info/", timeout=5):
                    return time.monotonic() - begun
            except OSError:
                time.sleep(0.02)
        raise InputError(f"The server did not answer; its log is {self.log}.")

    def kill(self) -> None:
        """Kill -9: nothing is tidied up. Returns when its files and its port are closed."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process.stdout
        self._process.stdout.readline()  # the process that forked it has seen it end
        self.pid = 0

    def close(self) -> None:
        """End the server and the process that forks it."""
        if self.pid:
            self.kill()
        with self._process as process:
            process.kill()


def _fork_when_told(app: Any, **options: Any) -> None:
    import uvicorn

    tell = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a server prints is for the log
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            uvicorn.run(app, **options)
            os._exit(0)
        print(pid, file=tell)
        os.waitpid(pid, 0)
        print("ended", file=tell)


if __name__ == "__main__":
    from apps.segpet.__main__ import main

    main(_fork_when_told)
