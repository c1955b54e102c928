"""A real Orthanc of this machine alone, as the tests start and stop it."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "archivist", "a secret"


class Orthanc:
    """Keeps what it is sent in a folder, so that it has it again after a stop.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("Orthanc") is None or not PLUGIN.is_file():
            pytest.skip("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/dicom-web"
        self.session = requests.Session()
        self.session.auth = (USER, PASSWORD)
        configuration = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self._process: subprocess.Popen | None = None

    def start(self) -> "Orthanc":
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=log
            )
        for _ in range(300):
            try:
                if self.session.get(f"{self.root}/system", timeout=5).ok:
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)
        raise RuntimeError("Orthanc did not start")

    def stop(self) -> None:
        """Stop it; what it holds stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None
