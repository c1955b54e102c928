"""The studies folder by itself: threads, crashes, and what is refused."""

import json
import os
import stat
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from dicom_series import scan_header, write_series
from fastapi import HTTPException

from apps.segpet.strategies import Random
from apps.segpet.studies import TAGS, Studies
from apps.segpet.uploads import Uploads
from lib.pet import VolumeError, write_mask
from lib.store import Leases


@pytest.fixture
def leases(tmp_path) -> Leases:
    return Leases(tmp_path / "leases")


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.nii.gz", "b.nii", "c.nrrd"):
        write_mask(tmp_path / name, np.ones((2, 2, 2), np.uint8), np.eye(4))
    (tmp_path / "photo.png").write_bytes(b"image")
    return tmp_path


def studies_in(folder: Path, saving=lambda *_: nullcontext()) -> Studies:
    return Studies(str(folder), auto_reload=False, saving=saving)


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


def test_a_label_that_cannot_be_copied_was_never_being_saved(folder):
    asked = []

    @contextmanager
    def ask(*_):
        asked.append(1)
        yield

    studies = studies_in(folder, ask)
    (folder / "labels/draft").write_bytes(b"a file in the folder's place")
    with pytest.raises(HTTPException, match="Something went wrong") as error:
        studies.save_label("a", label(folder, "x.nii"), "draft", {})
    assert error.value.status_code == 500
    assert asked == []


def test_a_label_takes_its_place_within_what_surrounds_it(folder):
    seen = []

    @contextmanager
    def look(*_):
        place = folder / "labels/final/a.nii"
        seen.append(place.exists())
        yield
        seen.append(place.read_bytes())

    studies_in(folder, look).save_label("a", label(folder, "x.nii"), "final", {})
    assert seen == [False, b"mask"]


def test_a_label_replaces_a_link_and_leaves_what_it_leads_to(folder):
    studies, victim = studies_in(folder), folder / "victim.txt"
    victim.write_bytes(b"precious")
    (folder / "labels/final/a.nii").symlink_to(victim)
    studies.save_label("a", label(folder, "x.nii"), "final", {})
    assert victim.read_bytes() == b"precious"
    assert (folder / "labels/final/a.nii").read_bytes() == b"mask"
    assert not (folder / "labels/final/a.nii").is_symlink()


@pytest.mark.parametrize(("mode", "label_mode"), [(0o750, 0o640), (0o2775, 0o664), (0o700, 0o600)])
def test_who_may_read_the_studies_may_read_their_labels(folder, mode, label_mode):
    folder.chmod(mode)
    mask = label(folder, "x.nii")
    Path(mask).chmod(0o600)
    studies_in(folder).save_label("a", mask, "final", {})
    assert stat.S_IMODE((folder / "labels/final/a.nii").stat().st_mode) == label_mode


def test_a_reader_never_sees_half_a_label(folder):
    studies, masks = studies_in(folder), [label(folder, f"{n}.nii", bytes([n]) * (4 << 20)) for n in (1, 2)]
    studies.save_label("a", masks[0], "final", {})

    def save():
        for n in range(20):
            studies.save_label("a", masks[n % 2], "final", {})

    saving = threading.Thread(target=save)
    saving.start()
    seen = set()
    while saving.is_alive():
        content = (folder / "labels/final/a.nii").read_bytes()
        seen.add((len(content), content[:1], content[-1:]))
    saving.join()
    assert seen <= {(4 << 20, bytes([n]), bytes([n])) for n in (1, 2)}


def test_the_last_to_keep_a_label_is_the_last_to_put_it_in_its_place(folder):
    kept, begun = [], threading.Event()

    @contextmanager
    def slow_after_the_first(_, __, label, *___):
        kept.append(label.read_bytes())
        begun.set()
        if label.name.endswith("slow.nii"):
            time.sleep(0.2)
        yield

    studies = studies_in(folder, slow_after_the_first)
    first = threading.Thread(
        target=studies.save_label, args=("a", label(folder, "slow.nii", b"first"), "final", {})
    )
    first.start()
    assert begun.wait(10)
    studies.save_label("a", label(folder, "x.nii", b"second"), "final", {})
    first.join()
    assert kept == [b"first", b"second"]
    assert (folder / "labels/final/a.nii").read_bytes() == b"second"


def test_what_a_killed_server_left_of_a_label_is_cleared_away(folder):
    studies = studies_in(folder)
    (folder / "labels/final/.saving-x").write_bytes(b"left")
    (folder / "labels/final/.other").write_bytes(b"not ours")
    studies.clear_parts()
    assert [path.name for path in (folder / "labels/final").iterdir()] == [".other"]


