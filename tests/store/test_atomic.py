import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from lib.store import rewrite_atomic, write_atomic


@pytest.mark.parametrize(
    ("content", "written"), [(b"\x00\xff", b"\x00\xff"), ("Zürich 肝", "Zürich 肝".encode())]
)
def test_bytes_are_written_as_they_are_and_text_as_utf8(tmp_path, content, written):
    write_atomic(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == written


def test_only_the_owner_may_read_the_file(tmp_path):
    write_atomic(tmp_path / "file", "x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_told_by_its_own_name(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent/users.txt", tmp_path / "folder"):
        with pytest.raises(OSError, match=r"No such file|directory") as error:
            write_atomic(path, "x")
        assert (error.value.filename, error.value.filename2) == (str(path), None)


def test_a_file_that_is_rewritten_stays_whose_it_was_and_where_its_link_leads(tmp_path, monkeypatch):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    given, fchown = [], os.fchown
    monkeypatch.setattr(os, "fchown", lambda handle, *whose: (given.append(whose), fchown(handle, *whose)))
    old = real.stat()
    rewrite_atomic(link, "new")
    assert given == [(old.st_uid, old.st_gid)]
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(PermissionError, match="its owner, group and mode have to stay") as error:
        rewrite_atomic(link, "newer")
    assert error.value.filename == str(real)
    assert real.read_text() == "new"
    rewrite_atomic(tmp_path / "first", "x")
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail) if step == "fsync" else monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_gets_its_name_and_the_name_before_the_call_returns(
    tmp_path, monkeypatch
):
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    write_atomic(tmp_path / "file", "x")
    assert steps == ["fsync", "replace", "fsync"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    contents = [letter * 100_000 for letter in "abcdefgh"]
    write_atomic(path, contents[0])

    def write() -> None:
        for content in contents * 5:
            write_atomic(path, content)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert path.read_text() in contents
    writer.join()
