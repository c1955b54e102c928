import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lib.store import LabelVersions, StoreError

ROOT = Path(__file__).resolve().parents[2]

# A process that saves a second version and ends without warning just before, or just after, its n-th step.
SAVE_AND_DIE = """
import os, sys
from pathlib import Path
from lib.store import LabelVersions

steps = [(os, "fsync"), (os, "open"), (os, "mkdir"), (Path, "rename"), (Path, "replace")]
folder, mask, end, when = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
taken = 0

def mortal(step):
    def run(*args, **kwargs):
        global taken
        taken += 1
        if taken == end and when == "before":
            os._exit(9)
        done = step(*args, **kwargs)
        if taken == end and when == "after":
            os._exit(9)
        return done
    return run

labels = LabelVersions(folder)
for owner, name in steps:
    setattr(owner, name, mortal(getattr(owner, name)))
print(labels.save("study", mask, {"new": True}, "b", "final"))
"""


@pytest.fixture
def labels(tmp_path):
    return LabelVersions(tmp_path / "labels")


@pytest.fixture
def mask(tmp_path):
    """A function that makes a mask file with the given content."""

    def make(content, name="mask.nii.gz"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


def test_a_saved_label_comes_back_with_its_objects_author_and_status(labels, mask):
    labels.save("a", mask(b"one"), {"objects": [{"id": 1, "label": "lesion"}]}, "Dr. Li 李", "draft")
    current = LabelVersions(labels.folder).current("a")
    assert current.mask.read_bytes() == b"one"
    assert current.objects() == {"objects": [{"id": 1, "label": "lesion"}]}
    assert (current.number, current.author, current.status) == (1, "Dr. Li 李", "draft")


@pytest.mark.parametrize("name", ["mask.nii.gz", "instances.nii.gz", "objects.json"])
def test_a_file_that_is_not_what_was_saved_is_told(labels, mask, name):
    labels.save("a", mask(b"one"), {}, None, "draft", mask(b"two", "y.nii.gz"))
    labels.current("a").check()
    file = labels.current("a").mask.parent / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"its {name} is not what was saved"):
        labels.current("a").check()
    file.unlink()
    with pytest.raises(StoreError, match=f"its {name} cannot be read"):
        labels.current("a").check()


def test_an_instance_map_is_kept_beside_the_class_map(labels, mask):
    labels.save("a", mask(b"classes", "x.nrrd"), {}, None, "draft", mask(b"instances", "y.nii.gz"))
    current = labels.current("a")
    assert (current.mask.name, current.instances.name) == ("mask.nrrd", "instances.nii.gz")
    assert (current.mask.read_bytes(), current.instances.read_bytes()) == (b"classes", b"instances")
    labels.save("a", mask(b"classes"), {}, None, "draft")
    assert labels.current("a").instances is None


def test_a_save_becomes_current_and_earlier_versions_stay_as_they_were(labels, mask):
    for number, status in enumerate(["draft", "submitted", "reviewed", "final"], start=1):
        assert labels.save("a", mask(status.encode()), {"n": number}, None, status) == number
    versions = labels.versions("a")
    assert [v.number for v in versions] == [1, 2, 3, 4]
    assert [v.mask.read_text() for v in versions] == [v.status for v in versions]
    assert [v.objects() for v in versions] == [{"n": number} for number in (1, 2, 3, 4)]
    assert [v.time for v in versions] == sorted(v.time for v in versions)
    assert labels.current("a") == versions[-1]


def test_a_saved_mask_no_longer_depends_on_the_file_it_came_from(labels, mask):
    source = mask(b"one")
    labels.save("a", source, {}, None, "draft")
    source.write_bytes(b"overwritten")
    assert labels.current("a").mask.read_bytes() == b"one"


def test_an_empty_label_is_saved_like_any_other(labels, mask):
    labels.save("a", mask(b""), {"objects": []}, None, "final")
    assert labels.current("a").objects() == {"objects": []}


@pytest.mark.parametrize(
    ("name", "kept"),
    [("STS.1.nii.gz", "mask.nii.gz"), ("STS.1.nrrd", "mask.nrrd"), ("x.nii", "mask.nii"), ("x", "mask")],
)
def test_the_mask_keeps_the_format_that_its_name_states(labels, mask, name, kept):
    labels.save("a", mask(b"", name), {}, None, "draft")
    assert labels.current("a").mask.name == kept


def test_a_study_without_a_label_has_no_versions(labels):
    assert labels.versions("a") == [] and labels.current("a") is None


