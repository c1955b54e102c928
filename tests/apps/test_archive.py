"""A real Orthanc as the source of studies and the place where SEG and SR go."""

import io
from itertools import pairwise
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from dicom_series import both, in_study, scan_header, write_series
from dicomweb_client.api import DICOMwebClient
from orthanc import PASSWORD, USER, Orthanc
from panel_client import PanelClient
from serving import Server

from lib.pet import make_phantom, read_volume

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
STUDY = "1.2.3.91"
TITLE = "Meier^Anna PET"


def stored(client: DICOMwebClient, modality: str) -> list[pydicom.Dataset]:
    """What Orthanc holds of a modality, the newest last."""
    found = [
        client.retrieve_instance(STUDY, series["0020000E"]["Value"][0], one["00080018"]["Value"][0])
        for series in client.search_for_series(STUDY, search_filters={"Modality": modality})
        for one in client.search_for_instances(STUDY, series["0020000E"]["Value"][0])
    ]
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


@pytest.fixture
def orthanc(tmp_path):
    orthanc = Orthanc(tmp_path / "orthanc").start()
    yield orthanc
    orthanc.stop()


@pytest.fixture
def client(orthanc):
    return DICOMwebClient(orthanc.url, session=orthanc.session)


@pytest.fixture
def series(tmp_path, client):
    """A phantom as DICOM PET, put into Orthanc by STOW."""
    phantom = make_phantom(3, (40, 40, 48), (8.0, 8.0, 8.0), lesions=2, kinds=["sphere"], largest_mm=80.0)
    values = phantom.volume.array
    slope = float(f"{values.max() * 5285 / 30000:.8g}")  # 370 MBq of FDG in 70 kg, decayed for an hour
    paths = write_series(
        tmp_path / "pet",
        np.rint(values * 5285 * 0.6848 / slope).astype(np.int16),
        spacing=(8, 8, 8),
        slopes=[slope] * values.shape[2],
        edit=both(scan_header(SeriesDescription="PET"), in_study("91", STUDY), complete),
    )
    client.store_instances([pydicom.dcmread(path) for path in paths])
    return tmp_path / "pet"


def complete(k, dataset):
    dataset.InstanceNumber = k + 1


@pytest.fixture
def server(tmp_path, orthanc, monkeypatch):
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("SEGPET_DICOMWEB_USER", USER)
    monkeypatch.setenv("SEGPET_DICOMWEB_PASSWORD_FILE", str(secret))
    server = Server(tmp_path, source=orthanc.url, model="none", labels="lesion,liver")
    yield server
    server.stop()


def hottest(folder: Path) -> list[int]:
    values = read_volume(folder).array
    return [int(at) for at in np.unravel_index(np.argmax(values), values.shape)]


def test_a_final_label_gets_into_the_archive_as_seg_and_sr_and_the_newest_counts(
    series, server, client, tmp_path
):
    url = server.start().url
    (entry,) = requests.get(f"{url}/segpet/studies").json()["studies"]
    assert entry["title"] == TITLE
    assert entry["study_uid"] == STUDY
    panel = PanelClient(url, TITLE, "reader-a").open()
    assert panel.study["unit"] == "SUVbw"
    assert panel.study["id"] == pydicom.dcmread(next(series.iterdir())).SeriesInstanceUID
    panel.click(hottest(series))
    assert "archive" not in panel.save("draft")
    assert not stored(client, "SEG")
    first = panel.save("final")
    assert first["archive"] == {"stored": True, "message": "The label is in the PACS."}

    (segmentation,), (report,) = stored(client, "SEG"), stored(client, "SR")
    assert (panel.grid > 0).sum() > 10
    np.testing.assert_array_equal(mask_of(segmentation, panel)[..., 0] > 0, panel.grid > 0)
    told = panel.objects[1]["numbers"]
    numbers = measurements(report)[0]
    assert any(value == pytest.approx(told["suv_max"], rel=1e-4) for value in numbers.values()), numbers
    assert any(value == pytest.approx(told["volume_ml"], rel=1e-4) for value in numbers.values()), numbers

    # Once more, then empty: every version is kept, the highest number counts and names the one before.
    panel.click([at + 1 for at in hottest(series)], object=1, positive=False)
    second = panel.save("final")
    panel.delete(1)
    third = panel.save("final")
    assert first["version"] < second["version"] < third["version"]
    reports = stored(client, "SR")
    assert len(reports) == len(stored(client, "SEG")) == 3
    assert len({one.SeriesInstanceUID for one in reports}) == 1
    for former, later in pairwise(reports):
        (evidence,) = later.PredecessorDocumentsSequence
        (named,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert named.ReferencedSOPInstanceUID == former.SOPInstanceUID
    assert not mask_of(stored(client, "SEG")[-1], panel).any()

    # What is copied is private, and nothing of a patient lies anywhere else.
    archive = server.state / "archive"
    assert archive.stat().st_mode & 0o777 == 0o700
    assert (archive / entry["id"]).stat().st_mode & 0o777 == 0o700
    assert not [path for path in archive.iterdir() if path.name.startswith(".part-")]
    log = server.log.read_text()
    assert PASSWORD not in log
    assert "Meier" not in log
    assert STUDY not in log
