"""A full disk, folders that may not be written, a clock that jumps: what was there before stays as it was."""

import errno
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import lib.store.journal
import lib.store.labels
import lib.store.reports
from lib.store import Journal, LabelVersions, Leases, Models, StateFolder, StoreError, write_atomic
from lib.store.labels import point_to
from lib.store.locks import is_held
from lib.store.reports import AcceptedImpressions
from tests.system_faults import full_disk, jump_clock, obeying_modes

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from lib.store import StateFolder
StateFolder(sys.argv[1]).hold()
print("held", flush=True)
sys.stdin.read()
"""


class Store:
    """Every kind of thing that a team makes, once; `add` adds another of a kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self.file = folder / "x.nii.gz"
        self.file.write_bytes(b"x" * 10_000)
        self.journal, self.labels = Journal(self.folder / "journal"), LabelVersions(self.folder / "labels")
        self.models, self.accepted = (
            Models(self.folder / "models"),
            AcceptedImpressions(self.folder / "texts"),
        )
        for kind in ("journal", "label", "weights", "promotion", "impression", "file"):
            self.add(kind)

    def add(self, kind: str) -> None:
        match kind:
            case "journal":
                self.journal.append("a", {"text": "x" * 10_000})
            case "label":
                self.labels.save("a", self.file, {}, None, "final", self.file)
            case "weights":
                self.models.add(self.file, {})
            case "promotion":
                self.models.promote(len(self.models.versions()))
            case "impression":
                self.accepted.accept("a", 1, "en", "f" * 10_000, "i", "me")
            case "file":
                write_atomic(self.folder / "file.json", "x" * 10_000)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.mark.parametrize("most", [0, 5_000, 15_000])
@pytest.mark.parametrize("kind", ["journal", "label", "weights", "impression", "file"])
def test_a_full_disk_leaves_everything_as_it_was_and_later_the_same_goes_through(store, kind, most):
    before = store.files()
    refused = most < 10_000 or kind == "journal"  # a journal's second line ends at 20,000 bytes
    with full_disk(most):
        if refused:
            with pytest.raises(OSError) as error:
                store.add(kind)
            assert error.value.errno == errno.EFBIG
    if refused:
        assert store.files() == before
    store.add(kind)
    assert store.files().keys() >= before.keys()
    assert len(store.journal.read("a")) == (2 if kind == "journal" else 1)
    assert len(store.labels.versions("a")) == (2 if kind == "label" else 1)


def test_a_pointer_that_cannot_be_written_stays_as_it_was(store):
    store.add("label")
    with full_disk(0), pytest.raises(OSError, match="File too large"):
        point_to(store.labels.folder / "a", 1)
    assert store.labels.current("a").number == store.labels.counting("a").number == 2


@pytest.mark.parametrize("kind", ["label", "weights", "promotion", "impression", "file"])
def test_a_folder_that_may_not_be_written_keeps_what_it_holds(store, kind):
    before = store.files()
    store.models.add(store.file, {}) if kind == "promotion" else None
    before = store.files()
    folders = [store.folder, *(path for path in store.folder.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        with obeying_modes(), pytest.raises(PermissionError):
            store.add(kind)
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert store.files() == before
    store.add(kind)


def test_a_journal_that_may_not_be_written_keeps_its_lines(store):
    (file,) = store.journal.folder.iterdir()
    file.chmod(0o400)
    with obeying_modes(), pytest.raises(PermissionError):
        store.add("journal")
    file.chmod(0o600)
    assert len(store.journal.read("a")) == 1


def test_a_lease_that_cannot_be_written_keeps_nobody_from_a_study(tmp_path):
    leases = Leases(tmp_path / "leases")
    with full_disk():
        leases.renew("a", "reader-1")
    assert leases.holders("a") == []
    leases.renew("a", "reader-1")
    assert leases.holders("a") == ["reader-1"]


def test_a_device_that_is_full_is_told_as_such(tmp_path):
    journal = Journal(tmp_path)
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        journal.append("a", {})
    assert error.value.errno == errno.ENOSPC


def test_the_order_of_what_was_made_does_not_depend_on_the_clock(store, monkeypatch):
    for days in (-1000, 1000, -3):
        for module in (lib.store.journal, lib.store.labels, lib.store.reports):
            jump_clock(monkeypatch, module, timedelta(days=days))
        for kind in ("journal", "label", "impression"):
            store.add(kind)
    times = [version.time for version in store.labels.versions("a")]
    assert times != sorted(times)
    assert [version.number for version in store.labels.versions("a")] == [1, 2, 3, 4]
    assert store.labels.current("a").number == store.labels.counting("a").number == 4
    assert store.accepted.newest("a").number == 4
    journaled = [event["time"] for event in store.journal.read("a")]
    assert [time[:7] for time in journaled] == [time[:7] for time in times]


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_lease_of_before_the_clock_jumped_holds_again_once_it_is_renewed(tmp_path, jump):
    now = 1_000_000.0
    leases = Leases(tmp_path, clock=lambda: now)
    leases.renew("a", "reader-1")
    now += jump
    leases.renew("a", "reader-1")
    assert leases.holders("a") == ["reader-1"]


def test_a_second_server_on_a_state_folder_is_refused_until_the_first_is_gone_however_it_ended(tmp_path):
    state = StateFolder(tmp_path / "state")
    command = [sys.executable, "-c", HOLD, str(state.path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        assert is_held(state.path / "server.lock")
        with pytest.raises(StoreError, match="Another server is using the state folder"):
            state.hold()
        first.kill()
    assert not is_held(state.path / "server.lock")
    state.hold()
    state.hold()  # the same process may ask twice
    assert is_held(state.path / "server.lock")
