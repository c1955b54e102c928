"""Trainings as processes: what is told of one that is running, stopped, killed, or never began."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fastapi import HTTPException

from apps.segpet.trainings import Trainings
from lib.store import StateFolder

#: Holds the lock and tells of itself as a training does, until it is stopped.
CHILD = """
import fcntl, json, os, signal, sys, time
folder, mode = sys.argv[1:]
if mode == "broken":
    raise SystemExit("No study has a final label yet.")
if mode == "slow":
    time.sleep(60)
handle = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
def tell(status):
    with open(f"{folder}/part", "w") as file:
        told = {"status": status, "pid": os.getpid(), "stage": "training", "share": 0.5, "mode": mode}
        json.dump(told, file)
    os.replace(f"{folder}/part", f"{folder}/progress.json")
def stop(*_):
    if mode == "late":
        time.sleep(1)
    tell("stopped")
    raise SystemExit(130)
signal.signal(signal.SIGTERM, stop)
tell("running")
time.sleep(60)
"""


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path / "state")


@pytest.fixture
def trainings(state):
    made = of(state)
    yield made
    made.stop()
    until(made, lambda told: told["status"] != "running")


def command_of(state, mode):
    return [sys.executable, "-c", CHILD, str(state.path / "training"), mode]


def of(state, ended=lambda: None):
    def command(request):
        if request["mode"] == "magic":
            raise ValueError("mode must be one of decoder, lora, full.")
        return command_of(state, request["mode"])

    return Trainings(state, command, ended)


def until(trainings, wanted):
    for _ in range(600):
        if wanted(told := trainings.progress()):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def begun(trainings, mode="decoder"):
    trainings.start({"mode": mode})
    return until(trainings, lambda told: told["stage"] == "training")


def pid(state):
    return json.loads((state.path / "training/progress.json").read_text())["pid"]


def test_before_any_training_there_is_nothing_to_tell(trainings):
    assert trainings.progress()["status"] == "none"
    assert trainings.task() is None
    with pytest.raises(HTTPException) as refused:
        trainings.resume()
    assert refused.value.status_code == 409


def test_a_training_runs_at_low_priority_and_in_a_session_of_its_own(trainings, state):
    told = begun(trainings)
    assert (told["status"], told["share"], told["mode"]) == ("running", 0.5, "decoder")
    assert os.getpriority(os.PRIO_PROCESS, pid(state)) == 15
    assert os.getsid(pid(state)) != os.getsid(0)
    assert "pid" not in told
    with pytest.raises(HTTPException) as refused:
        trainings.start({"mode": "lora"})
    assert refused.value.status_code == 429 and int(refused.value.headers["Retry-After"]) > 0


def test_one_that_is_stopping_is_waited_for_by_the_next(trainings, monkeypatch):
    begun(trainings, "late")
    trainings.stop()
    assert trainings.start({"mode": "late"})["status"] == "running"
    until(trainings, lambda told: told["stage"] == "training")
    monkeypatch.setattr("apps.segpet.trainings._ENDS_WITHIN", 0.0)
    trainings.stop()
    with pytest.raises(HTTPException, match="is stopping") as refused:
        trainings.start({"mode": "late"})
    assert refused.value.status_code == 429 and int(refused.value.headers["Retry-After"]) > 0


def test_a_server_that_starts_later_finds_the_training_and_can_stop_it(trainings, state):
    begun(trainings)
    later = of(state)
    assert later.is_running
    later.stop()
    assert until(later, lambda told: told["status"] != "running")["status"] == "stopped"


def test_a_server_that_starts_later_finds_a_training_that_has_no_lock_yet(trainings, state):
    trainings.start({"mode": "slow"})
    later = of(state)
    assert later.is_running
    with pytest.raises(HTTPException) as refused:
        later.start({"mode": "lora"})
    assert refused.value.status_code == 429
    assert json.loads((state.path / "training/request.json").read_text())["mode"] == "slow"
    later.stop()
    assert until(later, lambda told: told["status"] != "running")["status"] == "none"


@pytest.mark.parametrize("kept", ["", "[]", '{"process": "1"}', '{"process": -1, "created": 0}'])
def test_a_process_that_was_not_started_here_is_no_training(trainings, state, kept):
    (state.path / "training/started.json").write_text(kept)
    assert not trainings.is_running
    (state.path / "training/started.json").write_text(json.dumps({"process": os.getpid(), "created": 1.0}))
    assert not trainings.is_running
    trainings.stop()


def test_one_that_was_killed_is_told_and_goes_on_as_it_was_asked_for(trainings, state):
    begun(trainings, "lora")
    os.kill(pid(state), signal.SIGKILL)
    told = until(trainings, lambda told: told["status"] != "running")
    assert (told["status"], told["resumable"]) == ("killed", True)
    assert "broken off; it can go on" in told["message"]
    assert trainings.task()["status"] == "ERROR"
    later = of(state)
    assert later.resume()["status"] == "running"
    assert until(later, lambda told: told["stage"] == "training")["mode"] == "lora"


def test_one_that_was_stopped_while_it_began_is_stopped_and_can_go_on(trainings):
    trainings.start({"mode": "decoder"})
    trainings.stop()
    assert until(trainings, lambda told: told["status"] != "running")["status"] == "stopped"
    assert trainings.resume()["status"] == "running"


def test_one_that_is_stopped_with_the_server_goes_on_at_the_next_start(trainings, state):
    begun(trainings, "lora")
    trainings.pause()
    assert trainings.progress()["status"] == "stopped"
    later = of(state)
    later.go_on()
    until(later, lambda told: told["status"] == "running")
    assert until(later, lambda told: told["stage"] == "training")["mode"] == "lora"
    assert later.stop()
    until(later, lambda told: told["status"] != "running")
    assert not later.stop()
    of(state).go_on()  # stopped by a person this time
    assert not (state.path / "training/paused").exists() and not later.is_running


def test_one_that_ends_after_the_next_server_has_started_goes_on_all_the_same(trainings, state, monkeypatch):
    monkeypatch.setattr("apps.segpet.trainings._ENDS_WITHIN", 0.01)
    begun(trainings, "late")
    first = pid(state)
    trainings.pause()
    later = of(state)
    later.go_on()
    assert pid(state) == first and later.is_running
    try:
        until(later, lambda told: told["stage"] == "training" and pid(state) != first)
        assert not (state.path / "training/paused").exists()
    finally:
        later.stop()
        until(later, lambda told: told["status"] != "running")


def test_one_of_the_command_line_goes_on_there_alone(trainings, state):
    begun(trainings, "lora")
    trainings.stop()
    assert until(trainings, lambda told: told["status"] != "running")["resumable"]
    (state.path / "training/progress.json").unlink()
    there = subprocess.Popen(command_of(state, "decoder"))
    until(trainings, lambda told: told["stage"] == "training")
    there.kill()
    there.wait()
    told = trainings.progress()
    assert (told["status"], told["resumable"]) == ("killed", False)
    assert "the same command goes on" in told["message"]
    with pytest.raises(HTTPException) as refused:
        trainings.resume()
    assert (refused.value.status_code, "command line" in refused.value.detail) == (409, True)
    assert not trainings.is_running


def test_one_that_could_not_begin_says_why(trainings):
    trainings.start({"mode": "broken"})
    told = until(trainings, lambda told: told["status"] != "running")
    assert (told["status"], told["message"]) == ("failed", "No study has a final label yet.")


def test_parameters_that_cannot_be_used_start_nothing(trainings, state):
    with pytest.raises(HTTPException) as refused:
        trainings.start({"mode": "magic"})
    assert (refused.value.status_code, "mode must be" in refused.value.detail) == (422, True)
    assert not trainings.is_running
    assert not (state.path / "training/request.json").exists()


def test_the_end_is_told_to_whoever_takes_the_champion(state):
    ends = []
    trainings = of(state, lambda: ends.append(1))
    trainings.start({"mode": "broken"})
    until(trainings, lambda _: ends)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_progress_file_is_no_training(trainings, state, content):
    (state.folder("training") / "progress.json").write_text(content)
    assert trainings.progress()["status"] == "none"
