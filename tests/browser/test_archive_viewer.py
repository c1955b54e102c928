"""Annotating in the browser what is in a real Orthanc; the label goes back into it."""

import numpy as np
import pydicom
import pytest
from conftest import write_pet_ct
from dicomweb_client.api import DICOMwebClient
from orthanc import PASSWORD, USER, Orthanc
from serving import Server
from viewer import hottest

STUDY, TITLE = "2.25.1001", "Meier^Anna PET"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory, phantom):
    """An Orthanc that was sent a PET/CT by STOW."""
    folder = tmp_path_factory.mktemp("orthanc")
    orthanc = Orthanc(folder / "orthanc").start()
    try:
        write_pet_ct(folder / "series", phantom)
        files = [path for path in (folder / "series").rglob("*") if path.is_file()]
        client = DICOMwebClient(orthanc.url, session=orthanc.session)
        client.store_instances([pydicom.dcmread(file) for file in files])
        yield orthanc
    finally:
        orthanc.stop()


@pytest.fixture(scope="module")
def of_archive(tmp_path_factory, orthanc):
    """A server of ours whose studies are in Orthanc."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGPET_DICOMWEB_USER", USER)
        patch.setenv("SEGPET_DICOMWEB_PASSWORD", PASSWORD)
        folder = tmp_path_factory.mktemp("archive")
        server = Server(folder, source=orthanc.url, model="none", labels="lesion,liver")
        try:
            yield server.start()
        finally:
            server.stop()


def test_a_study_of_the_archive_is_annotated_and_its_seg_and_sr_are_there(
    viewer, of_archive, orthanc, phantom
):
    browser = viewer(of_archive).open(TITLE)
    point = hottest(phantom)
    browser.show(point)
    browser.click(point)
    (found,) = browser.objects()
    assert found["voxels"] > 0
    browser.push("save-final")
    client = DICOMwebClient(orthanc.url, session=orthanc.session)
    series = {one["00080060"]["Value"][0]: one for one in client.search_for_series(STUDY)}
    assert {"PT", "CT", "SEG", "SR"} <= series.keys()
    (uid,) = series["SEG"]["0020000E"]["Value"]
    (segmentation,) = client.retrieve_series(STUDY, uid)
    assert int(segmentation.pixel_array.astype(np.int64).sum()) == found["voxels"]
