"""A real Orthanc as the source of studies and the place where SEG and SR go."""

import io
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from dicom_series import both, in_study, scan_header, write_series
from dicomweb_client.api import DICOMwebClient
from fastapi import HTTPException
from orthanc import PASSWORD, USER, Orthanc
from panel_client import PanelClient, lps
from serving import Server

from apps.segpet.archive.client import Archive, ListedSeries
from apps.segpet.archive.mirror import Mirror
from apps.segpet.dicomweb.proxy import PACS
from apps.segpet.options import OptionError
from lib.pet import Crop, make_phantom, quantify, read_volume

STUDY = "1.2.3.91"
TITLE, LATE = "Meier^Anna PET", "Meier^Anna LATE"


def stored(client: DICOMwebClient, pet: str, modality: str) -> list[pydicom.Dataset]:
    """What Orthanc holds of a modality that is about a PET series, the newest last."""
    found = [
        client.retrieve_instance(STUDY, series["0020000E"]["Value"][0], one["00080018"]["Value"][0])
        for series in client.search_for_series(STUDY, search_filters={"Modality": modality})
        for one in client.search_for_instances(STUDY, series["0020000E"]["Value"][0])
    ]
    found = [one for one in found if pet in [element.value for element in one.iterall()]]
    return sorted(found, key=lambda one: int(one.InstanceNumber))


def mask_of(segmentation: pydicom.Dataset, panel: PanelClient) -> np.ndarray:
    """The objects' numbers [i, j, k], as highdicom reads them from a SEG."""
    file = io.BytesIO()
    segmentation.save_as(file, enforce_file_format=True)
    file.seek(0)
    seg = highdicom.seg.segread(file)
    planes = seg.get_pixels_by_source_instance(
        panel.study["instances"], combine_segments=False, assert_missing_frames_are_empty=True
    )
    return np.moveaxis(planes, 0, 2).swapaxes(0, 1)  # [k, row, column, segment] -> [i, j, k, segment]


def measurements(report: pydicom.Dataset) -> list[dict[str, float]]:
    """The numbers of each group that has a segment, by code meaning and derivation."""

    def walk(item):
        yield item
        for child in item.get("ContentSequence", []):
            yield from walk(child)

    groups = [
        item
        for item in walk(report)
        if item.get("ConceptNameCodeSequence")
        and item.ConceptNameCodeSequence[0].CodeMeaning == "Measurement Group"
    ]
    found = []
    for group in groups:
        numbers = {}
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                name = item.ConceptNameCodeSequence[0].CodeMeaning
                derived = [
                    part.ConceptCodeSequence[0].CodeMeaning
                    for part in item.get("ContentSequence", [])
                    if part.ValueType == "CODE"
                    and part.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
                ]
                numbers[" ".join([name, *derived])] = float(item.MeasuredValueSequence[0].NumericValue)
        found.append(numbers)
    return found


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc")).start()
    yield orthanc
    orthanc.stop()


@pytest.fixture(scope="module")
def client(orthanc):
    return DICOMwebClient(orthanc.url, session=orthanc.session)


@pytest.fixture(scope="module")
def series(tmp_path_factory, client):
    """Two phantoms as DICOM PET of one study, put into Orthanc by STOW; by description."""
    folder = tmp_path_factory.mktemp("pet")
    phantom = make_phantom(3, (40, 40, 48), (8.0, 8.0, 8.0), lesions=2, kinds=["sphere"], largest_mm=80.0)
    stored = np.rint(phantom.volume.array * 100).astype(np.int16)
    for number, name in enumerate(("PET", "LATE"), start=91):
        edits = both(scan_header(SeriesDescription=name), in_study(str(number), STUDY), as_in_a_clinic)
        slopes = [5285 * 0.6848 / 100] * stored.shape[2]  # Bq/ml: 370 MBq of FDG in 70 kg, after an hour
        paths = write_series(folder / name, stored, spacing=(8, 8, 8), slopes=slopes, edit=edits)
        client.store_instances([pydicom.dcmread(path) for path in paths])
    return folder


def as_in_a_clinic(k, dataset):
    dataset.InstanceNumber = k + 1


