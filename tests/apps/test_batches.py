"""Batches: one at a time."""

import threading
import time

import pytest
from fastapi import HTTPException

from apps.segpet.batches import Batch, Batches
from apps.segpet.turns import Turns

BATCH = Batch("segpet_auto", ("a",), {})


@pytest.fixture
def gate():
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def batches(gate, tmp_path):
    def infer(_):
        assert gate.wait(30)
        return {"file": str(tmp_path / "none")}

    return Batches(infer, Turns())


def test_one_that_runs_is_not_disturbed_and_the_refusal_says_when_to_come_back(batches):
    batches.start(BATCH)
    with pytest.raises(HTTPException, match="running already") as refused:
        batches.start(BATCH)
    assert refused.value.status_code == 429 and int(refused.value.headers["Retry-After"]) > 0


def test_one_that_is_stopping_is_waited_for_by_the_next(batches, gate, monkeypatch):
    first = batches.start(BATCH)
    batches.stop()
    threading.Timer(0.5, gate.set).start()
    assert batches.start(BATCH)["id"] != first["id"]
    gate.clear()
    while batches.state()["status"] == "RUNNING":
        time.sleep(0.05)
    monkeypatch.setattr("apps.segpet.batches._ENDS_WITHIN", 0.1)
    batches.start(BATCH)
    batches.stop()
    with pytest.raises(HTTPException, match="is stopping") as refused:
        batches.start(BATCH)
    assert int(refused.value.headers["Retry-After"]) > 0
