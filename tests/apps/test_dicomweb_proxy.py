"""The way to a PACS: a real Orthanc behind it, and a hostile one."""

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pydicom
import pytest
import requests
from dicom_series import both, in_study, scan_header, write_ct, write_series
from dicomweb_client.api import DICOMwebClient
from orthanc import PASSWORD, USER, Orthanc
from serving import Server

from apps.segpet.dicomweb.proxy import PACS
from apps.segpet.options import OptionError, dicomweb_url

STUDY = "1.2.3.81"
FRAME = f"studies/{STUDY}/series/1.2.4/instances/1.2.5/frames/1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def served(folder, url, monkeypatch, **environment):
    """A server of ours that shows what is at a DICOMweb URL."""
    (folder / "studies").mkdir(exist_ok=True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Server(folder, model="none", dicomweb=url)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """An Orthanc that wants a password; yields its URL and the series in it."""
    folder = tmp_path_factory.mktemp("orthanc")
    stored = np.random.default_rng(8).integers(0, 3000, (7, 6, 5)).astype(np.int16)
    write_series(folder / "series/pet", stored, edit=both(scan_header(), in_study("81", STUDY)))
    write_ct(folder / "series/ct", lambda x, y, z: x, in_study("82", STUDY), shape=(4, 5, 6))
    server = Orthanc(folder / "orthanc").start()
    try:
        for path in (folder / "series").rglob("*"):
            if path.is_file():
                assert server.session.post(f"{server.root}/instances", data=path.read_bytes()).ok
        yield server.url, folder / "series"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def own_server(orthanc, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        server = served(
            tmp_path_factory.mktemp("proxy"), orthanc[0], patch,
            SEGPET_DICOMWEB_USER=USER, SEGPET_DICOMWEB_PASSWORD=PASSWORD,
        )  # fmt: skip
        try:
            yield server.start()
        finally:
            server.stop()


def test_what_a_pacs_holds_is_read_through_us(orthanc, own_server):
    client = DICOMwebClient(f"{own_server.url}/dicom-web")
    (study,) = client.search_for_studies(
        search_filters={"ModalitiesInStudy": "PT"}, limit=101, fuzzymatching=True
    )
    assert study["0020000D"]["Value"] == [STUDY]
    assert {one["00080060"]["Value"][0] for one in client.search_for_series(STUDY)} == {"PT", "CT"}
    paths = [path for path in orthanc[1].rglob("*") if path.is_file()]
    assert len(paths) == 5 + 6
    for path in paths:
        there = pydicom.dcmread(path)
        uids = there.StudyInstanceUID, there.SeriesInstanceUID, there.SOPInstanceUID
        # As OHIF asks for it.
        accept = (("application/octet-stream", "*"),)
        assert client.retrieve_instance_frames(*uids, [1], accept) == [there.PixelData]
        told = pydicom.Dataset.from_json(client.retrieve_instance_metadata(*uids), lambda *_: b"")
        assert told.ImagePositionPatient == there.ImagePositionPatient
        assert client.retrieve_instance(*uids).PixelData == there.PixelData


def test_no_reply_names_the_address_of_the_pacs(orthanc, own_server):
    address = orthanc[0].removeprefix("http://").removesuffix("/dicom-web").encode()
    for path in ("studies", f"studies/{STUDY}/series", f"studies/{STUDY}/metadata"):
        reply = requests.get(f"{own_server.url}/dicom-web/{path}")
        assert reply.ok and address not in reply.content
        assert address.decode() not in str(reply.headers)
    found = requests.get(f"{own_server.url}/dicom-web/studies").json()[0]["00081190"]["Value"]
    assert found == [f"/dicom-web/studies/{STUDY}"]


def test_the_log_holds_neither_password_nor_identifiers(own_server):
    log = own_server.log.read_text()
    assert not any(secret in log for secret in (PASSWORD, "SECRET-4711", STUDY, "Traceback"))


def test_what_is_no_dicomweb_never_reaches_the_pacs(own_server):
    paths = ["../system", "%2e%2e/system", "studies/../../system", "studies%2f..%2f..%2fsystem", "", "system"]
    paths += ["studies/1.2;x", "studies/a", "studies/1..2", "studies/1.2/", "studies//1.2", "studies/1.2%00"]
    paths += [f"{FRAME},", f"{FRAME}%3fx=1", "studies/1.2/series/1.3/instances/1.4/bulk/../../x", "servers"]
    paths += ["studies/" + "1" * 20_000 + "x", "studies/1.2/archive", "http://evil.example/studies"]
    for path in paths:
        connection = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=10)
        connection.request("GET", f"/dicom-web/{path}", headers={"Accept": "*/*"})
        reply = connection.getresponse()
        assert reply.status in (400, 404), path
        assert b"Orthanc" not in reply.read()
        connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_written_to_the_pacs(orthanc, own_server, method):
    for path in ("studies", f"studies/{STUDY}"):
        reply = requests.request(method, f"{own_server.url}/dicom-web/{path}", data=b"x")
        assert reply.status_code in (404, 405)
    assert len(requests.get(f"{own_server.url}/dicom-web/studies").json()) == 1


@pytest.mark.parametrize("query", ["NoSuchAttribute=1", "level=study", "PatientName=" + "a" * 9000])
def test_a_query_that_is_none_is_refused(own_server, query):
    reply = requests.get(f"{own_server.url}/dicom-web/studies?{query}")
    assert reply.status_code == 400
    assert reply.json()["detail"]


def test_a_wrong_password_is_said_and_not_asked_of_the_browser(orthanc, tmp_path, monkeypatch):
    wrong = {"SEGPET_DICOMWEB_USER": USER, "SEGPET_DICOMWEB_PASSWORD": "wrong"}
    server = served(tmp_path, orthanc[0], monkeypatch, **wrong)
    try:
        reply = requests.get(f"{server.start().url}/dicom-web/studies")
    finally:
        server.stop()
    assert reply.status_code == 502
    assert "refuses the server's credentials" in reply.json()["detail"]
    assert "WWW-Authenticate" not in reply.headers


class Hostile(BaseHTTPRequestHandler):
    """Answers as its path's study says, and remembers what it was asked."""

    asked: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 - one for all of a server's requests

    def do_GET(self):
        self.asked.append((self.path, dict(self.headers)))
        case = self.path.split("/studies/")[1].split("/")[0]
        status, headers, body = {
            "1": (302, {"Location": "http://127.0.0.1:1/"}, b""),
            "2": (200, {"Content-Type": "text/html"}, b"<script>alert(1)</script>"),
            "3": (500, {"Content-Type": "text/plain"}, b"secrets of the inside"),
            "4": (200, {"Content-Type": "application/dicom+json", "Set-Cookie": "a=b"}, b"[]"),
            "5": (404, {"Content-Type": "text/plain"}, b"secrets of the inside"),
        }[case]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as other, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}/rs"
        server = served(tmp_path_factory.mktemp("hostile"), url, patch, SEGPET_DICOMWEB_TOKEN="T0KEN")
        try:
            yield server.start()
        finally:
            server.stop()
            other.shutdown()


