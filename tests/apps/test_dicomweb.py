"""The studies folder by DICOMweb, read back with dicomweb-client: pixels, places, units, identities."""

import http.client
import itertools
import json
import time

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import requests
from dicom_series import both, in_study, scan_header, tags, write_ct, write_enhanced, write_series
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import RLELossless
from serving import ROOT, Server, save_image

from lib.pet import make_phantom, read_volume
from lib.pet.phantom.dicom_series import write_dicom

SHAPE = (7, 6, 5)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORDERS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
FRAMES = ("application/octet-stream", "*")


def affine_of(order, signs, spacing=(4.0, 5.0, 3.0)):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * spacing[axis]
    affine[:3, 3] = (11.5, -20.25, 300.0)
    return affine


def oblique():
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.3, 7.0, 2.9)
    affine[:3, 3] = (-33.3, 12.1, 80.7)
    return affine


def sheared():
    affine = affine_of((0, 1, 2), (1, 1, 1))
    affine[0, 2] = 0.4
    return affine


def values_of(seed=0):
    """Whole numbers: they come back exactly."""
    return np.random.default_rng(seed).integers(0, 3000, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicomweb")
    studies = folder / "studies"
    studies.mkdir()
    for number, (order, signs) in enumerate(ORDERS):
        save_image(studies / f"order-{number}.nii.gz", values_of(number), affine_of(order, signs))
    save_image(studies / "oblique.nii", values_of(50), oblique())
    save_image(studies / "sheared.nii", values_of(51), sheared())
    save_image(studies / "suv.nii.gz", values_of(52) / 128 + 0.01, affine_of((0, 1, 2), (-1, -1, 1)))
    (studies / "suv.json").write_text(json.dumps({"Units": "g/mL"}))
    header = {"space": "left-posterior-superior", "space directions": np.diag([2.0, 3.0, -4.0])}
    nrrd.write(str(studies / "Müller^Jürgen.nrrd"), values_of(53), {**header, "space origin": [1, 2, 3]})
    (studies / "broken.nii.gz").write_bytes(b"\x1f\x8b no image")
    stored = values_of(54).astype(np.int16)
    one = both(scan_header(), in_study("61", "1.2.3.61"), tags(PatientSex="O"))
    write_series(studies / "petct/pet", stored, edit=one, slopes=[1, 2, 3, 4, 5])
    write_ct(studies / "petct/ct", lambda x, y, z: x + 2 * y, in_study("62", "1.2.3.61"), shape=(9, 8, 7))
    descending = both(scan_header(), in_study("63", "1.2.3.63"), lambda k, one: number_from_the_end(one, k))
    write_series(studies / "1.2.840.descending", stored, edit=descending)
    write_series(studies / "rle", stored, edit=both(scan_header(), in_study("64", "1.2.3.64"), compress))
    write_enhanced(studies / "enhanced/one.dcm", stored.astype(np.uint16))
    (studies / "empty").mkdir()
    (studies / "notes").mkdir()
    (studies / "notes/a.txt").write_text("no image")
    phantom = make_phantom(1, (24, 24, 40), (16.0, 16.0, 16.0))
    write_dicom(phantom, studies / "phantom", "FDG-1")
    for patient in ("STS_001", "STS_003"):
        if (source := ROOT.parent / "shared/data/sts-pet-dicom" / patient).is_dir():
            (studies / patient).symlink_to(source)
    server = Server(folder, model="none")
    try:
        yield server.start()
    finally:
        server.stop()


def number_from_the_end(dataset, k):
    dataset.InstanceNumber = SHAPE[2] - k


def compress(k, dataset):
    dataset.compress(RLELossless, generate_instance_uid=False)


@pytest.fixture(scope="module")
def client(own_server):
    return DICOMwebClient(f"{own_server.url}/dicom-web")


def value(dataset, keyword):
    element = dataset.get(f"{pydicom.tag.Tag(keyword):08X}", {})
    return element.get("Value", [None])[0]


def listed(client, name):
    """StudyInstanceUID and its PET's SeriesInstanceUID of a study, by PatientID."""
    (study,) = client.search_for_studies(search_filters={"PatientID": name})
    uid = value(study, "StudyInstanceUID")
    (series,) = client.search_for_series(uid, search_filters={"Modality": "PT"})
    return uid, value(series, "SeriesInstanceUID")


def study_with(client, uid):
    (found,) = [one for one in client.search_for_studies() if value(one, "StudyInstanceUID") == uid]
    return found


def grid(client, study, series):
    """Values and LPS positions of all voxels of a series, as its metadata and frames say."""
    values, places = [], []
    for one in client.retrieve_series_metadata(study, series):
        dataset = pydicom.Dataset.from_json(one)
        (frame,) = client.retrieve_instance_frames(study, series, dataset.SOPInstanceUID, [1], (FRAMES,))
        pixels = np.frombuffer(frame, "<i2" if dataset.PixelRepresentation else "<u2")
        values.append(pixels * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept))
        along_row, down_column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = map(float, dataset.PixelSpacing)
        row, column = np.divmod(np.arange(pixels.size), dataset.Columns)
        places.append(
            np.array(dataset.ImagePositionPatient, float)
            + column[:, np.newaxis] * along_row * between_columns
            + row[:, np.newaxis] * down_column * between_rows
        )
    return np.concatenate(values), np.concatenate(places)


