"""A real server in a process of its own, as the tests of apps/ drive it."""

import multiprocessing
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np
import requests
from monailabel.client import MONAILabelClient

from lib.pet import Volume

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LABELS = ("background", "lesion", "liver", "spleen")
#: Forks the servers. It has imported what takes a server ten seconds of a core, but nothing of MONAI Label,
#: which reads the environment when it is imported.
FORKS = multiprocessing.get_context("forkserver")
LIBRARIES = ("monai", "scipy.signal", "fastapi", "lib.interaction", "lib.learning", "lib.report")
FORKS.set_forkserver_preload(list(LIBRARIES))


class Server:
    """Serves `folder/studies` with the state in `folder/state`, from another working directory.

    Args:
        folder: where studies, state and log are.
        plain: start MONAI Label's own server instead of ours.
        source: DICOMweb URL that it serves instead of the folder.
        conf: the app's options.
    """

    def __init__(
        self, folder: Path, plain: bool = False, source: str | None = None, **conf: str | Path
    ) -> None:
        self.folder, self.studies, self.state = folder, folder / "studies", folder / "state"
        self.log = folder / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        start = ["monailabel", "start_server", "--app", str(ROOT / "apps/segpet")]
        self._plain = plain
        self._command = start if plain else ["apps.segpet"]
        self._command += ["--studies", source or str(self.studies), "--host", "127.0.0.1"]
        self._command += ["--port", str(self.port)]
        for key, value in {"state": self.state, **conf}.items():
            self._command += ["--conf", key, str(value)]
        self.headers: dict[str, str] = {}  # with which it answers, where it takes a token
        self._process: subprocess.Popen | Forked | None = None

    def start(self) -> "Server":
        """Start the server and wait until it answers."""
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        environment["SEGPET_WEIGHTS"] = str(self.folder / "weights")
        if self._plain:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, cwd=self.folder, env=environment, stdout=log, stderr=log
                )
        else:
            self._process = Forked(self._command, self.folder, environment, self.log)
        for _ in range(1800):
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-3000:]}")
            try:
                if requests.get(f"{self.url}/info/", timeout=5, headers=self.headers).ok:
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)
        raise RuntimeError(f"the server did not start: {self.log.read_text()[-3000:]}")

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def kill(self) -> None:
        """Kill -9: nothing is tidied up."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop the server as Ctrl+C would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def client(self, name: str = "user-xyz") -> MONAILabelClient:
        """MONAI Label's client class, which Slicer uses."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        return MONAILabelClient(self.url, tmpdir=str(folder), client_id=name)

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of all files that requests might change."""
        found = {}
        for folder in (self.studies, self.state):
            for path in folder.rglob("*"):
                if path.is_file():
                    found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
        return found


class Forked:
    """`python -m COMMAND` in a fork of a process that has imported the libraries; used as a Popen."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
        # A daemon: no test leaves a server behind.
        self._process = FORKS.Process(target=_run, args=(command, cwd, env, log), daemon=True)
        self._process.start()
        self.pid = self._process.pid
        self.kill, self.terminate = self._process.kill, self._process.terminate

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended.

        Raises subprocess.TimeoutExpired: it goes on for longer.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("server", timeout)
        return self._process.exitcode


def _run(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
    """Run a module as a program of its own, with its output in the log."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def save_image(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI file."""
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def save_studies(folder: Path, names: Iterable[str], volume: Volume) -> None:
    """Make the folder `studies` in which every study is the same image."""
    (folder / "studies").mkdir()
    for name in names:
        save_image(folder / f"studies/{name}.nii.gz", volume.array, volume.affine)


def parse_nrrd(content: bytes) -> tuple[dict[str, str], np.ndarray]:
    """Read a raw uint8 NRRD as OHIF's nrrd-js does: fields, then voxels with i fastest."""
    header, _, voxels = content.partition(b"\n\n")
    lines = header.decode().splitlines()
    assert lines[0].startswith("NRRD")
    fields = dict(re.split(r":=?\s*", line, maxsplit=1) for line in lines[1:] if not line.startswith("#"))
    assert fields["type"] in ("uint8", "uchar", "unsigned char")
    assert fields["encoding"] == "raw"
    shape = [int(size) for size in fields["sizes"].split()]
    return fields, np.frombuffer(voxels, np.uint8).reshape(shape, order="F")


def sts_pet(folder: Path, *patients: str) -> None:
    """Copy real studies beside the repository, where there are some, as NAME.nii.gz."""
    for patient in patients:
        source = ROOT.parent / "shared/data/sts-pet" / patient / "PET_image.nii.gz"
        if source.is_file():
            shutil.copyfile(source, folder / f"{patient}.nii.gz")
