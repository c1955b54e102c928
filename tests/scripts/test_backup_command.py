"""`segpet backup` and `segpet restore`: what people are told."""

import tarfile

import pytest
from typer.testing import CliRunner

from lib.store import Journal, StateFolder
from scripts.__main__ import app
from tests.system_faults import full_disk


@pytest.fixture
def place(tmp_path):
    """A studies folder with a state folder of 50 kB beside it."""
    (tmp_path / "pet").mkdir()
    state = StateFolder(tmp_path / ".segpet/pet")
    Journal(state.folder("journal")).append("a", {"event": "clicks", "text": "x" * 50_000})
    return tmp_path


def run(*asked):
    done = CliRunner().invoke(app, [str(one) for one in asked])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_backup_beyond_the_greatest_size_of_a_file_is_told_in_a_sentence(place):
    with full_disk(20_000):
        done = run("backup", place / "pet", "-o", place / "b.tar")
    assert (done.exit_code, done.stderr) == (2, "A file could not be written: File too large.\n")
    assert sorted(one.name for one in place.iterdir()) == [".segpet", "pet"]


def test_a_backup_of_a_newer_segpets_store_is_put_back_and_told(place):
    (place / ".segpet/pet/format").write_text("7\n")
    run("backup", place / "pet", "-o", place / "b.tar")
    (place / "b").mkdir()
    done = run("restore", place / "b.tar", place / "b")
    assert (done.exit_code, "A newer SegPET wrote" in done.stderr) == (1, True)
    assert (place / ".segpet/b/format").read_text() == "7\n"


def test_a_backup_that_lists_no_files_is_told(place):
    run("backup", place / "pet", "-o", place / "b.tar")
    with tarfile.open(place / "b.tar") as tar:
        end = tar.getmembers()[-1].offset
    content = (place / "b.tar").read_bytes()
    (place / "former.tar").write_bytes(content[:end] + bytes(1024))
    for name, told in (("b", False), ("former", True)):
        (place / name).mkdir()
        done = run("restore", place / f"{name}.tar", place / name)
        assert (done.exit_code, "is not known" in done.stderr) == (0, told)
