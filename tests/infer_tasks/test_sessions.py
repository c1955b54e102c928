import threading

import numpy as np
import pytest

from infer_tasks.sessions import BATCH, SessionKey, Sessions
from lib.interaction import Engine, PromptError, Prompts, RegionGrower, propose_seeds
from lib.pet import Volume, make_phantom
from lib.store import Journal

LABELS = ("background", "lesion", "liver")
KEY = SessionKey("study", "suv_region", "client")


@pytest.fixture(scope="module")
def volume() -> Volume:
    return make_phantom(1, (48, 48, 80), (8.0, 8.0, 8.0)).volume


@pytest.fixture(scope="module")
def hot(volume) -> list[tuple[int, int, int]]:
    """Two places that are hot, far from each other."""
    order = np.argsort(volume.array.ravel())[::-1]
    places = np.column_stack(np.unravel_index(order[:3000], volume.shape))
    far = places[np.linalg.norm(places - places[0], axis=1) > 20][0]
    return [tuple(int(at) for at in place) for place in (places[0], far)]


@pytest.fixture
def engine() -> Engine:
    return Engine(RegionGrower())


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "journal")


def test_an_answer_is_in_the_journal(engine, journal, volume, hot):
    update = Sessions(journal, LABELS).update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    (line,) = journal.read("study")
    assert line["objects"] == [obj.as_dict() for obj in update.objects]
    assert (line["model"], line["client"], line["image"]) == ("suv_region", "client", volume.digest)
    assert line["weights"] == engine.segmenter.digest


def test_a_request_that_changes_nothing_adds_no_line(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    for _ in range(3):
        sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    assert len(journal.read("study")) == 1


def test_a_refused_request_leaves_session_and_journal_as_they_were(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    before = sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    holed = volume.array.copy()
    holed[hot[1]] = np.nan
    with pytest.raises(PromptError):
        sessions.update(KEY, engine, Volume(holed, volume.affine, "SUVbw"), Prompts({"lesion": (hot[1],)}))
    after = sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    assert after.objects == before.objects
    assert len(journal.read("study")) == 1


def test_where_the_journal_cannot_be_written_the_click_did_not_happen(
    engine, journal, volume, hot, monkeypatch
):
    sessions = Sessions(journal, LABELS)
    monkeypatch.setattr(journal, "append", _full_disk)
    with pytest.raises(OSError, match="full"):
        sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    monkeypatch.undo()
    sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    assert len(journal.read("study")) == 1


def _full_disk(*_):
    raise OSError("full")


def test_new_sessions_go_on_from_the_journal(engine, journal, volume, hot):
    first, second = Prompts({"lesion": (hot[0],)}), Prompts({"lesion": tuple(sorted(hot))})
    before = Sessions(journal, LABELS).update(KEY, engine, volume, first)
    after = Sessions(journal, LABELS).update(KEY, Engine(RegionGrower()), volume, second)
    assert after.objects[0].uid == before.objects[0].uid
    assert len(after.objects) == 2


def test_another_image_under_the_same_name_begins_anew(engine, journal, volume, hot):
    sessions, prompts = Sessions(journal, LABELS), Prompts({"lesion": (hot[0],)})
    before = sessions.update(KEY, engine, volume, prompts)
    other = Volume(volume.array * 2, volume.affine, "SUVbw")
    after = sessions.update(KEY, engine, other, prompts)
    assert after.objects[0].uid != before.objects[0].uid


@pytest.mark.parametrize("field", ["client", "model", "label", "study"])
def test_sessions_of_others_are_others(engine, journal, volume, hot, field):
    sessions, prompts = Sessions(journal, LABELS), Prompts({"lesion": (hot[0],)})
    before = sessions.update(KEY, engine, volume, prompts)
    fields = {"study": "study", "model": "suv_region", "client": "client", field: "else"}
    after = sessions.update(SessionKey(**fields), engine, volume, prompts)
    assert after.objects[0].uid != before.objects[0].uid


def test_requests_of_one_session_take_turns(engine, journal, volume, hot):
    sessions, prompts = Sessions(journal, LABELS), Prompts({"lesion": (hot[0],)})
    uids = []

    def click():
        uids.append(sessions.update(KEY, engine, volume, prompts).objects[0].uid)

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(uids)) == 1
    assert len(journal.read("study")) == 1


def test_what_was_clicked_label_by_label_is_told_together(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    for label, place in zip(("lesion", "liver"), hot, strict=True):
        key = SessionKey("study", "segpet_click", "client", label)
        sessions.update(key, engine, volume, Prompts({label: (place,)}))
    journal.append("study", {"event": "save", "client": "client"})
    told = sessions.objects_of("study", "client", volume.digest)
    assert [(one.model, one.object.label) for one in told] == [
        ("segpet_click", "lesion"),
        ("segpet_click", "liver"),
    ]
    assert all(one.mask.contains(place) for one, place in zip(told, hot, strict=True))
    assert sessions.objects_of("study", "nobody", volume.digest) == []


def test_objects_of_all_tasks_are_told_the_last_clicked_last(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    for model, place in (("suv_region", hot[0]), ("segpet", hot[1]), ("suv_region", hot[1])):
        sessions.update(SessionKey("study", model, "client"), engine, volume, Prompts({"lesion": (place,)}))
    told = sessions.objects_of("study", "client", volume.digest)
    assert [(one.model, one.object.positive) for one in told] == [
        ("segpet", {hot[1]}),
        ("suv_region", {hot[1]}),
    ]


def test_objects_of_another_image_are_not_told(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    other = Volume(volume.array * 2, volume.affine, "SUVbw")
    assert sessions.objects_of("study", "client", other.digest) == []


def test_after_a_restart_objects_are_told_without_masks(engine, journal, volume, hot):
    Sessions(journal, LABELS).update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    (told,) = Sessions(journal, LABELS).objects_of("study", "client", volume.digest)
    assert (told.object.positive, told.mask) == ({hot[0]}, None)


def test_no_number_is_given_twice_also_after_a_restart(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    sessions.update(KEY, engine, volume, Prompts({"lesion": tuple(sorted(hot))}))
    sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    again = Sessions(journal, LABELS).update(KEY, engine, volume, Prompts({"lesion": tuple(sorted(hot))}))
    assert max(obj.id for obj in again.objects) == 3
    assert len(again.objects) == 2


def test_a_batch_s_proposals_wait_for_who_clicked_with_another_task_first(engine, journal, volume, hot):
    sessions = Sessions(journal, LABELS)
    seeds = propose_seeds(volume)
    proposed = sessions.propose(SessionKey("study", "segpet", BATCH), engine, volume, "lesion", seeds)
    sessions.update(KEY, engine, volume, Prompts({"lesion": (hot[0],)}))
    segpet = SessionKey("study", "segpet", "client")
    assert sessions.update(segpet, engine, volume, Prompts()).objects == proposed.objects
    sessions.update(segpet, engine, volume, Prompts(), reset=True)
    assert Sessions(journal, LABELS).update(segpet, engine, volume, Prompts()).objects == ()
