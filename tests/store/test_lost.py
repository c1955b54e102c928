"""What was saved and is gone is told, and what a repair moved aside, or was never there, is not."""

import shutil
from pathlib import Path

import pytest

from lib.store import Audit, Journal, LabelVersions, Models, StateFolder
from lib.store.checkup import Aside
from lib.store.checkup.lost import check_lost
from lib.store.reports import AcceptedImpressions

LONG = "patient " * 30


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A state folder as a server leaves it: versions 1 to 3 of two studies, impressions, weights."""
    folder = tmp_path_factory.mktemp("filled")
    state = StateFolder(folder / "state")
    file = folder / "mask.nii.gz"
    file.write_bytes(b"x")
    for study in ("a", LONG):
        for _ in range(3):
            number = LabelVersions(state.folder("labels")).save(study, file, {}, "me", "draft")
            Journal(state.folder("journal")).append(study, {"event": "save", "version": number})
            Audit(state.folder("audit")).append("save", "me", study, version=number)
            AcceptedImpressions(state.folder("impressions")).accept(study, number, "en", "f", "i", "me")
            Models(state.folder("models")).add(file, {})
    Journal(state.folder("journal")).append("only looked at", {"event": "clicks"})
    return state.path


@pytest.fixture
def state(filled, tmp_path):
    return Path(shutil.copytree(filled, tmp_path / "state"))


def long(state: Path, kind: str) -> Path:
    (found,) = (state / kind).glob("patient*")
    return found


def remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def logs(state: Path) -> list[Path]:
    return list((state / "audit").glob("*.jsonl"))


def hide_journals(state: Path) -> None:
    remove(*(state / "journal").iterdir())


#: What is taken away, and the beginnings of what is told of it.
LOST = {
    "a version in between": (lambda s: remove(s / "labels/a/2"), ["Version 2 of the label of a was saved"]),
    "the first two": (
        lambda s: remove(s / "labels/a/1", s / "labels/a/2"),
        ["Version 1, 2 of the label of a"],
    ),
    "the newest version": (lambda s: remove(s / "labels/a/3"), ["Version 3 of the label of a"]),
    "a study's label": (lambda s: remove(s / "labels/a"), ["Version 1, 2, 3 of the label of a"]),
    "all labels, without an audit log's lines": (
        lambda s: remove(s / "labels", *logs(s)),
        ["Version 1, 2, 3 of the label of a", "Version 1, 2, 3 of the label of patient"],
    ),
    "a label and its journal": (
        lambda s: remove(s / "labels/a", s / "journal/a.jsonl"),
        ["The log has saves of labels of studies with neither"],
    ),
    "the journals": (hide_journals, ["The journal of a is gone", "The journal of patient"]),
    "the journal of a long name": (lambda s: remove(long(s, "journal")), ["The journal of patient"]),
    "the audit log": (lambda s: remove(s / "audit"), ["The audit log or its key is gone"]),
    "the key": (lambda s: remove(s / "audit/key"), ["The audit log or its key is gone"]),
    "what the key says": (lambda s: (s / "audit/key").write_text("?"), ["The audit log or its key is gone"]),
    "an impression": (lambda s: remove(s / "impressions/a/2.json"), ["Accepted impression 2 of a was"]),
    "weights": (lambda s: remove(s / "models/4"), ["Version 4 of the weights was saved"]),
}


def told(state: Path) -> list[str]:
    return [one.what for one in check_lost(state)]


def test_of_a_store_that_has_all_nothing_is_told(state):
    assert told(state) == []


@pytest.mark.parametrize("what", LOST)
def test_what_is_gone_is_told_and_only_that(state, what):
    take, begins = LOST[what]
    take(state)
    found = told(state)
    assert len(found) == len(begins) and all(map(str.startswith, found, begins)), found


def test_what_a_repair_moved_aside_is_not_gone(state):
    aside = Aside(state, state)
    for name in ("labels/a/1", "labels/a/3", "impressions/a/2.json", "models/5"):
        aside.move(state / name)
    assert told(state) == []


def test_a_version_whose_save_nobody_was_told_of_is_not_gone(state, tmp_path):
    (tmp_path / "mask.nii.gz").write_bytes(b"x")
    LabelVersions(state / "labels").save("b", tmp_path / "mask.nii.gz", {}, "me", "draft")
    Journal(state / "journal").append("c", {"event": "save", "tag": "original"})
    assert told(state) == []


def test_a_number_out_of_all_reason_takes_no_time(state):
    (state / "labels/a/20261128000000").mkdir()
    assert told(state) == [
        "Version 4, 5, 6, 7, 8 and more of the label of a was saved and is gone. A backup may have it."
    ]
