"""What DICOMweb is asked: the work list's filters, and what is refused."""

import http.client

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_studies import listed, serving_studies, value


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    with serving_studies(tmp_path_factory.mktemp("dicomweb")) as server:
        yield server


@pytest.fixture(scope="module")
def client(own_server):
    return DICOMwebClient(f"{own_server.url}/dicom-web")


def test_the_log_names_no_patient(own_server):
    log = own_server.log.read_text()
    assert not any(secret in log for secret in ("SECRET", "Meier", "Müller", "1.2.3.61", "order-1"))
    assert "Traceback" not in log


def test_work_list_filters_of_ohif(own_server):
    def names(**parameters):
        reply = requests.get(f"{own_server.url}/dicom-web/studies", params=parameters)
        return [value(one, "PatientID") for one in reply.json()]

    everything = names(limit=101, offset=0, fuzzymatching="true", includefield="00081030,00080060")
    assert len(everything) > 50
    assert names(limit=3, offset=2) == everything[2:5]
    assert names(PatientID="*order-1*") == ["order-1", *[f"order-{n}" for n in range(10, 20)]]
    assert names(PatientName="order-7", fuzzymatching="true") == ["order-7"]
    assert names(PatientName="anna", fuzzymatching="true").count("SECRET-4711") >= 4
    assert set(names(ModalitiesInStudy="CT")) == {"SECRET-4711"}
    assert names(ModalitiesInStudy="CT,PT", limit=1000) == everything
    assert names(StudyDate="19990101-20000101") == []
    assert names(StudyInstanceUID="1.2.3.61,1.2.3.63") == ["SECRET-4711"] * 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("studies?limit=x", 400),
        ("studies?limit=-1", 400),
        ("studies?NoSuchAttribute=1", 400),
        ("studies?zzzzzzzz=1", 400),
        ("studies/1.2.9", 404),
        ("studies/1.2.9/series", 404),
        ("studies/1.2.3.61/series/1.2.9/metadata", 404),
        ("nothing", 404),
        ("studies/1.2.3.61/rendered", 404),
    ],
)
def test_what_is_not_there_is_a_4xx_with_a_sentence(own_server, path, status):
    reply = requests.get(f"{own_server.url}/dicom-web/{path}")
    assert reply.status_code == status
    assert reply.json()["detail"]


def test_frames_that_are_not_there_or_wanted_as_pictures_are_refused(own_server, client):
    study, series = listed(client, "order-0")
    instance = value(client.search_for_instances(study, series)[0], "SOPInstanceUID")
    url = f"{own_server.url}/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames"
    statuses = {
        frames: requests.get(f"{url}/{frames}").status_code
        for frames in ("0", "2", "x", "1,,1", "-1", "1" * 30, "1,1")
    }
    assert statuses == {"0": 404, "2": 404, "x": 400, "1,,1": 400, "-1": 400, "1" * 30: 400, "1,1": 400}
    assert requests.get(f"{url}/1", headers={"Accept": "image/jpeg"}).status_code == 406
    other = listed(client, "order-1")
    assert requests.get(f"{url}/1".replace(series, other[1])).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_written(own_server, method):
    before = own_server.files()
    for path in ("studies", "studies/1.2.3.61", "studies/1.2.3.61/series/1.2"):
        reply = requests.request(method, f"{own_server.url}/dicom-web/{path}", data=b"x")
        assert reply.status_code in (404, 405)
    assert own_server.files() == before


@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web/studies/../../etc/passwd",
        "/dicom-web/studies/%2e%2e/%2e%2e/etc/passwd",
        "/dicom-web/studies/..%2f..%2fetc%2fpasswd/metadata",
        "/dicom-web/studies/1.2.3.61%00/series",
        "/dicom-web/studies//etc/passwd",
        "/dicom-web/studies/" + "1" * 30_000,
        "/dicom-web/studies/1.2.3.61/series/%2fetc%2fpasswd",
        "/dicom-web/studies/petct",
        "/dicom-web/%ff%fe",
    ],
)
def test_a_path_is_never_opened(own_server, path):
    connection = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=10)
    connection.request("GET", path, headers={"Accept": "text/html,*/*"})
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status in (400, 404)
    assert b"root:" not in body
    connection.close()


def test_a_folder_without_pet_is_told_as_not_served(own_server):
    log = own_server.log.read_text()
    assert "Not served: 2 x a folder without a DICOM PET image" in log
