"""Real patients in a real Orthanc: their numbers, an accepted impression, a connection that is cut."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from orthanc import PASSWORD, USER, Orthanc
from panel_client import PanelClient, lps
from serving import ROOT, Server
from test_archive import mask_of, measurements

from lib.pet import read_volume, write_mask

PATIENT = "STS_003"


class Cable:
    """Between server and PACS: cut on demand in the middle of a store, or before its answer comes back.

    Args:
        port: of the PACS.
    """

    def __init__(self, port: int) -> None:
        self._far = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.fault: str | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            far = socket.create_connection(("127.0.0.1", self._far))
            sent: list[bytes] = []
            for way in ((near, far, sent, True), (far, near, sent, False)):
                threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, sent: list[bytes], there: bool) -> None:
        try:
            while chunk := source.recv(4096):
                if there:
                    sent[:] = [chunk] if chunk.startswith((b"GET ", b"POST ")) else [*sent, chunk]
                stores = bool(sent) and sent[0].startswith(b"POST ")
                if stores and there and self.fault == "sending" and sum(map(len, sent)) > 20_000:
                    break
                if stores and not there and self.fault == "answering":
                    break
                target.sendall(chunk)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def archive(tmp_path_factory, shared):
    """Orthanc with a patient's PET, and a server of it behind a cable."""
    folder = tmp_path_factory.mktemp("patients")
    image = shared / "data/sts-pet-dicom" / PATIENT / "image"
    if not image.is_dir():
        pytest.skip("no patients as DICOM in ../shared/data")
    orthanc = Orthanc(folder / "orthanc").start()
    server = None
    try:
        client = DICOMwebClient(orthanc.url, session=orthanc.session)
        client.store_instances([pydicom.dcmread(path) for path in sorted(image.glob("*.dcm"))])
        cable = Cable(int(orthanc.root.rsplit(":", 1)[1]))
        source = f"http://127.0.0.1:{cable.port}/dicom-web"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEGPET_DICOMWEB_USER", USER)
            patch.setenv("SEGPET_DICOMWEB_PASSWORD", PASSWORD)
            server = Server(folder, source=source, model="none", impression="none", labels="lesion").start()
        yield server, client, cable, image
    finally:
        if server is not None:
            server.stop()
        orthanc.stop()


def newest_last(client: DICOMwebClient, modality: str) -> list[pydicom.Dataset]:
    found = [
        client.retrieve_instance(
            series["0020000D"]["Value"][0], series["0020000E"]["Value"][0], one["00080018"]["Value"][0]
        )
        for series in client.search_for_series(search_filters={"Modality": modality})
        for one in client.search_for_instances(series["0020000D"]["Value"][0], series["0020000E"]["Value"][0])
    ]
    return sorted(found, key=lambda one: int(one.InstanceNumber))


def quantified(image: Path, panel: PanelClient, folder: Path) -> dict:
    """What `segpet quantify` prints of the panel's mask."""
    mask = folder / "mask.nii.gz"
    write_mask(mask, panel.grid, read_volume(image).affine)
    command = [sys.executable, "-P", "-m", "scripts", "quantify", str(image), str(mask), "--json"]
    done = subprocess.run(
        [*command, "--instances", "values"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_a_patient_goes_into_the_archive_once_whatever_happens_on_the_way(archive, tmp_path):
    server, client, cable, image = archive
    (entry,) = requests.get(f"{server.url}/segpet/studies").json()["studies"]
    panel = PanelClient(server.url, entry["title"], "reader-a").open()
    volume = read_volume(image)
    panel.click(lps(volume.affine, np.unravel_index(np.argmax(volume.array), volume.shape)))
    assert (panel.grid > 0).sum() > 20

    # Cut while the documents are sent: nothing is there, the label is kept.
    cable.fault = "sending"
    told = panel.save("final")
    assert not told["archive"]["stored"]
    assert "saved here, but not yet in the PACS" in told["archive"]["message"]
    assert newest_last(client, "SEG") == []

    # Cut before the answer: all is there, and the server cannot know.
    cable.fault = "answering"
    assert not panel.save("final")["archive"]["stored"]
    (segmentation,) = newest_last(client, "SEG")

    cable.fault = None
    again = panel.save("final")
    assert again["version"] == told["version"]
    assert again["archive"]["stored"]
    assert [one.SOPInstanceUID for one in newest_last(client, "SEG")] == [segmentation.SOPInstanceUID]
    (report,) = newest_last(client, "SR")

    np.testing.assert_array_equal(mask_of(segmentation, panel)[..., 0] > 0, panel.grid > 0)
    (lesion,) = quantified(image, panel, tmp_path)["lesions"]
    numbers = list(measurements(report)[0].values())
    for key in ("suv_max", "suv_mean", "suv_sd", "suv_peak", "volume_ml", "mtv_ml", "tlg_g", "feret_mm"):
        if lesion.get(key) is not None:
            assert any(one == pytest.approx(lesion[key], rel=1e-5) for one in numbers), (key, lesion, numbers)

    # An impression that is accepted later replaces the report.
    said = "One FDG-avid lesion."
    about = {"client": "reader-a", "label": told["version"], "language": "en"}
    body = {**about, "findings": "A lesion.", "impression": said}
    accepted = requests.put(f"{panel.study_url}/impression", json=body)
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["archive"]["stored"]
    former, later = newest_last(client, "SR")
    assert former.SOPInstanceUID == report.SOPInstanceUID
    assert said in [item.value for item in later.iterall()]
    assert panel.save("final")["archive"]["stored"]
    assert len(newest_last(client, "SR")) == 2
