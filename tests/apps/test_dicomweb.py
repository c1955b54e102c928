"""The studies folder by DICOMweb, read back with dicomweb-client: pixels, places, units, identities."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
import requests
from dicom_series import in_study, scan_header, write_series
from dicomweb_client.api import DICOMwebClient
from dicomweb_studies import (
    FRAMES,
    ORDERS,
    SHAPE,
    affine_of,
    check_same,
    grid,
    listed,
    oblique,
    read_nrrd_affine,
    serving_studies,
    study_with,
    value,
    values_of,
    wait_for,
)
from serving import Server, save_image

from lib.pet import read_volume


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    with serving_studies(tmp_path_factory.mktemp("dicomweb")) as server:
        yield server


@pytest.fixture(scope="module")
def client(own_server):
    return DICOMwebClient(f"{own_server.url}/dicom-web")


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


def test_an_odd_header_is_told_as_far_as_json_can(own_server, client):
    (series,) = client.search_for_series("1.2.3.65")
    assert series["00100010"]["Value"] == [{"Alphabetic": "Bäcker^Zoë"}]
    uid = value(series, "SeriesInstanceUID")
    one = client.retrieve_series_metadata("1.2.3.65", uid)[0]
    assert one["00189073"]["Value"] == [None]
    assert "00181100" not in one or "Value" not in one["00181100"]
    assert one["00091002"]["Value"] == ["short"]
    assert not {"00091001", "60003000", "7FE00010"} & set(one)
    assert len(grid(client, "1.2.3.65", uid)[0]) == np.prod(SHAPE)


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


def test_slicer_gets_a_dicom_folder_as_the_next_sample(tmp_path):
    """Without a path, which Slicer would try to open, by a name that it can, and as what it can read."""
    stored = values_of(7).astype(np.int16)
    write_series(tmp_path / "studies/1.2.840.P7", stored, edit=scan_header())
    server = Server(tmp_path, model="none")
    try:
        sample = server.start().client().next_sample("random", {})
        content = requests.get(f"{server.url}/datastore/image", params={"image": sample["id"]}).content
    finally:
        server.stop()
    assert (sample["id"], sample["name"]) == ("1.2.840.P7", "1.2.840.P7.nii.gz")
    assert "path" not in sample
    (tmp_path / sample["name"]).write_bytes(content)
    volume = read_volume(tmp_path / "studies/1.2.840.P7")
    assert np.array_equal(nibabel.load(tmp_path / sample["name"]).get_fdata(dtype=np.float32), volume.array)


def test_a_dicom_folder_that_comes_later_is_found(own_server, client):
    uid = "1.2.3.77"
    write_series(own_server.studies / "later", values_of(7).astype(np.int16), edit=in_study("77", uid))
    wait_for(lambda: uid in [value(one, "StudyInstanceUID") for one in client.search_for_studies()])
    assert "later" in requests.get(f"{own_server.url}/datastore/?output=all").json()["objects"]