@pytest.mark.parametrize(("case", "status"), [("1", 502), ("2", 502), ("3", 502), ("5", 404)])
def test_a_pacs_cannot_lead_elsewhere_nor_put_pages_on_our_origin(hostile, case, status):
    reply = requests.get(f"{hostile.url}/dicom-web/studies/{case}/metadata", allow_redirects=False)
    assert reply.status_code == status
    assert reply.headers["Content-Type"] == "application/json"
    assert "inside" not in reply.text and "script" not in reply.text and "Location" not in reply.headers


def test_only_what_is_needed_goes_to_the_pacs_and_comes_from_it(hostile):
    Hostile.asked.clear()
    headers = {"Cookie": "session=1", "Authorization": "Basic xyz", "X-Forwarded-For": "10.0.0.1"}
    reply = requests.get(f"{hostile.url}/dicom-web/studies/4/metadata", headers=headers)
    assert (reply.status_code, reply.json()) == (200, [])
    assert "Set-Cookie" not in reply.headers
    ((path, sent),) = Hostile.asked
    assert path == "/rs/studies/4/metadata"
    assert sent["Authorization"] == "Bearer T0KEN"
    assert not {"Cookie", "X-Forwarded-For"} & set(sent)


def test_a_pacs_that_closes_a_resting_connection_is_asked_again():
    """Two connections: the first answers once and closes when it is used again."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 2\r\n\r\n[]"

    def answer():
        for reads in (2, 1):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)
                if reads == 2:
                    connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        pacs = PACS(f"http://127.0.0.1:{listener.getsockname()[1]}", {})
        for _ in range(2):
            assert pacs.get("studies", [], "application/dicom+json").content == b"[]"
        thread.join()


def test_a_pacs_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    server = served(tmp_path, f"http://127.0.0.1:{free_port()}/dicom-web", monkeypatch)
    try:
        reply = requests.get(f"{server.start().url}/dicom-web/studies")
        assert requests.get(f"{server.url}/info/").ok
    finally:
        server.stop()
    assert (reply.status_code, reply.json()["detail"]) == (502, "The PACS cannot be reached.")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://pacs/dicom-web", "must be a URL"),
        ("pacs", "must be a URL"),
        ("http://", "must be a URL"),
        ("http://pacs:port/", "must be a URL"),
        ("http://[pacs/", "must be a URL"),
        ("http://pacs/?x=1", "must be a URL"),
        ("http://user:secret@pacs/", "must not hold a password"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused(url, sentence):
    with pytest.raises(OptionError, match=sentence) as told:
        dicomweb_url({"dicomweb": url}, "studies")
    assert "secret" not in str(told.value)
