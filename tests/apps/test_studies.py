"""The studies folder by itself: threads, crashes, and what is refused."""

import json
import threading
from pathlib import Path

import pytest
from fastapi import HTTPException

from apps.segpet.strategies import Random
from apps.segpet.studies import Studies
from apps.segpet.uploads import Uploads
from lib.pet import VolumeError


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.nii.gz", "b.nii", "c.nrrd", "photo.png"):
        (tmp_path / name).write_bytes(b"image")
    return tmp_path


def studies_in(folder: Path, before_save=lambda *_: None) -> Studies:
    return Studies(str(folder), auto_reload=False, before_save=before_save)


def label(folder: Path, name: str, content: bytes = b"mask") -> str:
    path = folder.parent / f"{folder.name}-{name}"
    path.write_bytes(content)
    return str(path)


def test_only_images_are_studies(folder):
    assert sorted(studies_in(folder).list_images()) == ["a", "b", "c"]


def test_a_label_in_another_format_replaces_the_former_file(folder):
    studies = studies_in(folder)
    studies.save_label("a", label(folder, "x.nii.gz"), "final", {})
    studies.save_label("a", label(folder, "y.nrrd", b"new"), "final", {})
    assert [path.name for path in (folder / "labels/final").iterdir()] == ["a.nrrd"]
    assert Path(studies.get_label_uri("a", "final")).read_bytes() == b"new"


def test_what_is_found_wrong_before_saving_keeps_the_label_out(folder):
    def refuse(*_):
        raise VolumeError("It is torn.")

    studies = studies_in(folder, refuse)
    with pytest.raises(HTTPException, match="It is torn") as error:
        studies.save_label("a", label(folder, "x.nii"), "final", {})
    assert error.value.status_code == 422
    assert studies.get_labeled_images() == []
    assert list((folder / "labels/final").iterdir()) == []


def test_threads_always_see_all_studies_while_others_save_and_reload(folder):
    studies = studies_in(folder)
    mask = label(folder, "x.nii")
    missing, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            if len(studies.list_images()) != 3 or not studies.get_image_uri("a"):
                missing.append("a study")

    def reload():
        while not stop.is_set():
            studies.refresh()

    threads = [threading.Thread(target=work) for work in (look, look, reload)]
    for thread in threads:
        thread.start()
    for number in range(40):
        studies.save_label("abc"[number % 3], mask, "final", {"number": number})
    stop.set()
    for thread in threads:
        thread.join()
    assert missing == []
    assert sorted(studies.get_labeled_images()) == ["a", "b", "c"]


def test_a_list_of_studies_is_replaced_not_rewritten(folder, monkeypatch):
    studies = studies_in(folder)
    before = (folder / "datastore_v2.json").read_text()
    monkeypatch.setattr("lib.store.atomic.os.fsync", _full_disk)
    with pytest.raises(OSError, match="full"):
        studies.update_image_info("a", {"seen": 1})
    assert (folder / "datastore_v2.json").read_text() == before


def _full_disk(_):
    raise OSError("full")


def test_a_study_proposed_this_very_second_is_proposed_again_where_it_is_the_only_one(folder):
    studies = studies_in(folder)
    for study in "bc":
        studies.save_label(study, label(folder, "x.nii"), "final", {})
    for _ in range(3):
        sample = Random()({"strategy": "random"}, studies)
        assert sample["id"] == "a"
        studies.update_image_info("a", {"strategy": {"random": {"ts": 2**62}}})
    studies.save_label("a", label(folder, "x.nii"), "final", {})
    assert Random()({"strategy": "random"}, studies) is None


def test_expired_and_broken_uploads_are_deleted_and_others_stay(tmp_path):
    uploads = Uploads(tmp_path / "uploads", expiry=3600)
    (tmp_path / "uploads").mkdir()
    kept, info = uploads.add_session(label(tmp_path, "one.nii"))
    old, old_info = uploads.add_session(label(tmp_path, "two.nii"))
    meta = {**old_info.to_json(), "last_access_ts": old_info.last_access_ts - 10_000}
    (Path(old_info.path) / "meta.info").write_text(json.dumps(meta))
    for name, content in (("torn", '{"name": "to'), ("list", "[]"), ("none", None)):
        (tmp_path / "uploads" / name).mkdir()
        if content is not None:
            (tmp_path / "uploads" / name / "meta.info").write_text(content)
    assert uploads.remove_expired() == 4
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [kept]
    assert uploads.get_session(old) is None
    assert uploads.known(kept).image == info.image
