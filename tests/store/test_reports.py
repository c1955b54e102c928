import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.store import StoreError
from lib.store.reports import AcceptedImpressions


@pytest.fixture
def accepted(tmp_path):
    return AcceptedImpressions(tmp_path / "impressions")


def accept(accepted, study, impression, **more):
    return accepted.accept(study, 2, "en", "Findings.", impression, "reader", **more)


def test_the_one_accepted_last_counts_and_none_is_lost(accepted):
    for text in ("First.", "Second."):
        accept(accepted, "P 1", text, drafted="Drafted.", model="demo")
    newest = accepted.newest("P 1")
    assert (newest.number, newest.impression, newest.label) == (2, "Second.", 2)
    assert (newest.drafted, newest.model, newest.author) == ("Drafted.", "demo", "reader")
    assert len(list(accepted.folder.rglob("*.json"))) == 2


def test_a_study_without_one_has_none(accepted):
    assert accepted.newest("P1") is None


def test_the_newest_of_each_study_are_pairs_to_learn_from(accepted):
    for study, text in (("b", "B1."), ("a", "A."), ("b", "B2.")):
        accept(accepted, study, text)
    assert [(name, one.impression) for name, one in accepted.all_newest()] == [("a", "A."), ("b", "B2.")]


def test_an_impression_belongs_to_its_version_of_the_label(accepted):
    accept(accepted, "P1", "Text.")
    assert accepted.text_for("P1", 2) == "Text."
    assert accepted.text_for("P1", 3) == accepted.text_for("P2", 2) == ""


def test_readers_who_accept_at_once_lose_nothing(accepted):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: accept(accepted, "P1", f"{n}."), range(24)))
    assert sorted(one.number for one in made) == list(range(1, 25))


def test_others_may_not_read_them(accepted):
    accept(accepted, "P1", "Text.")
    assert accepted.folder.stat().st_mode & 0o077 == 0
    (file,) = accepted.folder.rglob("*.json")
    assert file.stat().st_mode & 0o077 == 0 and json.loads(file.read_bytes())["impression"] == "Text."


def test_a_damaged_file_is_named(accepted):
    accept(accepted, "P1", "Text.")
    (file,) = accepted.folder.rglob("*.json")
    file.write_text('{"number": 1}')
    with pytest.raises(StoreError, match="damaged"):
        accepted.newest("P1")