def check_same(found, array, affine, tolerance=0.0):
    """Every voxel of the source is found at its place, with its value."""
    values, places = found
    index = (np.linalg.inv(RAS_TO_LPS @ affine) @ np.c_[places, np.ones(len(places))].T)[:3].T
    assert abs(index - np.rint(index)).max() < 1e-4
    index = np.rint(index).astype(int)
    assert len(np.unique(index, axis=0)) == array.size == len(values)
    assert index.min() == 0 and tuple(index.max(axis=0) + 1) == array.shape
    assert abs(values - array[tuple(index.T)]).max() <= tolerance


@pytest.mark.parametrize("number", range(48))
def test_a_voxel_is_where_it_was_in_each_order_of_axes(client, number):
    found = grid(client, *listed(client, f"order-{number}"))
    check_same(found, values_of(number), affine_of(*ORDERS[number]))


def test_a_voxel_is_where_it_was_on_an_oblique_anisotropic_grid(client):
    check_same(grid(client, *listed(client, "oblique")), values_of(50), oblique())


def test_nrrd_is_served_likewise_and_a_name_is_told_as_it_is(client):
    (study,) = [one for one in client.search_for_studies() if value(one, "PatientID") == "Müller_Jürgen"]
    uid = value(study, "StudyInstanceUID")
    series = value(client.search_for_series(uid)[0], "SeriesInstanceUID")
    check_same(grid(client, uid, series), values_of(53), read_nrrd_affine())


def read_nrrd_affine():
    affine = np.diag([2.0, 3.0, -4.0, 1.0])
    affine[:3, 3] = 1, 2, 3
    return RAS_TO_LPS @ affine


def test_suv_is_told_as_such_and_nothing_is_invented(client):
    study, series = listed(client, "suv")
    array = values_of(52) / 128 + 0.01
    check_same(grid(client, study, series), array, affine_of((0, 1, 2), (-1, -1, 1)), array.max() / 32767)
    one = pydicom.Dataset.from_json(client.retrieve_series_metadata(study, series)[0])
    assert (one.Units, one.SUVType) == ("GML", "BW")
    for keyword in ("PatientWeight", "RadiopharmaceuticalInformationSequence", "DoseCalibrationFactor"):
        assert keyword not in one
    assert one.StudyDate == one.PatientSex == one.PatientBirthDate == ""


def test_values_of_unknown_unit_are_no_suv(client):
    study, series = listed(client, "order-0")
    one = pydicom.Dataset.from_json(client.retrieve_series_metadata(study, series)[0])
    assert one.Units == "CNTS"
    assert "SUVType" not in one


def test_axes_that_are_not_perpendicular_are_refused_in_one_sentence(own_server, client):
    (study,) = client.search_for_studies(search_filters={"PatientID": "sheared"})
    reply = requests.get(f"{own_server.url}/dicom-web/studies/{value(study, 'StudyInstanceUID')}/series")
    assert reply.status_code == 422
    assert "not perpendicular" in reply.json()["detail"]


