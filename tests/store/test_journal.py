import json
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.store import Journal, StoreError

ROOT = Path(__file__).resolve().parents[2]
APPEND_WITHOUT_END = """
import sys
from pathlib import Path
from lib.store import Journal

journal, name = Journal(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    journal.append("study", {"by": name, "number": number})
    print(number, flush=True)
"""


def start_appending(folder, name, count):
    command = [sys.executable, "-c", APPEND_WITHOUT_END, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def only_file(journal):
    (path,) = journal.folder.iterdir()
    return path


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def test_events_come_back_in_order_with_their_time_and_study(journal):
    given = [{"kind": "click", "point": [1, 2, 3]}, {"kind": "undo"}, {"kind": "save", "text": "肝\n"}]
    returned = [journal.append("a", event) for event in given]
    events = Journal(journal.folder).read("a")
    assert events == returned
    assert events == [{"time": e["time"], "study": "a", **g} for e, g in zip(events, given, strict=True)]
    for event in events:
        time = datetime.fromisoformat(event["time"])
        assert time.utcoffset() == timedelta(0) and len(event["time"].split(".")[1]) == len("123+00:00")


def test_an_event_is_on_the_disk_when_append_returns(journal, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(only_file(journal).read_bytes()))
    journal.append("a", {"n": 1})
    journal.append("a", {"n": 2})
    assert synced[0].count(b"\n") == 1 and synced[-1].count(b"\n") == 2


def test_the_file_is_private(journal):
    journal.append("a", {})
    assert stat.S_IMODE(only_file(journal).stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700


def test_a_deleted_study_has_no_events_and_others_keep_theirs(journal):
    for study in ("a", "b"):
        journal.append(study, {"event": "x"})
    journal.delete("a")
    journal.delete("never there")
    assert journal.read("a") == []
    assert journal.studies() == ["b"]
    journal.append("a", {"event": "y"})
    assert [event["event"] for event in journal.read("a")] == ["y"]


def test_studies_are_kept_apart_and_listed_by_their_own_names(journal):
    names = ["b", "a/b", "../../etc/passwd", ".hidden", "肝" * 300, "x" * 5000, "\udcff"]
    for name in names:
        journal.append(name, {"of": name})
    assert journal.studies() == sorted(names)
    assert all([e["of"] for e in journal.read(name)] == [name] for name in names)
    assert all(path.parent == journal.folder for path in journal.folder.iterdir())


def test_an_unknown_study_has_no_events(journal):
    assert journal.read("a") == [] and journal.last("a") is None and journal.studies() == []


def test_last_is_the_newest_event_that_matches(journal):
    for number, kind in enumerate(["click", "save", "click", "undo"]):
        journal.append("a", {"kind": kind, "number": number})
    assert journal.last("a")["number"] == 3
    assert journal.last("a", kind="click")["number"] == 2
    assert journal.last("a", kind="click", number=0)["number"] == 0
    assert journal.last("a", kind="accept") is None
    assert journal.last("a", other=None) is None


@pytest.mark.parametrize("event", [{"time": "now"}, {"study": "b"}, {"suv": float("nan")}, {"mask": b"0"}])
def test_an_event_that_cannot_be_kept_is_refused_and_changes_nothing(journal, event):
    journal.append("a", {"n": 1})
    before = only_file(journal).read_bytes()
    with pytest.raises(StoreError):
        journal.append("a", event)
    assert only_file(journal).read_bytes() == before


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20)), min_size=1, max_size=4), st.data()
)
def test_a_torn_last_line_is_lost_alone_and_the_next_event_starts_on_a_fresh_line(
    tmp_path_factory, events, data
):
    events = [{f"_{key}": value for key, value in event.items()} for event in events]
    journal = Journal(tmp_path_factory.mktemp("journal"))
    kept = [journal.append("a", event) for event in events]
    path = only_file(journal)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)), label="bytes that reached the disk")
    path.write_bytes(whole[:cut])
    survivors = kept[: whole[:cut].count(b"\n")]
    assert journal.read("a") == survivors
    after = journal.append("a", {"n": 1})
    assert journal.read("a") == [*survivors, after]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_tail_of_zeros_as_a_power_cut_leaves_it_is_cut(journal):
    first = journal.append("a", {})
    with only_file(journal).open("ab") as file:
        file.write(bytes(5000))
    assert journal.read("a") == [first]
    assert journal.read("a") == [first] and len([journal.append("a", {}), *journal.read("a")]) == 3


@pytest.mark.parametrize("damage", [b"{\n", b"\n", b"[1]\n", b"\xff\n"])
def test_a_damaged_line_is_reported_by_its_number_and_hides_nothing(journal, damage):
    journal.append("a", {})
    with only_file(journal).open("ab") as file:
        file.write(damage)
    journal.append("a", {})
    with pytest.raises(StoreError, match=r"^Line 2 of the journal .* is damaged .* backup.$"):
        journal.read("a")


def test_a_killed_process_loses_no_event_it_was_told_is_kept(tmp_path):
    for round_ in range(3):
        process = start_appending(tmp_path, "killed", 1_000_000)
        for _ in range(20 + round_):
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        process.wait()
        process.stdout.close()
        numbers = [event["number"] for event in Journal(tmp_path).read("study")]
        assert numbers in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))
        only_file(Journal(tmp_path)).unlink()


def test_two_processes_and_threads_appending_at_once_lose_and_mix_nothing(tmp_path):
    count = 50
    processes = [start_appending(tmp_path, f"process {i}", count) for i in range(2)]
    journal = Journal(tmp_path)

    def append(name):
        for number in range(count):
            journal.append("study", {"by": name, "number": number})
            journal.read("study")

    threads = [threading.Thread(target=append, args=[f"thread {i}"]) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    events = journal.read("study")
    assert len(events) == 4 * count
    for name in ("process 0", "process 1", "thread 0", "thread 1"):
        assert [event["number"] for event in events if event["by"] == name] == list(range(count))
