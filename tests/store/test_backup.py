"""A store in one file and back again: nothing is left out, and a file that is cut off is not taken for whole."""

import os
import shutil
from pathlib import Path

import pytest

from lib.store import Journal, LabelVersions, StateFolder, StoreError
from lib.store.backup import restore_backup, write_backup


class Place:
    """A studies folder and a state folder, with two versions of a label and a journal."""

    def __init__(self, folder: Path) -> None:
        self.studies, self.state, self.tar = folder / "pet", folder / "state", folder / "b.tar"
        self.folder = folder
        (self.studies / "labels/final").mkdir(parents=True)
        StateFolder(self.state)

    def fill(self) -> None:
        mask = self.folder / "mask.nii.gz"
        for number in (1, 2):
            mask.write_bytes(os.urandom(3000))
            LabelVersions(self.state / "labels").save("a", mask, {}, "me", "final")
            Journal(self.state / "journal").append("a", {"event": "save", "version": number})
        for name in ("a", "b", "c"):
            shutil.copyfile(mask, self.studies / f"labels/final/{name}.nii.gz")

    def files(self) -> dict[str, bytes]:
        places = {"state": self.state, "studies": self.studies}
        return {
            f"{name}/{path.relative_to(place)}": path.read_bytes()
            for name, place in places.items()
            for path in place.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "here")
    made.fill()
    return made


@pytest.fixture
def other(tmp_path):
    """An empty place; its state folder is not there."""
    empty = Place(tmp_path / "there")
    empty.state.rmdir()
    return empty


def restored(place: Place, other: Place) -> dict[str, bytes]:
    write_backup(place.state, place.studies, place.tar)
    restore_backup(place.tar, other.state, other.studies)
    return other.files()


def test_folders_and_files_that_were_moved_and_linked_are_in_a_backup(place, other, tmp_path):
    before = place.files()
    big = tmp_path / "big"
    big.mkdir()
    for moved in (place.state / "labels", place.state / "journal/a.jsonl", place.studies / "labels"):
        (big / moved.parent.name).mkdir()
        shutil.move(moved, big / moved.parent.name / moved.name)
        moved.symlink_to(big / moved.parent.name / moved.name)
    (place.state / "loop").symlink_to(place.state)
    assert restored(place, other) == before


def test_files_that_share_their_bytes_are_all_in_a_backup(place, other):
    one, two = (place.state / f"labels/a/{number}/objects.json" for number in (1, 2))
    one.unlink()
    one.hardlink_to(two)
    before = place.files()
    assert restored(place, other) == before


def test_a_link_that_leads_nowhere_stops_a_backup(place):
    (place.state / "labels").rename(place.folder / "labels")
    (place.state / "labels").symlink_to(place.folder / "unplugged")
    with pytest.raises(StoreError, match="labels is a link that leads nowhere"):
        write_backup(place.state, place.studies, place.tar)
    assert not place.tar.exists()
