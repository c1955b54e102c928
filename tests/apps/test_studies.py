"""The studies folder by itself: threads, crashes, and what is refused."""

import json
import threading
import time
from pathlib import Path

import pytest
from fastapi import HTTPException

from apps.segpet.strategies import Random
from apps.segpet.studies import TAGS, Studies
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


class ClearsSlowly(dict):
    """Stays empty for a moment, as the list of images does while MONAI Label's class reloads it."""

    def clear(self):
        super().clear()
        time.sleep(0.05)


def test_other_threads_see_all_studies_while_one_reloads_them(folder):
    studies = studies_in(folder)
    studies._datastore.objects = ClearsSlowly(studies._datastore.objects)
    reloads = [threading.Thread(target=studies.refresh) for _ in range(3)]
    for thread in reloads:
        thread.start()
    while any(thread.is_alive() for thread in reloads):
        assert len(studies.list_images()) == 3
        assert studies.known_image("a").name == "a.nii.gz"
        assert studies.status()["total"] == 3


def test_no_label_is_lost_where_threads_save_and_reload(folder):
    studies, mask = studies_in(folder), label(folder, "x.nii")

    def save(study):
        for tag in TAGS:
            studies.save_label(study, mask, tag, {})
            studies.refresh()

    threads = [threading.Thread(target=save, args=(study,)) for study in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert studies.status()["label_tags"] == dict.fromkeys(TAGS, 3)
    assert studies_in(folder).status()["label_tags"] == dict.fromkeys(TAGS, 3)


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
