import hashlib
import json
import os
import stat
import threading

import pytest

from lib.learning.promotion import Rule, write_rule
from lib.store import Models, StoreError


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(b"some weights")
    return path


@pytest.fixture
def models(tmp_path):
    return Models(tmp_path / "models")


def patients(count):
    return {f"study {number}": f"patient {number}" for number in range(count)}


def test_a_version_keeps_its_weights_and_its_card_and_says_when_it_was_made(models, weights):
    version = models.add(weights, {"mode": "decoder", "tracer": None})
    weights.write_bytes(b"others")

    kept = Models(models.folder).versions()
    assert kept == [version]
    assert version.path.read_bytes() == b"some weights"
    assert (version.number, version.name, version.card) == (
        1,
        "version-1",
        {"mode": "decoder", "tracer": None},
    )
    assert version.digest == hashlib.sha256(b"some weights").hexdigest()
    assert version.time.startswith("20")


def test_files_that_belong_together_are_a_version_too(models, weights, tmp_path):
    (tmp_path / "adapter.part").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "adapter.part" / name).write_text(name)
    version = models.add(tmp_path / "adapter.part", {})
    assert (version.name, version.path.name) == ("version-1", "version-1")
    together = b"adapter_config.jsonadapter_model.safetensors"
    assert version.digest == hashlib.sha256(together).hexdigest()
    assert (version.path / "adapter_config.json").read_text() == "adapter_config.json"
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="nor holds files"):
        models.add(tmp_path / "empty", {})


@pytest.mark.parametrize("folder", [False, True])
def test_only_the_owner_may_read_weights_and_cards(models, weights, folder):
    if folder:
        (weights.parent / "folder").mkdir()
        weights = weights.rename(weights.parent / "folder" / weights.name).parent
    version = models.add(weights, {})
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [*models.folder.rglob("*"), models.folder]}
    assert {mode & 0o077 for mode in modes.values()} == {0}, modes
    assert version.path in modes


def test_what_cannot_be_kept_changes_nothing(models, weights, tmp_path):
    for file, card in (
        (tmp_path / "gone", {}),
        (weights, {"loss": float("nan")}),
        (weights, {"file": weights}),
    ):
        with pytest.raises(StoreError):
            models.add(file, card)
    assert models.versions() == []
    assert list(models.folder.iterdir()) == []


def test_a_new_version_is_no_champion_until_it_is_promoted(models, weights):
    first = models.add(weights, {})
    assert models.champion() is None
    assert models.promote(1) == first == models.champion()
    with pytest.raises(StoreError, match=r"no version 7.*there are: 1"):
        models.promote(7)
    assert models.champion() == first


def test_a_version_of_a_number_that_no_folder_can_have_is_none(models, weights):
    models.add(weights, {})
    with pytest.raises(StoreError, match="no version"):
        models.promote(10**400)


def test_a_challenger_takes_over_only_from_the_champion_that_it_was_measured_against(models, weights):
    late = {"why": "too late"}
    first = models.challenge(weights, {"why": "better"}, None, late)
    assert (models.champion(), first.card) == (first, {"why": "better"})
    second = models.challenge(weights, {"why": "better", "mode": "lora"}, None, late)
    assert (models.champion(), second.card) == (first, {"why": "too late", "mode": "lora"})
    assert models.challenge(weights, {}, first, late) == models.champion()
    assert models.rollback() == first


def test_a_rollback_goes_to_the_champion_before_and_at_last_to_the_server_s_own_weights(models, weights):
    for _ in range(3):
        models.add(weights, {})
    for number in (1, 3, 3):
        models.promote(number)
    assert models.rollback().number == 1
    assert Models(models.folder).champion().number == 1
    assert models.rollback() is None
    with pytest.raises(StoreError, match="nothing to roll back"):
        models.rollback()
    assert [version.number for version in models.versions()] == [1, 2, 3]


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone", "card"])
def test_a_damaged_version_is_never_the_champion_and_a_rollback_passes_it(models, weights, damage):
    for _ in range(3):
        version = models.add(weights, {})
    models.promote(3)
    models.promote(2)
    file = version.path if damage != "card" else version.path.with_name("card.json")
    file.unlink() if damage == "gone" else file.write_bytes(
        b"some" if damage == "cut off" else b"Some weights"
    )
    assert (models.fault(2), models.fault(3).startswith("Version 3 of the weights is damaged")) == ("", True)
    with pytest.raises(StoreError, match="damaged"):
        models.promote(3)
    assert models.champions() == [3, 2]
    assert (models.rollback(), models.champions(), models.numbers()) == (None, [], [1, 2, 3])


@pytest.mark.parametrize("content", ["junk", '{"champions": ["x"]}', '{"champions": [null]}'])
def test_champions_that_cannot_be_read_are_damaged(models, content):
    (models.folder / "champion.json").write_text(content)
    with pytest.raises(StoreError, match=r"champion\.json is damaged"):
        models.champions()


def test_versions_of_many_threads_all_have_a_number_of_their_own(models, weights):
    threads = [threading.Thread(target=models.add, args=(weights, {"thread": n})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = models.versions()
    assert [version.number for version in versions] == list(range(1, 9))
    assert sorted(version.card["thread"] for version in versions) == list(range(8))


def test_what_a_killed_process_left_behind_is_no_version_and_is_cleared_away(models, weights):
    torn = models.folder / ".abc.part"
    torn.mkdir()
    (torn / "version-1.safetensors").write_bytes(b"half of it")
    assert models.versions() == []
    models.add(weights, {})
    assert not torn.exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda models: models.split(patients(4)),
        lambda models: write_rule(models.folder, Rule(gain=0.1)),
    ],
)
def test_what_is_just_written_is_not_cleared_away_by_another_writer(models, weights, monkeypatch, write):
    def promote_meanwhile(handle):
        fsync(handle)
        if not others:
            other = threading.Thread(target=Models(models.folder).promote, args=(1,))
            others.append(other)
            other.start()
            other.join(0.3)

    others, fsync = [], os.fsync
    models.add(weights, {})
    monkeypatch.setattr(os, "fsync", promote_meanwhile)
    write(models)
    others[0].join()
    assert models.champions() == [1]


