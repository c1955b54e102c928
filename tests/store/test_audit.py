"""The audit log: every event on the disk, none changed unseen, and no study by its name."""

import json
import multiprocessing
import os

import pytest
from typer.testing import CliRunner

from lib.store import Audit, StoreError
from scripts.__main__ import app


@pytest.fixture
def audit(tmp_path):
    return Audit(tmp_path / "audit")


def lines(audit):
    return [line for file in sorted(audit.folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def test_what_was_done_is_read_again_in_order(audit):
    audit.append("save", "ann", "Doe_Jane", status="draft", version=1)
    audit.append("promotion", "adam", version=3)
    one, two = Audit(audit.folder).read()
    assert (one["event"], one["user"], one["status"], one["version"]) == ("save", "ann", "draft", 1)
    assert (two["event"], two["user"], "study" in two) == ("promotion", "adam", False)
    assert one["time"] <= two["time"]


def test_a_study_is_a_pseudonym_the_same_each_time_and_another_elsewhere(audit, tmp_path):
    records = [audit.append("save", "ann", "Doe_Jane") for _ in range(2)]
    assert records[0]["study"] == records[1]["study"] == Audit(audit.folder).pseudonym("Doe_Jane")
    assert "Doe" not in "".join(lines(audit))
    assert Audit(tmp_path / "other").pseudonym("Doe_Jane") != records[0]["study"]


def test_files_are_for_the_owner_alone(audit):
    audit.append("save", "ann", "Doe_Jane")
    assert len(list(audit.folder.iterdir())) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in [audit.folder, *audit.folder.iterdir()])


@pytest.mark.parametrize("harm", ["change", "drop", "swap", "drop_first", "no_json"])
def test_a_line_that_was_changed_or_taken_out_shows(audit, harm):
    for version in range(4):
        audit.append("save", "ann", "Doe_Jane", version=version)
    (file,) = audit.folder.glob("*.jsonl")
    kept = lines(audit)
    harmed = {
        "change": [kept[0], kept[1].replace("ann", "bob"), *kept[2:]],
        "drop": [kept[0], *kept[2:]],
        "swap": [kept[0], kept[2], kept[1], kept[3]],
        "drop_first": kept[1:],
        "no_json": [kept[0], "{", *kept[2:]],
    }[harm]
    file.write_text("\n".join(harmed) + "\n")
    with pytest.raises(StoreError, match="does not follow"):
        list(audit.read())


def test_a_month_goes_on_from_the_one_before_and_a_clock_put_back_does_not_go_before(audit):
    audit.append("save", "ann", version=1)
    (file,) = audit.folder.glob("*.jsonl")
    file.rename(audit.folder / "2020-01.jsonl")
    audit.append("save", "ann", version=2)
    assert len(list(audit.folder.glob("*.jsonl"))) == 2
    (file,) = audit.folder.glob("202[1-9]-*.jsonl")
    file.rename(audit.folder / "2999-12.jsonl")
    audit.append("save", "ann", version=3)
    assert [record["version"] for record in audit.read()] == [1, 2, 3]
    assert len(list(audit.folder.glob("*.jsonl"))) == 2


def test_what_a_crash_left_of_a_line_is_no_line(audit):
    audit.append("save", "ann", version=1)
    (file,) = audit.folder.glob("*.jsonl")
    with file.open("a") as torn:
        torn.write('{"time":"2026')
    assert [record["version"] for record in audit.read()] == [1]
    audit.append("save", "ann", version=2)
    assert [record["version"] for record in audit.read()] == [1, 2]


def _appends(folder):
    for _ in range(20):
        Audit(folder).append("save", str(os.getpid()))


def test_processes_that_append_together_keep_one_chain(audit):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_appends, args=(audit.folder,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(list(audit.read())) == 60


def test_the_command_prints_and_checks(tmp_path):
    studies = tmp_path / "studies"
    studies.mkdir()
    log = Audit(tmp_path / ".segpet/studies/audit")
    for folder in (tmp_path / ".segpet", tmp_path / ".segpet/studies"):
        folder.chmod(0o700)
    log.append("save", "ann", "Doe_Jane", status="final")
    log.append("save", "bob", "second", status="draft")
    run = CliRunner().invoke
    sound = run(app, ["audit", str(studies), "--study", "Doe_Jane"])
    assert [json.loads(line)["user"] for line in sound.stdout.splitlines()] == ["ann"]
    assert (sound.exit_code, sound.stderr) == (0, "2 entries, unchanged.\n")
    (file,) = log.folder.glob("*.jsonl")
    file.write_text(file.read_text().replace("bob", "ann"))
    result = run(app, ["audit", str(studies)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert len(result.stdout.splitlines()) == 1
