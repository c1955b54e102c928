"""A server that is killed, whose disk is full, that may not write: nothing acknowledged is missing."""

import json
import shutil
import threading
import time

import pytest
import requests
from panel_client import PanelClient, RefusedError

from lib.learning.studies import studies_of
from lib.store import Journal, LabelVersions, StoreError
from lib.store.backup import restore_backup, write_backup
from lib.store.checkup import check_state, check_studies
from tests.system_faults import full_disk


@pytest.fixture
def panel(run, request):
    """A panel of its own, with one object."""
    points = run.points["patient-3"]
    panel = PanelClient(
        run.server.url, "patient-3", request.node.name[:60].replace("[", "-").replace("]", "")
    )
    return panel.open().click(points[0]), points


def shown(panel):
    return panel.head["revision"], panel.head["objects"], panel.grid.tobytes()


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_acknowledged_is_missing_after_kills_while_people_work(run):
    assert run.result.broken == []
    assert sum(run.result.kills.values()) >= 3
    assert run.result.acknowledged["click"] and run.result.acknowledged["save"]
    assert run.result.events and run.result.versions


def test_the_fault_run_finds_what_is_missing(run):
    """It would be of no use if it could not: an acknowledged version, change or impression is taken away."""
    run.verify()
    (annotator,) = [one for one in run.annotators if one.saved and one.name != "reader-2"][:1]
    labels = LabelVersions(run.server.state / "labels")
    folder = labels.versions(annotator.title)[max(annotator.saved) - 1].mask.parent
    folder.rename(run.folder / "away")
    journal = run.server.state / f"journal/{annotator.title}.jsonl"
    lines = journal.read_bytes()
    rows = lines.splitlines(keepends=True)
    last = max(at for at, row in enumerate(rows) if json.loads(row).get("client") == annotator.name)
    journal.write_bytes(b"".join(row for at, row in enumerate(rows) if at != last))
    try:
        annotator.verify()
        assert any("is not there" in line for line in annotator.broken)
    finally:
        (run.folder / "away").rename(folder)
        journal.write_bytes(lines)
        annotator.broken.clear()
    annotator.verify()
    assert annotator.broken == []


@pytest.mark.parametrize("room", [0, 100])  # bytes: none at all, and less than a line of the journal
def test_a_full_disk_is_told_and_costs_neither_clicks_nor_labels(run, panel, room):
    panel, points = panel
    panel.save("draft")
    before, kept = shown(panel), files(run.server.state)
    journal = run.server.state / "journal/patient-3.jsonl"
    with full_disk(journal.stat().st_size + room if room else 0, run.server.pid):
        asked = [lambda: panel.click(points[1]), lambda: panel.post("undo"), lambda: panel.save("final")]
        for refused in asked[:2] if room else asked:  # the small files of a save have room
            with pytest.raises(RefusedError) as error:
                refused()
            assert error.value.status == 507
            assert error.value.detail.startswith("The server's disk is full. Nothing is lost")
        assert shown(panel.reload()) == before
    changed = {path for path, content in files(run.server.state).items() if kept.get(path, b"") != content}
    assert {path.parent.name for path in changed} <= {"leases"}
    panel.click(points[1])
    assert panel.head["revision"] == before[0] + 1
    assert panel.save("final")["status"] == "final"


def test_a_server_that_may_not_write_says_so_and_goes_on_when_it_may(run, panel):
    panel, points = panel
    panel.save("draft")
    before, state = shown(panel), run.server.state
    closed = [
        state / "labels",
        state / "labels/patient-3",
        state / "models",
        run.server.studies / "labels/final",
    ]
    champion = requests.get(f"{run.server.url}/segpet/training", timeout=30).json()["champion"]
    (state / "journal/patient-3.jsonl").chmod(0o400)
    for folder in closed:
        folder.chmod(0o500)
    try:
        promote = f"{run.server.url}/segpet/weights/promote"
        promoted = requests.post(promote, json={"version": 1 + (champion == 1)}, timeout=30)
        assert promoted.status_code == 503
        for refused in (lambda: panel.click(points[1]), lambda: panel.save("final")):
            with pytest.raises(RefusedError) as error:
                refused()
            assert error.value.status == 503
            assert "may not write" in error.value.detail
        assert shown(panel.reload()) == before
    finally:
        (state / "journal/patient-3.jsonl").chmod(0o600)
        for folder in closed:
            folder.chmod(0o700)
    panel.click(points[1])
    assert panel.save("final")["status"] == "final"


def test_a_damaged_journal_is_told_with_what_to_do(run, panel):
    panel, _ = panel
    state = run.server.state
    shutil.copyfile(state / "journal/patient-3.jsonl", state / "journal/patient-4.jsonl")
    with (state / "journal/patient-4.jsonl").open("ab") as file:
        file.write(b"{half a line\n")
    other = PanelClient(run.server.url, "patient-4", "anybody")
    with pytest.raises(RefusedError) as error:
        other.open()
    assert (error.value.status, "segpet doctor" in error.value.detail) == (503, True)
    (state / "journal/patient-4.jsonl").unlink()
    other.open()


def test_two_windows_of_one_client_cannot_both_change_the_same_state(run, panel):
    """Two writers at once: one is taken, the other is told that the session has moved on, nothing mixes."""
    panel, points = panel
    answers = []

    def click(point):
        body = {"object": None, "label": "lesion", "method": "suv_region", "positive": True}
        body |= {"point": point, "revision": panel.head["revision"]}
        answers.append(requests.post(f"{panel.session_url}/clicks", json=body, timeout=60).status_code)

    threads = [threading.Thread(target=click, args=(point,)) for point in (points[0], points[1], points[1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409, 409]
    lines = Journal(run.server.state / "journal").read("patient-3")
    own = [line["revision"] for line in lines if line.get("client") == panel.client]
    assert own == [1, 2, 3]


def test_a_backup_taken_while_people_work_is_restored_and_served(run, tmp_path):
    server = run.server
    with run.working():
        time.sleep(0.5)
        acknowledged = {one.name: (one.head["revision"], dict(one.saved)) for one in run.annotators}
        write_backup(server.state, server.studies, tmp_path / "backup.tar")
    run.verify()
    assert run.result.broken == [] and not any(one.broken for one in run.annotators)
    server.kill()
    server.state.rename(tmp_path / "state")
    (server.studies / "labels").rename(tmp_path / "labels")
    (server.studies / "datastore_v2.json").unlink()

    with pytest.raises(StoreError, match="There is something in"):
        restore_backup(tmp_path / "backup.tar", tmp_path / "state", None)
    restore_backup(tmp_path / "backup.tar", server.state, server.studies)
    images = {name: image for name, image, _ in studies_of(server.studies)}
    found = [*check_state(server.state), *check_studies(server.state, server.studies, images)]
    assert [one for one in found if not one.harmless] == []
    server.start()
    for one in run.annotators:
        revision, saved = acknowledged[one.name]
        panel = PanelClient(server.url, one.title, one.name).reload()
        assert panel.head["revision"] >= revision
        versions = {v.number: v for v in LabelVersions(server.state / "labels").versions(one.title)}
        assert {n: (versions[n].status, versions[n].author) for n in saved} == saved
    panel.save("final", replace=True)


@pytest.mark.parametrize("content", [b"", b"no tar", b"x" * 20_000])
def test_what_is_no_backup_is_refused_and_leaves_nothing(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(StoreError, match="is no backup of SegPET"):
        restore_backup(tmp_path / "x.tar", tmp_path / "state", None)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.tar"]