def test_a_damaged_file_is_refused_in_one_sentence_when_it_is_opened(own_server, client):
    (study,) = client.search_for_studies(search_filters={"PatientID": "broken"})
    assert value(study, "NumberOfStudyRelatedInstances") is None
    url = f"{own_server.url}/dicom-web/studies/{value(study, 'StudyInstanceUID')}/metadata"
    reply = requests.get(url)
    assert reply.status_code == 422
    assert "cannot be read" in reply.json()["detail"]


def test_uids_are_of_the_uuid_form_all_different_and_stay(own_server, client):
    before = {value(one, "StudyInstanceUID"): value(one, "PatientID") for one in client.search_for_studies()}
    study, series = listed(client, "order-3")
    instances = [value(one, "SOPInstanceUID") for one in client.search_for_instances(study, series)]
    assert len({study, series, *instances}) == 2 + SHAPE[2]
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in (study, series, *instances))
    own_server.stop()
    own_server.start()
    assert before == {
        value(one, "StudyInstanceUID"): value(one, "PatientID") for one in client.search_for_studies()
    }


def test_another_image_under_the_same_name_is_another_study(own_server, client):
    path = own_server.studies / "changing.nii"
    save_image(path, values_of(1), np.eye(4))
    wait_for(lambda: client.search_for_studies(search_filters={"PatientID": "changing"}))
    before = listed(client, "changing")
    save_image(path, values_of(2), np.eye(4))
    wait_for(lambda: listed(client, "changing") != before)
    check_same(grid(client, *listed(client, "changing")), values_of(2), np.eye(4))
    assert requests.get(f"{client.base_url}/studies/{before[0]}/series").status_code == 404


def wait_for(condition):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.2)
        try:
            if condition():
                return
        except ValueError:
            pass
    raise AssertionError("it did not come")


def test_a_dicom_folder_is_a_study_and_served_as_it_is(own_server, client):
    study = study_with(client, "1.2.3.61")
    assert value(study, "PatientID") == "SECRET-4711"  # the viewer's, as the header has it
    assert study["00080061"]["Value"] == ["CT", "PT"]
    assert value(study, "NumberOfStudyRelatedSeries") == 2
    assert value(study, "NumberOfStudyRelatedInstances") == 5 + 7
    folder = own_server.studies / "petct"
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            there = pydicom.dcmread(path)
            uids = there.StudyInstanceUID, there.SeriesInstanceUID, there.SOPInstanceUID
            assert client.retrieve_instance(*uids) == there
            (frame,) = client.retrieve_instance_frames(*uids, [1], (FRAMES,))
            assert frame == there.PixelData
            told = pydicom.Dataset.from_json(client.retrieve_instance_metadata(*uids))
            assert told.get("PatientSex") == there.get("PatientSex")
            assert told.ImagePositionPatient == there.ImagePositionPatient
            assert told.RescaleSlope == there.RescaleSlope


def test_a_descending_series_lies_where_its_header_says(own_server, client):
    folder = own_server.studies / "1.2.840.descending"
    volume = read_volume(folder, unit="Bq/ml")
    (series,) = client.search_for_series("1.2.3.63")
    found = grid(client, "1.2.3.63", value(series, "SeriesInstanceUID"))
    check_same(found, volume.array, volume.affine, 1e-3)
    (first, *_) = client.search_for_instances("1.2.3.63")
    assert value(first, "InstanceNumber") == 1


def test_compressed_pixels_are_served_uncompressed(own_server, client):
    volume = read_volume(own_server.studies / "rle", unit="Bq/ml")
    (series,) = client.search_for_series("1.2.3.64")
    uid = value(series, "SeriesInstanceUID")
    check_same(grid(client, "1.2.3.64", uid), volume.array, volume.affine, 1e-3)
    instance = value(client.search_for_instances("1.2.3.64", uid)[0], "SOPInstanceUID")
    whole = client.retrieve_instance("1.2.3.64", uid, instance)
    assert not whole.file_meta.TransferSyntaxUID.is_encapsulated
    there = pydicom.dcmread(next(p for p in (own_server.studies / "rle").iterdir() if p.name == instance))
    assert np.array_equal(whole.pixel_array, there.pixel_array)