def test_hidden_files_and_names_that_are_no_text_are_no_studies(folder):
    (folder / "._a.nii.gz").write_bytes(b"macOS")
    (folder / os.fsdecode(b"M\xfcller.nii.gz")).write_bytes(b"image")
    (folder / "Müller.nii").write_bytes(b"image")
    assert sorted(studies_in(folder).list_images()) == ["Müller", "a", "b", "c"]
    assert len(studies_in(folder).list_images()) == 4  # from what the first one wrote


@pytest.mark.parametrize(
    "info", [{"note": "\ud800"}, {"\udcff": 1}, {"note": float("nan")}, {"deep": [{"x": float("-inf")}]}]
)
def test_what_could_not_be_read_again_is_not_kept(folder, info):
    studies = studies_in(folder)
    studies.save_label("a", label(folder, "x.nii"), "final", {})
    before = (folder / "datastore_v2.json").read_text()
    for write in (
        lambda: studies.update_image_info("a", info),
        lambda: studies.update_label_info("a", "final", info),
        lambda: studies.save_label("a", label(folder, "x.nii"), "final", info),
    ):
        with pytest.raises(HTTPException, match="Unicode") as error:
            write()
        assert error.value.status_code == 422
    assert (folder / "datastore_v2.json").read_text() == before
    assert studies_in(folder).list_images()


def test_a_linked_image_keeps_its_own_name_and_the_sidecar_beside_the_link(folder):
    archive = folder.parent / f"{folder.name}-archive"
    archive.mkdir()
    (archive / "Doe_Jane.nii.gz").write_bytes(b"image")
    (folder / "linked.nii.gz").symlink_to(archive / "Doe_Jane.nii.gz")
    studies = studies_in(folder)
    studies.save_label("linked", label(folder, "x.nii"), "final", {})
    assert studies.known_image("linked") == folder / "linked.nii.gz"
    assert studies.get_image_info("linked")["path"] == str(folder / "linked.nii.gz")
    (pair,) = studies.datalist()
    assert pair["image"] == str(folder / "linked.nii.gz")
    assert studies.datalist(full_path=False) == [
        {"image": "linked.nii.gz", "label": "labels/final/linked.nii"}
    ]


@pytest.mark.parametrize("ts", [-1, 2**40, -(10**400), True, 1.5, "1"])
def test_a_time_that_is_none_does_not_reach_the_strategies(folder, ts, leases):
    studies = studies_in(folder)
    with pytest.raises(HTTPException):
        studies.update_image_info("a", {"strategy": {"random": {"ts": ts}}})
    studies._datastore.objects["a"].image.info["strategy"] = {"random": {"ts": ts}}  # as once was kept
    assert Random(leases)({"strategy": "random"}, studies)


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


def test_a_study_proposed_this_very_second_is_proposed_again_where_it_is_the_only_one(folder, leases):
    studies = studies_in(folder)
    for study in "bc":
        studies.save_label(study, label(folder, "x.nii"), "final", {})
    for _ in range(3):
        sample = Random(leases)({"strategy": "random"}, studies)
        assert sample["id"] == "a"
        studies.update_image_info("a", {"strategy": {"random": {"ts": 2**40 - 1}}})
    studies.save_label("a", label(folder, "x.nii"), "final", {})
    assert Random(leases)({"strategy": "random"}, studies) is None


def test_a_tracer_is_read_from_headers_when_it_is_asked_for_and_not_without_end(folder, leases, monkeypatch):
    for patient, tracer in (("Roe", "Fluorodeoxyglucose F^18^"), ("Doe", "Ga-68 PSMA-11")):
        (folder / patient).mkdir()
        scan = scan_header(Radiopharmaceutical=tracer)
        write_series(folder / patient, np.full((4, 4, 3), 1000, np.uint16), edit=scan)
    (folder / "b.json").write_text('{"TracerName": "Tracer nobody knows"}')
    studies = studies_in(folder)

    def found(tracer):
        told = Random(leases)({"strategy": "random", "tracer": tracer}, studies)
        return told and told["id"]

    assert [found(tracer) for tracer in ("FDG", "PSMA-11", "TRACER nobody knows", "DOTATATE")] == [
        "Roe", "Doe", "b", None,
    ]  # fmt: skip
    monkeypatch.setattr("apps.segpet.strategies._READS_FOR", -1.0)
    with pytest.raises(HTTPException) as later:
        found("DOTATATE")
    assert (later.value.status_code, "ask again" in later.value.detail) == (503, True)


def test_expired_and_broken_uploads_are_deleted_and_others_stay(tmp_path):
    forgotten = []
    uploads = Uploads(tmp_path / "uploads", expiry=3600, forget=forgotten.append)
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
    assert forgotten == [old]
    uploads.remove_session(kept)
    assert forgotten == [old, kept]