@pytest.mark.parametrize("study", ["../../evil", "..", "a/b", ".hidden", "肝" * 300])
def test_no_name_of_a_study_leads_out_of_the_folder(labels, mask, study):
    labels.save(study, mask(b""), {}, None, "draft")
    labels.save("other", mask(b""), {}, None, "draft")
    assert labels.current(study).mask.parents[2] == labels.folder
    assert len(labels.versions(study)) == 1


def test_everything_is_private(labels, mask):
    labels.save("a", mask(b""), {}, None, "draft")
    folders = [labels.folder, *(path for path in labels.folder.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "done"}, "status is one of draft, submitted, reviewed, final, not 'done'"),
        ({"objects": {"suv": float("nan")}}, "cannot be kept as JSON"),
        ({"mask_file": Path("nowhere.nii.gz")}, "no mask to save"),
        ({"instance_file": Path("nowhere.nii.gz")}, "no mask to save"),
        ({"study": ""}, "not empty"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(labels, mask, change, sentence):
    labels.save("a", mask(b"one"), {}, None, "draft")
    good = {"study": "a", "mask_file": mask(b"two"), "objects": {}, "author": None, "status": "draft"}
    before = sorted(labels.folder.rglob("*"))
    with pytest.raises(StoreError, match=sentence):
        labels.save(**(good | change))
    assert sorted(labels.folder.rglob("*")) == before
    assert labels.current("a").mask.read_bytes() == b"one"


def test_a_damaged_pointer_is_reported_with_its_path(labels, mask):
    labels.save("a", mask(b"one"), {}, None, "draft")
    (labels.folder / "a" / "current.json").write_text("{")
    with pytest.raises(StoreError, match=r"current\.json is damaged"):
        labels.current("a")


@pytest.mark.parametrize("owner_and_name", [(os, "fsync"), (Path, "rename"), (Path, "replace")])
def test_a_save_that_fails_keeps_the_earlier_version_current_and_leaves_no_rest(
    labels, mask, monkeypatch, owner_and_name
):
    labels.save("a", mask(b"one"), {"n": 1}, None, "draft")
    before = sorted(labels.folder.rglob("*"))

    def fail(*_, **__):
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(*owner_and_name, fail)
        labels.save("a", mask(b"two"), {"n": 2}, None, "draft")
    assert sorted(labels.folder.rglob("*")) == before
    assert (labels.current("a").mask.read_bytes(), labels.current("a").objects()) == (b"one", {"n": 1})
    labels.save("a", mask(b"two"), {"n": 2}, None, "draft")
    assert labels.current("a").objects() == {"n": 2}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new_label_current(labels, mask, when):
    old, new = mask(b"old"), mask(b"new", "new.nii.gz")
    seen = set()
    for step in range(1, 100):
        shutil.rmtree(labels.folder, ignore_errors=True)
        labels = LabelVersions(labels.folder)
        labels.save("study", old, {"new": False}, "a", "draft")
        command = [sys.executable, "-c", SAVE_AND_DIE, str(labels.folder), str(new), str(step), when]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        assert ended.returncode in (0, 9)
        current = labels.current("study")
        seen.add(current.number)
        whole = {1: (b"old", {"new": False}, "a", "draft"), 2: (b"new", {"new": True}, "b", "final")}
        for version in labels.versions("study"):
            found = (version.mask.read_bytes(), version.objects(), version.author, version.status)
            assert found == whole[version.number]
        assert current in labels.versions("study")
        if ended.returncode == 0:
            break
        number = labels.save("study", new, {"new": True}, "b", "final")
        assert labels.current("study").number == number == len(labels.versions("study"))
        assert not list(labels.folder.rglob("*.part"))
    assert ended.stdout == "2\n" and step > 10 and seen == {1, 2}


def test_writers_at_once_get_different_versions_and_lose_none(labels, mask):
    def save(name):
        for _ in range(10):
            source = mask(name.encode(), f"{name}.nii")
            numbers.append(labels.save("a", source, {"by": name}, name, "draft"))

    numbers: list[int] = []
    threads = [threading.Thread(target=save, args=[f"reader {i}"]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 41))
    for version in labels.versions("a"):
        assert version.objects() == {"by": version.author} and version.mask.read_text() == version.author
    assert labels.current("a").number == 40


def test_the_counting_version_is_the_newest_of_the_furthest_status(labels, mask):
    assert labels.counting("study") is None
    numbers = []
    for status in ("draft", "final", "submitted", "final", "draft"):
        numbers.append(labels.save("study", mask(b"x"), {}, "me", status))
        counting = labels.counting("study")
    assert counting.number == numbers[3]
    assert labels.current("study").number == numbers[4]
