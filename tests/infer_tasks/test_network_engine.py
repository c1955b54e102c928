import os
import threading
import time

import pytest
import torch
from clock import Clock
from small_network import small_seganypet

from infer_tasks import network_engine as module
from infer_tasks.network_engine import NetworkEngine, WeightsMissingError
from lib.network import CheckpointError, save_network
from lib.store import Models

CPU = torch.device("cpu")


def test_without_weights_it_says_how_to_get_them(tmp_path):
    engine = NetworkEngine(None, "cpu", tmp_path)
    engine.load_in_background()
    with pytest.raises(WeightsMissingError, match="segpet serve --model PATH"):
        engine.get()


def test_a_file_that_cannot_be_used_is_tried_once_and_told_every_time(tmp_path, monkeypatch):
    weights, tries, load = tmp_path / "weights.pth", [], module.load_network
    weights.write_bytes(b"no weights")

    def counted(*arguments, **keywords):
        tries.append(1)
        return load(*arguments, **keywords)

    monkeypatch.setattr(module, "load_network", counted)
    engine = NetworkEngine(weights, "cpu", tmp_path / "cache")
    frames = []
    for _ in range(5):
        with pytest.raises(CheckpointError, match=r"weights\.pth") as error:
            engine.get()
        frames.append(len(error.traceback))
    assert len(tries) == 1
    assert len(set(frames[1:])) == 1  # a traceback that grows would keep every request's memory


@pytest.fixture
def weights(tmp_path):
    """Three small networks that differ: the server's, and two that a training made."""
    return [saved(tmp_path, name, seed) for name, seed in (("base", 1), ("first", 2), ("second", 3))]


def saved(folder, name, seed):
    path = folder / f"{name}.safetensors"
    save_network(small_seganypet(seed), path)
    return path


@pytest.fixture
def models(tmp_path, weights):
    models = Models(tmp_path / "models")
    for path in weights[1:]:
        models.add(path, {})
    return models


def engine_of(weights, models, tmp_path, clock=None):
    return NetworkEngine(weights[0], CPU, tmp_path / "cache", models, clock or Clock())


def name_of(engine, session=None):
    return engine.get(session).segmenter.name


def test_the_champion_answers_from_the_start_and_without_one_the_server_s_own_weights(
    weights, models, tmp_path
):
    assert name_of(engine_of(weights, models, tmp_path)) == "base"
    version = models.promote(2)
    engine = engine_of(weights, models, tmp_path)
    assert name_of(engine) == "version-2"
    assert engine.get().segmenter.digest == version.digest
    assert engine.version == 2


def test_a_new_champion_answers_new_sessions_and_open_ones_finish_on_theirs(weights, models, tmp_path):
    engine = engine_of(weights, models, tmp_path)
    session = ("study", "reader")
    own = engine.get(session)
    models.promote(1)
    engine.follow(wait=True)

    assert engine.get(session) is own
    assert name_of(engine, ("study", "another")) == name_of(engine, ("other", "reader")) == "version-1"
    engine.release(session)
    assert name_of(engine, session) == "version-1"


def test_a_click_after_a_promotion_elsewhere_is_answered_at_once_and_the_change_follows(
    weights, models, tmp_path
):
    engine = engine_of(weights, models, tmp_path)
    engine.get()
    Models(models.folder).promote(2)  # as another process does
    assert name_of(engine) in ("base", "version-2")
    engine.follow(wait=True)
    assert name_of(engine) == "version-2"


def test_a_session_that_begins_after_a_promotion_elsewhere_has_the_champion_from_its_first_click(
    weights, models, tmp_path
):
    engine = engine_of(weights, models, tmp_path)
    engine.get()
    Models(models.folder).promote(2)
    assert name_of(engine, ("study", "reader")) == "version-2"


def test_who_waits_for_a_promotion_while_the_first_weights_are_not_there_yet_waits_for_these(
    weights, models, tmp_path
):
    engine = engine_of(weights, models, tmp_path)
    models.promote(2)
    engine.follow(wait=True)
    assert (engine.state, engine.version) == ("ready", 2)
    broken = NetworkEngine(tmp_path / "nowhere", CPU, tmp_path / "cache")
    broken.follow(wait=True)
    assert broken.state == "broken"


def test_who_waits_while_a_load_is_about_to_begin_waits_for_it(weights, models, tmp_path, monkeypatch):
    class Slow(threading.Thread):
        def start(self):
            begun.set()
            time.sleep(0.3)
            super().start()

    begun = threading.Event()
    engine = engine_of(weights, models, tmp_path)
    engine.get()
    monkeypatch.setattr(module, "Thread", Slow)
    models.promote(1)
    first = threading.Thread(target=engine.follow)
    first.start()
    assert begun.wait(10)
    engine.follow(wait=True)
    assert name_of(engine) == "version-1"
    first.join()


