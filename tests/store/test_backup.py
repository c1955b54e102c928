"""A store in one file and back again: nothing is left out, and one that is cut off is not taken for whole."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from lib.store import Audit, Journal, LabelVersions, StateFolder, StoreError, backup
from lib.store.backup import restore_backup, write_backup
from lib.store.checkup.lost import check_lost


class Place:
    """A studies folder and a state folder, with two versions of a label and a journal."""

    def __init__(self, folder: Path) -> None:
        self.studies, self.state, self.tar = folder / "pet", folder / "state", folder / "b.tar"
        self.folder = folder
        (self.studies / "labels/final").mkdir(parents=True)
        StateFolder(self.state)

    def save(self) -> int:
        (self.folder / "mask.nii.gz").write_bytes(os.urandom(3000))
        number = LabelVersions(self.state / "labels").save(
            "a", self.folder / "mask.nii.gz", {}, "me", "final"
        )
        Journal(self.state / "journal").append("a", {"event": "save", "version": number})
        return number

    def fill(self) -> None:
        self.save()
        self.save()
        for name in ("a", "b", "c"):
            shutil.copyfile(self.folder / "mask.nii.gz", self.studies / f"labels/final/{name}.nii.gz")

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


def refused(place: Place, other: Place, content: bytes) -> bool:
    """Whether a backup with this content is refused, in one sentence, and nothing is there then."""
    place.tar.write_bytes(content)
    try:
        restore_backup(place.tar, other.state, other.studies)
    except StoreError as error:
        assert str(error).startswith(str(place.tar)) and str(error).count("\n") == 0
        assert other.files() == {}
        assert not other.state.exists() and list(other.folder.iterdir()) == [other.studies]
        return True
    shutil.rmtree(other.state)
    shutil.rmtree(other.studies / "labels/final")
    return False


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_backup_that_is_cut_off_anywhere_is_not_restored(place, other, pack):
    write_backup(place.state, place.studies, place.tar)
    whole = pack(place.tar.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        last = tar.getmembers()[-1]
        end = last.offset_data + last.size if pack is bytes else len(whole) * 3 // 4
    assert (last.name, last.offset % 512) == ("manifest.json", 0)
    cuts = [*range(0, end, 512), *range(100, end, 1999), end - 1]
    assert [cut for cut in cuts if not refused(place, other, whole[:cut])] == []
    assert not refused(place, other, whole)


def test_a_backup_with_other_bytes_than_were_backed_up_is_not_restored(place, other):
    write_backup(place.state, place.studies, place.tar)
    whole = place.tar.read_bytes()
    with tarfile.open(place.tar) as tar:
        first, *_, last = tar.getmembers()
    for at in (first.offset + 3, first.offset_data + 7, last.offset + 3, last.offset_data + 70):
        assert refused(place, other, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for manifest in (b"{", b"[]", b'{"digests":null}', b"{}", b'{"digests":{}}'):
        content = manifest.ljust(last.size)
        assert refused(place, other, whole[: last.offset_data] + content + whole[-tarfile.RECORDSIZE :])
    first.mtime = 2**80  # no system's clock
    rest = whole[first.offset_data :]
    assert refused(place, other, first.tobuf(tarfile.GNU_FORMAT) + rest)


def without_manifest(place: Place) -> bytes:
    """A backup as it was before there were manifests."""
    write_backup(place.state, place.studies, place.tar)
    with tarfile.open(place.tar) as tar:
        end = tar.getmembers()[-1].offset
    return place.tar.read_bytes()[:end] + bytes(tarfile.RECORDSIZE)


def test_a_backup_without_a_manifest_is_taken_where_it_has_an_end_and_that_is_told(place, other):
    content = without_manifest(place)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        cuts = [one.offset for one in tar.getmembers()]
    assert all(refused(place, other, content[:cut]) for cut in cuts)
    damaged = bytearray(content)
    damaged[cuts[2]] ^= 1  # a header that does not fit its sum: tar files end there to most programs
    assert refused(place, other, bytes(damaged))
    place.tar.write_bytes(content)
    assert restore_backup(place.tar, other.state, other.studies) == (len(place.files()), False)
    assert other.files() == place.files()


def test_hard_links_of_a_former_backup_are_put_back_and_links_to_elsewhere_are_told(place, other):
    linked = tarfile.TarInfo("state/again.json")
    linked.type, linked.linkname = tarfile.LNKTYPE, "state/format.json"
    (place.state / "format.json").write_text("{}")
    content = without_manifest(place)[: -tarfile.RECORDSIZE]
    assert not refused(place, other, content + linked.tobuf() + bytes(tarfile.RECORDSIZE))
    restore_backup(place.tar, other.state, other.studies)
    assert (other.state / "again.json").read_text() == "{}"
    shutil.rmtree(other.state)
    shutil.rmtree(other.studies / "labels/final")
    linked.type = tarfile.SYMTYPE
    assert refused(place, other, content + linked.tobuf() + bytes(tarfile.RECORDSIZE))


def test_what_is_saved_meanwhile_is_not_missed_in_what_is_restored(place, other, monkeypatch):
    audit, saved = Audit(place.state / "audit"), []

    def save():
        saved.append(place.save())
        audit.append("save", "me", "a", version=saved[-1])

    def add(tar, path, within, add=backup._add):
        if within.startswith("state/audit/2") and len(saved) == 1:
            save()
        return add(tar, path, within)

    save()
    monkeypatch.setattr(backup, "_add", add)
    restored(place, other)
    assert saved == [3, 4]
    assert list(check_lost(other.state)) == []


@pytest.mark.parametrize("step", ["copyfile", "rename"])
def test_a_restore_that_fails_changes_nothing_and_names_the_file(place, other, monkeypatch, step):
    (place.studies / "datastore_v2.json").write_text('{"objects": {"a": {}}}')
    write_backup(place.state, place.studies, place.tar)
    (other.studies / "datastore_v2.json").write_text("{}")
    before = other.files()

    def copy(source, target, copyfile=shutil.copyfile):
        copyfile(source, target)
        if source.name == "b.nii.gz" and step == "copyfile":
            raise OSError(errno.ENOSPC, "No space left on device", str(source))

    def rename(path, target, rename=Path.rename):
        if target == other.state and step == "rename":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", copy)
        patch.setattr(Path, "rename", rename)
        with pytest.raises(OSError) as error:
            restore_backup(place.tar, other.state, other.studies)
    named = other.studies / "labels/final/b.nii.gz" if step == "copyfile" else other.state
    assert error.value.filename == str(named)
    assert other.files() == before
    restore_backup(place.tar, other.state, other.studies)
    assert other.files() == place.files()