@pytest.fixture(scope="module")
def serve(tmp_path_factory, orthanc):
    """Starts servers of Orthanc's studies, each with a state folder of its own."""
    started = []
    with pytest.MonkeyPatch.context() as patch:

        def start():
            folder = tmp_path_factory.mktemp("archive")
            (folder / "password").write_text(f"{PASSWORD}\n")
            patch.setenv("SEGPET_DICOMWEB_USER", USER)
            patch.setenv("SEGPET_DICOMWEB_PASSWORD_FILE", str(folder / "password"))
            started.append(Server(folder, source=orthanc.url, model="none", labels="lesion,liver"))
            return started[-1].start()

        yield start
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def server(series, serve):
    return serve()


def hottest(folder: Path, but_not: np.ndarray | bool = False) -> list[float]:
    """LPS mm of the brightest voxel outside a mask."""
    volume = read_volume(folder)
    values = np.where(but_not, -1, volume.array)
    return lps(volume.affine, np.unravel_index(np.argmax(values), values.shape))


def test_a_final_label_gets_into_the_archive_as_seg_and_sr_and_the_newest_counts(series, server, client):
    pet = series / "PET"
    entries = {one["title"]: one for one in requests.get(f"{server.url}/segpet/studies").json()["studies"]}
    assert entries.keys() == {TITLE, LATE}
    uid = str(pydicom.dcmread(next(pet.iterdir())).SeriesInstanceUID)
    assert (entries[TITLE]["id"], entries[TITLE]["study_uid"]) == (uid, STUDY)
    panel = PanelClient(server.url, TITLE, "reader-a").open()
    assert panel.study["unit"] == "SUVbw"
    panel.click(hottest(pet))
    assert (panel.grid > 0).sum() > 10
    assert "archive" not in panel.save("draft")
    assert not stored(client, uid, "SEG")
    first = panel.save("final")
    assert first["archive"] == {"stored": True, "message": "The label is in the PACS."}

    (segmentation,), (report,) = stored(client, uid, "SEG"), stored(client, uid, "SR")
    np.testing.assert_array_equal(mask_of(segmentation, panel)[..., 0] > 0, panel.grid > 0)
    volume = read_volume(pet)
    quantified = quantify(volume, Crop.from_grid(panel.grid > 0))
    numbers = list(measurements(report)[0].values())
    for expected in (quantified.max, quantified.mean, quantified.volume_ml, quantified.tlg_g):
        assert any(value == pytest.approx(expected, rel=1e-4) for value in numbers), (expected, numbers)

    # Once more, then empty: every version is kept, the highest number counts and names the one before.
    panel.click(hottest(pet, but_not=panel.grid > 0))
    second = panel.save("final")
    panel.delete(1).delete(2)
    third = panel.save("final")
    assert first["version"] < second["version"] < third["version"]
    reports = stored(client, uid, "SR")
    assert len(reports) == len(stored(client, uid, "SEG")) == 3
    assert len({one.SeriesInstanceUID for one in reports}) == 1
    for former, later in pairwise(reports):
        (evidence,) = later.PredecessorDocumentsSequence
        (named,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert named.ReferencedSOPInstanceUID == former.SOPInstanceUID
    assert not mask_of(stored(client, uid, "SEG")[-1], panel).any()

    # What is copied is private, and the log tells nothing of a patient.
    archive = server.state / "archive"
    assert {path.stat().st_mode & 0o777 for path in (archive, archive / uid)} == {0o700}
    assert not [path for path in archive.iterdir() if path.name.startswith(".part-")]
    log = server.log.read_text()
    assert not [word for word in (PASSWORD, "Meier", STUDY) if word in log]


def test_a_label_waits_while_the_archive_is_down_and_gets_there_once(series, server, serve, orthanc, client):
    late = series / "LATE"
    panel = PanelClient(server.url, LATE, "reader-b").open()
    panel.click(hottest(late))
    orthanc.stop()
    try:
        told = panel.save("final")
        assert not told["archive"]["stored"]
        assert (
            "saved here, but not yet in the PACS: The PACS cannot be reached." in told["archive"]["message"]
        )
        # The label is here, and the work list too.
        assert requests.get(f"{panel.study_url}/label").ok
        assert len(requests.get(f"{server.url}/segpet/studies").json()["studies"]) == 2
    finally:
        orthanc.start()
    again = panel.save("final")
    assert again["version"] == told["version"]
    assert again["archive"]["stored"]
    uid = panel.study["id"]
    (segmentation,) = stored(client, uid, "SEG")

    # The archive had taken it, but its answer was lost: nothing is there twice.
    (server.state / "sent" / f"{uid}.json").unlink()
    assert panel.save("final")["archive"]["stored"]
    assert [one.SOPInstanceUID for one in stored(client, uid, "SEG")] == [segmentation.SOPInstanceUID]
    assert len(stored(client, uid, "SR")) == 1

    # A server that never saw those labels numbers on.
    other = PanelClient(serve().url, LATE, "reader-c").open()
    assert other.save("final")["archive"]["stored"]
    assert [int(one.InstanceNumber) for one in stored(client, uid, "SR")] == [
        int(segmentation.InstanceNumber),
        int(segmentation.InstanceNumber) + 1,
    ]


def test_copies_are_bounded_and_what_a_killed_server_left_is_cleaned(tmp_path, series, orthanc):
    environment = {"SEGPET_DICOMWEB_USER": USER, "SEGPET_DICOMWEB_PASSWORD": PASSWORD}
    archive = Archive(PACS(orthanc.url, environment))
    listed = archive.pet_series()
    mirror = Mirror(tmp_path / "copies", archive, most_bytes=1)
    assert mirror.follow(listed)
    first, second = listed
    mirror.fetch(listed[first])
    assert len(list((mirror.folder / first).iterdir())) == 48
    os.utime(mirror.folder / first, (time.time() - 3600,) * 2)
    mirror.fetch(listed[second])
    assert not list((mirror.folder / first).iterdir())  # the former one went
    assert len(list((mirror.folder / second).iterdir())) == 48  # what is in use stays
    (mirror.folder / ".part-x").mkdir()
    os.utime(mirror.folder / second, (0, 0))
    mirror.clean()
    assert {path.name for path in mirror.folder.iterdir()} == {first, second}
    assert not list((mirror.folder / second).iterdir())
    assert mirror.follow([first])
    assert {path.name for path in mirror.folder.iterdir()} == {first}


class Rubbish(BaseHTTPRequestHandler):
    """A PACS that answers whatever a test wants."""

    body, kind = b"", "application/dicom+json"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def rubbish():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Rubbish)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield Archive(PACS(f"http://127.0.0.1:{httpd.server_port}", {}))
    httpd.shutdown()
    httpd.server_close()