def test_a_rollback_brings_the_former_weights_back(weights, models, tmp_path):
    engine = engine_of(weights, models, tmp_path)
    models.promote(1)
    models.promote(2)
    assert name_of(engine) == "version-2"
    for expected in ("version-1", "base"):
        models.rollback()
        engine.follow(wait=True)
        assert name_of(engine) == expected


def test_an_idle_session_goes_on_with_the_champion(weights, models, tmp_path):
    clock = Clock()
    engine = engine_of(weights, models, tmp_path, clock)
    session = ("study", "reader")
    engine.get(session)
    models.promote(1)
    engine.follow(wait=True)
    clock.now += module.IDLE_SECONDS - 1
    assert name_of(engine, session) == "base"
    clock.now += module.IDLE_SECONDS - 1
    assert name_of(engine, session) == "base"
    clock.now += module.IDLE_SECONDS + 1
    assert name_of(engine, session) == "version-1"


def test_only_few_networks_stay_in_memory(weights, models, tmp_path):
    engine = engine_of(weights, models, tmp_path)
    for number in (1, 2, 1, 2):
        engine.get(("study", f"before {number}, {engine.version}"))
        models.promote(number)
        engine.follow(wait=True)
        engine.get(("study", f"after {number}"))
    assert len({id(loaded.engine) for loaded, _ in engine._sessions.values()}) <= module._MOST_NETWORKS


@pytest.mark.parametrize("damage", ["no weights", "weights of another network"])
def test_a_champion_whose_file_is_damaged_leaves_the_others_at_work_and_is_told(
    weights, models, tmp_path, caplog, damage
):
    other = b"no weights" if damage == "no weights" else weights[0].read_bytes()
    engine = engine_of(weights, models, tmp_path)
    engine.get()
    models.promote(1)
    models.version(1).path.write_bytes(other)
    engine.follow(wait=True)
    assert (name_of(engine), engine.state) == ("base", "ready")
    assert "The champion cannot be used, other weights answer" in caplog.text
    assert name_of(engine_of(weights, models, tmp_path)) == "base"
    models.promote(2)
    engine.follow(wait=True)
    assert name_of(engine) == "version-2"


def test_a_champion_that_was_damaged_answers_once_its_file_is_restored(weights, models, tmp_path):
    engine = engine_of(weights, models, tmp_path)
    engine.get()
    path = models.promote(1).path
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"no weights")
    engine.follow(wait=True)
    assert name_of(engine) == "base"
    path.write_bytes(weights[1].read_bytes())
    os.utime(path, ns=times)  # as a backup does
    engine.follow(wait=True)
    assert name_of(engine) == "version-1"


def test_a_champion_that_could_not_be_loaded_is_tried_again_when_it_is_promoted_anew(
    weights, models, tmp_path, monkeypatch
):
    def out_of_order(*_, **__):
        tries.append(1)
        raise CheckpointError("not now")

    engine, tries = engine_of(weights, models, tmp_path), []
    engine.get()
    with monkeypatch.context() as faulty:
        faulty.setattr(module, "load_network", out_of_order)
        models.promote(1)
        for _ in range(3):
            engine.follow(wait=True)
    assert len(tries) == 1
    for change in (models.rollback, lambda: models.promote(1)):
        change()
        engine.follow(wait=True)
    assert name_of(engine) == "version-1"


def test_a_damaged_registry_leaves_the_weights_at_work(weights, models, tmp_path, caplog):
    models.promote(1)
    engine = engine_of(weights, models, tmp_path)
    assert name_of(engine) == "version-1"
    (models.folder / "champion.json").write_text("")
    engine.follow(wait=True)
    assert name_of(engine) == "version-1"
    assert name_of(engine_of(weights, models, tmp_path)) == "base"
    assert "damaged" in caplog.text


def test_what_was_computed_is_forgotten_and_sessions_keep_their_weights(weights, models, tmp_path):
    engine = engine_of(weights, models, tmp_path)
    session = ("study", "me")
    before = engine.get(session)
    models.promote(1)
    engine.follow(wait=True)
    champion = engine.get()
    engine.forget()
    assert engine.get(session) is not before
    assert engine.get(session).segmenter.network is before.segmenter.network
    assert engine.get() is not champion
    assert engine.get().segmenter.network is champion.segmenter.network


def test_a_champion_that_is_loaded_while_what_was_computed_is_forgotten_is_not_lost(
    weights, models, tmp_path, monkeypatch
):
    def load_until_then(*arguments, **keywords):
        network = load(*arguments, **keywords)
        assert forgetting.wait(10)
        return network

    def make_meanwhile(network):
        if threading.current_thread() is threading.main_thread():
            forgetting.set()
            follower.join(0.5)
        return make(network)

    engine, forgetting = engine_of(weights, models, tmp_path), threading.Event()
    load, make = module.load_network, module._engine_of
    engine.get(("study", "me"))
    models.promote(1)
    monkeypatch.setattr(module, "load_network", load_until_then)
    engine.follow()
    follower = engine._follower
    monkeypatch.setattr(module, "_engine_of", make_meanwhile)
    engine.forget()
    follower.join()
    assert engine.version == 1