@pytest.mark.parametrize(("count", "apart"), [(2, 1), (3, 1), (4, 2), (6, 3), (10, 3), (15, 5), (30, 6)])
def test_the_first_split_keeps_a_fifth_apart_and_three_or_five_where_others_are_left(models, count, apart):
    split = models.split(patients(count))
    assert len(split.validation) == apart
    assert sorted(split.training + split.validation) == sorted(patients(count))


def test_studies_of_one_patient_stay_together(models):
    studies = {f"{visit} of {patient}": patient for patient in "abcdef" for visit in ("first", "second")}
    split = models.split(studies)
    assert {studies[study] for study in split.training}.isdisjoint(studies[s] for s in split.validation)
    assert len(split.validation) == 6


def test_later_trainings_keep_the_split_and_learn_from_whoever_is_new(models):
    first = models.split(patients(10))
    later = Models(models.folder).split(
        patients(11) | {"another visit": f"patient {first.validation[0][-1]}"}
    )
    assert set(later.validation) == {*first.validation, "another visit"}
    assert set(first.training) <= set(later.training)
    assert len(later.training) == 8


def test_a_set_that_began_small_grows_by_new_patients_and_never_by_those_that_were_learnt_from(models):
    learnt, apart, times = set(), set(), {}
    for count, wanted in ((2, 1), (3, 1), (4, 2), (8, 3), (10, 3), (14, 4), (30, 6)):
        split = Models(models.folder).split(patients(count))
        assert len(split.validation) == wanted
        assert apart <= set(split.validation) and not learnt & set(split.validation)
        learnt |= set(split.training)
        apart = set(split.validation)
        kept = json.loads((models.folder / "split.json").read_text())
        assert kept["added"].keys() == set(kept["validation"]) and kept["added"].items() >= times.items()
        times = kept["added"]


def test_whoever_was_learnt_from_without_a_sure_label_is_not_kept_apart_later(models):
    first = models.split(patients(10), ["study 0", "study 1"])
    later = models.split(patients(10))
    assert later == first


def test_a_split_of_before_keeps_its_patients_and_adds_new_ones_only(models):
    (models.folder / "split.json").write_text('{"time": "then", "validation": ["patient 0"]}')
    assert models.split(patients(9)).validation == ("study 0",)
    assert set(models.split(patients(12)).validation) == {"study 0", "study 9", "study 10", "study 11"}
    assert json.loads((models.folder / "split.json").read_text())["added"]["patient 0"] == "then"


def test_patients_with_nothing_to_measure_are_not_kept_apart_and_replaced_where_they_are(models):
    usable = {"study 1", "study 3", "study 5", "study 6"}
    first = models.split(patients(8), is_measurable=usable.__contains__)
    assert len(first.validation) == 2 and set(first.validation) <= usable
    usable = {"study 0", "study 2", "study 8", "study 9"}  # the frozen labels were emptied, others outlined
    later = models.split(patients(10), is_measurable=usable.__contains__)
    assert len(set(later.validation) & usable) == 3


def test_a_rule_that_asks_for_more_patients_gets_more(models):
    assert len(models.split(patients(30), fewest=9).validation) == 9


def test_the_same_patients_are_split_alike_in_whatever_order_they_come(tmp_path):
    forward, backward = patients(9), dict(reversed(patients(9).items()))
    first, second = Models(tmp_path / "a").split(forward), Models(tmp_path / "b").split(backward)
    assert set(first.validation) == set(second.validation)


def test_only_patients_with_a_label_that_somebody_vouches_for_are_kept_apart(models):
    trusted = [f"study {number}" for number in range(4)]
    split = models.split(patients(20), trusted)
    assert set(split.validation) <= set(trusted)
    assert len(split.validation) == 2


def test_too_few_patients_are_told_what_to_do_and_nothing_is_written_down(models):
    with pytest.raises(StoreError, match="at least two patients"):
        models.split({"first": "one", "second": "two"}, is_measurable="first".__eq__)
    with pytest.raises(StoreError, match="All 2 studies have the same patient ID"):
        models.split({"first": "ANON", "second": "ANON"})
    assert not (models.folder / "split.json").exists()
    assert len(models.split(patients(3)).validation) == 1


def test_studies_of_patients_that_are_kept_apart_are_not_learnt_from(models):
    split = models.split(patients(4))
    with pytest.raises(StoreError, match="kept apart"):
        models.split({study: patients(4)[study] for study in split.validation})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"champions": 3}'])
def test_a_damaged_pointer_is_told_and_never_taken_for_no_champion(models, weights, content):
    models.add(weights, {})
    (models.folder / "champion.json").write_text(content)
    with pytest.raises(StoreError, match=r"champion\.json is damaged"):
        models.champion()


def test_a_damaged_card_is_told(models, weights):
    version = models.add(weights, {})
    card = version.path.parent / "card.json"
    card.write_text(json.dumps({"number": 1}))
    with pytest.raises(StoreError, match=r"card\.json is damaged"):
        models.versions()
