"""Between studies and the UIDs that a viewer knows: what is annotated, which instance is which slice."""

import json
from contextlib import nullcontext

import numpy as np
import pydicom
import pytest
from dicom_series import (
    both,
    in_study,
    scan_header,
    tags,
    write_ct,
    write_enhanced,
    write_frames,
    write_series,
)
from serving import save_image

from apps.segpet.dicomweb.catalogue import Catalogue
from apps.segpet.dicomweb.digests import Digests
from apps.segpet.studies import Studies
from infer_tasks.volumes import Volumes
from lib.pet import VolumeError, read_volume

STORED = np.random.default_rng(1).integers(1, 3000, (7, 6, 5)).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "studies").mkdir()
    return tmp_path / "studies"


@pytest.fixture
def catalogue(folder, tmp_path, monkeypatch):
    """A catalogue of the folder, which the test fills; it looks anew at each question."""
    monkeypatch.setattr("apps.segpet.dicomweb.catalogue._TRUSTED_SECONDS", 0.0)
    (tmp_path / "state").mkdir()
    studies = Studies(str(folder), False, lambda *_: nullcontext())
    return Catalogue(studies, Volumes(), tmp_path / "state")


def pixels_by_uid(folder):
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            dataset = pydicom.dcmread(path)
            found[str(dataset.SOPInstanceUID)] = dataset
    return found


def check_slices(catalogue, name, path):
    """The instance of slice k holds Volume.array[:, :, k]."""
    array = read_volume(path, unit="unknown").array
    instances = catalogue.instances_of(name)
    there = pixels_by_uid(path)
    assert len(instances) == array.shape[2]
    for k, uid in enumerate(instances):
        one = there[uid]
        assert np.allclose(one.pixel_array.T * float(one.RescaleSlope), array[:, :, k])


def test_a_files_instances_are_its_slices_and_lead_back_to_it(folder, catalogue):
    save_image(folder / "P1.nii", STORED.astype(np.float32), np.eye(4))
    catalogue._studies.refresh()
    study, series = catalogue.uids_of("P1")
    assert catalogue.study_of(series) == "P1"
    assert catalogue.study_of(study) is None
    held = catalogue.series(study)[series]
    for k, uid in enumerate(catalogue.instances_of("P1")):
        (frame,) = held.frames(uid, [1])
        assert np.array_equal(np.frombuffer(frame, "<i2").reshape(6, 7).T, STORED[:, :, k])


@pytest.mark.parametrize("turn", [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1)])
def test_a_dicom_folders_instances_are_the_slices_of_its_volume(folder, catalogue, turn):
    write_series(folder / "P2", STORED, orientation=turn, edit=scan_header(), slopes=[1, 2, 3, 4, 5])
    check_slices(catalogue, catalogue_name(catalogue), folder / "P2")


def catalogue_name(catalogue):
    catalogue.studies()
    (name,) = catalogue._studies.list_images()
    return name


def test_of_two_pet_series_the_one_is_annotated_that_is_read(folder, catalogue):
    corrected, not_corrected = tags(), tags(CorrectedImage=["DECY"])
    write_series(folder / "P3/a", STORED, edit=both(scan_header(), in_study("1", number=1), not_corrected))
    write_series(
        folder / "P3/b", STORED[:, :, ::-1], edit=both(scan_header(), in_study("2", number=2), corrected)
    )
    write_ct(folder / "P3/c", lambda x, y, z: x, in_study("3"), shape=(4, 4, 4))
    name = catalogue_name(catalogue)
    study, series = catalogue.uids_of(name)
    assert series.endswith(".2")
    assert catalogue.study_of(series) == name
    others = set(catalogue.series(study)) - {series}
    assert len(others) == 2  # served, not annotated
    assert [catalogue.study_of(uid) for uid in others] == [None, None]
    assert set(catalogue.instances_of(name)) == set(pixels_by_uid(folder / "P3/b"))


def test_of_a_dynamic_series_the_frame_is_annotated_that_is_read(folder, catalogue):
    write_frames(folder / "P4", STORED, lambda frame: tags(FrameReferenceTime=frame * 1000))
    check_slices(catalogue, catalogue_name(catalogue), folder / "P4")