@pytest.mark.parametrize("body", [b"[", b"{}", b"[1]", b"[" * 100_000, b'["\xff"]', b"<html>"])
def test_a_list_that_is_rubbish_is_one_sentence(rubbish, monkeypatch, body):
    monkeypatch.setattr(Rubbish, "body", body)
    with pytest.raises(HTTPException, match="502"):
        rubbish.pet_series()


@pytest.mark.parametrize("uid", ["../../etc", "1.2/..", "", "1" * 65, ".", 7, None, {"Value": 1}])
def test_what_is_no_uid_is_not_listed(rubbish, monkeypatch, uid):
    entry = {"0020000D": {"Value": ["1.2"]}, "0020000E": {"Value": [uid]}}
    monkeypatch.setattr(Rubbish, "body", json.dumps([entry]).encode())
    assert rubbish.pet_series() == {}


def test_a_file_that_is_none_or_another_is_refused_and_not_kept(rubbish, monkeypatch, tmp_path):
    mirror = Mirror(tmp_path / "copies", rubbish)
    series = ListedSeries("1.2", "1.3", "", 1)
    mirror.follow([series.uid])
    entry = {"00080018": {"Value": ["1.4"]}}
    monkeypatch.setattr(Rubbish, "body", json.dumps([entry]).encode())  # for lists and for files
    with pytest.raises(HTTPException, match="502"):
        mirror.fetch(series)
    assert [path.name for path in mirror.folder.rglob("*")] == [series.uid]


def test_a_store_that_is_not_confirmed_has_failed(rubbish, monkeypatch, series):
    monkeypatch.setattr(Rubbish, "body", b"{}")
    image = pydicom.dcmread(next((series / "PET").iterdir()))
    with pytest.raises(HTTPException, match="did not take all"):
        rubbish.store(STUDY, [image])


def test_a_password_in_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(OptionError, match="TOKEN_FILE names cannot be read"):
        PACS("http://127.0.0.1", {"SEGPET_DICOMWEB_TOKEN_FILE": str(tmp_path / "none")})