def test_a_phantoms_series_gives_its_volume_back(own_server, client):
    (study,) = client.search_for_studies(search_filters={"PatientName": "phantom*"})
    uid = value(study, "StudyInstanceUID")
    (series,) = client.search_for_series(uid)
    volume = read_volume(own_server.studies / "phantom", unit="Bq/ml")
    found = grid(client, uid, value(series, "SeriesInstanceUID"))
    check_same(found, volume.array, volume.affine, volume.array.max() * 1e-6)


@pytest.mark.parametrize("patient", ["STS_001", "STS_003"])
def test_a_real_patients_series_gives_its_volume_back(own_server, client, shared, patient):
    volume = read_volume(own_server.studies / patient)
    found = grid(client, *listed(client, patient))
    check_same(found, volume.array, volume.affine, volume.array.max() * 1e-6)


def test_an_enhanced_image_is_served_frame_by_frame(own_server, client):
    there = pydicom.dcmread(own_server.studies / "enhanced/one.dcm")
    uids = there.StudyInstanceUID, there.SeriesInstanceUID, there.SOPInstanceUID
    assert value(client.search_for_instances(*uids[:2])[0], "NumberOfFrames") == SHAPE[2]
    frames = client.retrieve_instance_frames(*uids, [5, 1], (FRAMES,))
    assert [np.array_equal(np.frombuffer(f, "<u2").reshape(6, 7), there.pixel_array[k]) for f, k in
            zip(frames, (4, 0), strict=True)] == [True, True]  # fmt: skip
    told = pydicom.Dataset.from_json(client.retrieve_instance_metadata(*uids))
    assert len(told.PerFrameFunctionalGroupsSequence) == SHAPE[2]


def test_monai_labels_routes_take_a_dicom_folder_as_a_study(own_server, tmp_path):
    url = own_server.url
    images = requests.get(f"{url}/datastore/?output=all").json()["objects"]
    assert {"petct", "1.2.840.descending", "phantom"} <= set(images)
    assert not {"empty", "notes", "1", "labels"} & set(images)
    volume = read_volume(own_server.studies / "phantom")
    hottest = [int(at) for at in np.unravel_index(np.argmax(volume.array), volume.shape)]
    reply = requests.post(
        f"{url}/infer/suv_region?image=phantom&output=json",
        data={"params": json.dumps({"lesion": [hottest]})},
    )
    assert reply.json()["objects"][0]["suv_max"] == pytest.approx(float(volume.array.max()), rel=1e-5)
    mask = tmp_path / "mask.nii.gz"
    save_image(mask, np.zeros(volume.shape, np.uint8), volume.affine)
    with mask.open("rb") as file:
        saved = requests.put(f"{url}/datastore/label?image=phantom", files={"label": (mask.name, file)})
    assert saved.ok, saved.text
    assert (own_server.studies / "labels/final/phantom.nii.gz").is_file()
    image = tmp_path / "phantom.nii.gz"
    image.write_bytes(requests.get(f"{url}/datastore/image?image=phantom").content)
    downloaded = nibabel.load(image)
    assert np.allclose(downloaded.affine, volume.affine)
    assert np.array_equal(downloaded.get_fdata(dtype=np.float32), volume.array)


def test_a_dicom_folder_that_comes_later_is_found(own_server, client):
    uid = "1.2.3.77"
    write_series(own_server.studies / "later", values_of(7).astype(np.int16), edit=in_study("77", uid))
    wait_for(lambda: uid in [value(one, "StudyInstanceUID") for one in client.search_for_studies()])
    assert "later" in requests.get(f"{own_server.url}/datastore/?output=all").json()["objects"]


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
        for frames in ("0", "2", "x", "1,,1", "-1", "1" * 30)
    }
    assert statuses == {"0": 404, "2": 404, "x": 400, "1,,1": 400, "-1": 400, "1" * 30: 400}
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