def test_a_multi_frame_image_is_served_and_its_annotation_refused_in_a_sentence(folder, catalogue):
    write_enhanced(folder / "P5/one.dcm", STORED.astype(np.uint16))
    name = catalogue_name(catalogue)
    study, series = catalogue.uids_of(name)
    assert list(catalogue.series(study)) == [series]
    with pytest.raises(VolumeError, match="not yet be annotated"):
        catalogue.instances_of(name)


def test_a_series_with_a_missing_slice_is_listed_and_its_annotation_refused(folder, catalogue):
    write_series(folder / "P6", STORED, edit=scan_header())[2].unlink()
    name = catalogue_name(catalogue)
    assert catalogue.study_of(catalogue.uids_of(name)[1]) == name
    with pytest.raises(VolumeError, match="not evenly spaced"):
        catalogue.instances_of(name)


def test_damaged_and_other_files_in_a_folder_are_left_out(folder, catalogue):
    write_series(folder / "P7", STORED, edit=scan_header())
    (folder / "P7/notes.txt").write_text("no image")
    (folder / "P7/cut.dcm").write_bytes(next((folder / "P7").glob("1.*")).read_bytes()[:400])
    study, series = catalogue.uids_of(catalogue_name(catalogue))
    assert len(catalogue.series(study)[series].instances) == STORED.shape[2]


def test_a_study_in_two_folders_is_one_study(folder, catalogue):
    write_series(folder / "P8a", STORED, edit=in_study("1"))
    write_series(folder / "P8b", STORED, edit=in_study("2"))
    ((study, parts),) = catalogue.studies().items()
    assert len(parts) == 2
    assert len(catalogue.series(study)) == 2


@pytest.mark.parametrize("name", ["nobody", "", "../P1", "/etc", "labels", "datastore_v2.json"])
def test_what_is_no_study_is_not_found(folder, catalogue, name):
    write_series(folder / "P9", STORED)
    catalogue.studies()
    with pytest.raises(LookupError):
        catalogue.uids_of(name)
    with pytest.raises(LookupError):
        catalogue.instances_of(name)
    assert catalogue.study_of(name) is None


def test_a_study_that_went_is_no_longer_found(folder, catalogue):
    path = folder / "P10.nii"
    save_image(path, STORED.astype(np.float32), np.eye(4))
    catalogue._studies.refresh()
    study, series = catalogue.uids_of("P10")
    path.unlink()
    assert catalogue.study_of(series) is None
    with pytest.raises(LookupError):
        catalogue.series(study)


def test_a_file_is_digested_once_also_after_a_restart(tmp_path):
    image = tmp_path / "one.nii"
    image.write_bytes(b"content")
    kept = tmp_path / "digests.json"
    first = Digests(kept).of(image)
    stamp, known = next(iter(json.loads(kept.read_text()).values()))[:2], kept.stat().st_mtime_ns
    assert Digests(kept).of(image) == first
    assert kept.stat().st_mtime_ns == known and stamp == [image.stat().st_mtime_ns, 7]
    image.write_bytes(b"another")
    assert Digests(kept).of(image) != first


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"x": 1}', '{"x": ["a"]}', "\udcff"])
def test_a_list_of_digests_that_is_damaged_is_made_anew(tmp_path, content):
    image = tmp_path / "one.nii"
    image.write_bytes(b"content")
    kept = tmp_path / "digests.json"
    kept.write_bytes(content.encode(errors="surrogateescape"))
    assert len(Digests(kept).of(image)) == 64
    assert Digests(tmp_path / "other.json").of(tmp_path / "absent") is None


def test_a_sidecar_that_changed_tells_the_unit_anew(folder, catalogue):
    save_image(folder / "one.nii.gz", STORED.astype(np.float32), np.eye(4))
    catalogue._studies.refresh()

    def units():
        (series,) = catalogue.series(catalogue.uids_of("one")[0]).values()
        (metadata,) = series.metadata(series.instances[:1])
        return metadata["00541001"]["Value"]

    assert units() == ["CNTS"]
    (folder / "one.json").write_text('{"Units": "g/mL"}')
    assert units() == ["GML"]
