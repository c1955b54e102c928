"""Saving with everything that belongs to it: the studies folder, versions, and the journal."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException
from serving import save_image

from apps.segpet.labels import LabelKeeper
from apps.segpet.studies import Studies
from infer_tasks.sessions import Clicked, SessionKey
from infer_tasks.workspace import Workspace
from lib.interaction import AnnotatedObject, Engine, Prompts, RegionGrower
from lib.pet import Crop, read_mask, write_mask
from lib.store import StateFolder

GRID = np.diag([4.0, 4.0, 4.0, 1.0])
HOT = ((10, 10, 10), (10, 10, 22))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(StateFolder(tmp_path / "state"), ("background", "lesion", "liver"), unit="SUVbw")


@pytest.fixture
def studies(tmp_path, workspace) -> Studies:
    values = np.ones((20, 20, 32), np.float32)
    for i, j, k in HOT:
        values[i - 3 : i + 3, j - 3 : j + 3, k - 3 : k + 3] = 9
    (tmp_path / "studies").mkdir()
    save_image(tmp_path / "studies/a.nii.gz", values, GRID)
    return Studies(str(tmp_path / "studies"), auto_reload=False, saving=LabelKeeper(workspace))


def mask_file(folder: Path, value: int = 1, name: str = "mask.nrrd") -> str:
    mask = np.zeros((20, 20, 32), np.uint8)
    for i, j, k in HOT:
        mask[i - 3 : i + 3, j - 3 : j + 3, k - 3 : k + 3] = value
    write_mask(folder / name, mask, GRID)
    return str(folder / name)


def test_a_save_that_fails_made_no_version_and_is_not_in_the_journal(tmp_path, studies, workspace):
    (tmp_path / "studies/labels/final").rmdir()
    (tmp_path / "studies/labels/final").write_bytes(b"in the way")
    with pytest.raises(HTTPException) as error:
        studies.save_label("a", mask_file(tmp_path), "final", {})
    assert error.value.status_code == 500
    assert workspace.versions.current("a") is None
    assert workspace.journal.read("a") == []


@pytest.mark.parametrize("tag", ["final", "original"])
def test_a_value_that_is_no_label_is_refused(tmp_path, studies, workspace, tag):
    with pytest.raises(
        HTTPException, match=r"holds the value 3, which is no label here \(0, 1, 2 are\)"
    ) as error:
        studies.save_label("a", mask_file(tmp_path, 3), tag, {})
    assert error.value.status_code == 422
    assert not studies.get_label_uri("a", tag)
    assert workspace.versions.current("a") is None and workspace.journal.read("a") == []
    studies.save_label("a", mask_file(tmp_path, 3), tag, {"label_info": [{"idx": 3, "name": "node"}]})
    assert studies.get_label_uri("a", tag)


def test_the_journal_tells_of_a_label_that_is_in_its_place(tmp_path, studies, workspace, monkeypatch):
    there = []
    append = workspace.journal.append

    def look(study, event):
        there.append((tmp_path / "studies/labels/final/a.nrrd").is_file())
        return append(study, event)

    monkeypatch.setattr(workspace.journal, "append", look)
    studies.save_label("a", mask_file(tmp_path), "final", {})
    assert there == [True]
    (event,) = workspace.journal.read("a")
    assert (event["event"], event["version"]) == ("save", 1)


def test_of_annotators_who_save_at_once_the_last_version_is_the_label(tmp_path, studies, workspace):
    masks = [mask_file(tmp_path, value, f"{value}.nrrd") for value in (1, 2, 3, 4)]
    info = {"label_info": [{"idx": 3, "name": "node"}, {"idx": 4, "name": "bone"}]}
    for _ in range(5):
        threads = [
            threading.Thread(target=studies.save_label, args=("a", mask, "final", info)) for mask in masks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        label = Path(studies.get_label_uri("a", "final"))
        assert label.read_bytes() == workspace.versions.current("a").mask.read_bytes()
    assert workspace.versions.current("a").number == 20


def test_a_version_holds_the_instance_map_and_its_objects(tmp_path, studies, workspace):
    volume = workspace.volumes.get(studies.known_image("a"))
    key = SessionKey("a", "suv_region", "reader")
    clicks = Prompts({"lesion": HOT})
    update = workspace.sessions.update(key, Engine(RegionGrower()), volume, clicks)
    studies.save_label("a", mask_file(tmp_path), "final", {"client_id": "reader"})
    version = workspace.versions.current("a")
    grid, affine = read_mask(version.instances)
    np.testing.assert_array_equal(grid > 0, read_mask(version.mask)[0] > 0)
    np.testing.assert_allclose(affine, GRID)
    assert [int(grid[place]) for place in HOT] == [1, 2]
    kept = version.objects()["objects"]
    assert [(obj["id"], obj["model"]) for obj in kept] == [(1, "suv_region"), (2, "suv_region")]
    assert [obj["uid"] for obj in kept] == [obj.uid for obj in update.objects]
    assert list(workspace.state.folder("results").iterdir()) == []


def kept_of(workspace) -> dict:
    return workspace.versions.current("a").objects()


@pytest.mark.parametrize(
    ("label_info", "name"), [([{"name": "node", "idx": 2}], "node"), (None, "liver"), ([], "liver")]
)
def test_the_viewers_names_of_values_count(tmp_path, studies, workspace, label_info, name):
    studies.save_label("a", mask_file(tmp_path, 2), "draft", {"label_info": label_info})
    assert [obj["label"] for obj in kept_of(workspace)["objects"]] == [name] * 2
    assert kept_of(workspace)["label_info"] == label_info


@pytest.mark.parametrize("label_info", ["liver", {"node": 2}, [{"name": "node", "id": 2}]])
def test_names_that_are_not_understood_store_no_other_organ(tmp_path, studies, workspace, label_info):
    with pytest.raises(HTTPException, match="label_info") as error:
        studies.save_label("a", mask_file(tmp_path, 2), "final", {"label_info": label_info})
    assert error.value.status_code == 422 and workspace.versions.current("a") is None


def test_what_is_known_of_a_label_has_the_values_of_its_file(tmp_path, studies, workspace):
    slicers = [{"name": "lesion", "idx": 2}, {"name": "liver", "idx": 3}]
    studies.save_label("a", mask_file(tmp_path, 2), "final", {"label_info": slicers, "model": "segpet"})
    known = studies.get_label_info("a", "final")
    assert known["label_info"] == [{"name": "lesion", "idx": 1}, {"name": "liver", "idx": 2}]
    assert kept_of(workspace)["label_info"] == known["label_info"] and known["model"] == "segpet"


def test_a_segmentation_of_slicer_names_its_own_values(tmp_path, studies, workspace):
    plain = Path(mask_file(tmp_path, 2))
    segments = [("background", 1), ("lesion", 2), ("liver", 3)]
    told = "".join(
        f"Segment{n}_Name:={name}\nSegment{n}_NameAutoGenerated:=0\nSegment{n}_LabelValue:={value}\n"
        for n, (name, value) in enumerate(segments)
    )
    label = tmp_path / "a.seg.nrrd"
    head, voxels = plain.read_bytes().split(b"\n\n", 1)
    label.write_bytes(head + b"\n" + told.encode() + b"\n" + voxels)
    slicers = [{"name": "lesion", "idx": 2}, {"name": "liver", "idx": 3}]
    studies.save_label("a", str(label), "final", {"label_info": slicers})
    assert [obj["label"] for obj in kept_of(workspace)["objects"]] == ["lesion"] * 2
    assert {"name": "lesion", "idx": 2} in studies.get_label_info("a", "final")["label_info"]


def test_a_version_is_restored_with_objects_that_touch_and_its_names(tmp_path, studies, workspace):
    touching = np.zeros((20, 20, 32), np.uint8)
    touching[8:12, 8:12, 6:26] = 2
    write_mask(tmp_path / "mask.nrrd", touching, GRID)
    node = AnnotatedObject.new(1, "node", None)
    halves = [Crop.from_grid(touching * (np.arange(32) // 16 == half) > 0) for half in (0, 1)]
    clicked = [Clicked(replace(node, id=at), "segpet", "", half) for at, half in enumerate(halves, start=1)]
    told = {"label_info": [{"name": "node", "idx": 2}]}
    studies.save_label("a", str(tmp_path / "mask.nrrd"), "final", told, clicked)
    studies.save_label("a", mask_file(tmp_path, name="other.nrrd"), "final", {})
    first = workspace.versions.get("a", 1)
    studies.save_label("a", str(first.mask), "final", {"version": 1})
    assert kept_of(workspace) == first.objects() and len(first.objects()["objects"]) == 2
    restored = read_mask(workspace.versions.current("a").instances)[0]
    np.testing.assert_array_equal(restored, read_mask(first.instances)[0])
    assert studies.get_label_info("a", "final")["label_info"] == told["label_info"]


@pytest.mark.parametrize(("version", "status"), [(1, 422), (9, 404), ("1", 404), (True, 404)])
def test_a_version_is_restored_by_its_own_mask_alone(tmp_path, studies, version, status):
    studies.save_label("a", mask_file(tmp_path), "final", {})
    with pytest.raises(HTTPException) as error:
        studies.save_label("a", mask_file(tmp_path, 2), "final", {"version": version})
    assert error.value.status_code == status
