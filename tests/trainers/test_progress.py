"""How far a training is, as MONAI Label's clients read it."""

import json

import pytest

from lib.store import StateFolder
from trainers.progress import stats_of

RUNNING = {
    "trainer": "segpet", "status": "running", "epoch": 2, "epochs": 8, "seconds": 61.5,
    "curve": [{"dice": {"1": 0.5, "5": 0.7}}, {"dice": {"1": 0.6, "5": 0.8}}, {"dice": None}],
}  # fmt: skip


@pytest.fixture
def told(tmp_path):
    def stats(of="segpet", **fields):
        state = StateFolder(tmp_path / "state")
        (state.folder("training") / "progress.json").write_text(json.dumps(RUNNING | fields))
        return stats_of(state, of)

    return stats


def test_slicers_bar_finds_its_numbers(told):
    stats = told()
    assert (stats["epoch"], stats["total_epochs"], stats["best_metric"]) == (2, 8, 0.7)
    assert "total_time" not in stats and told(status="done")["total_time"] == 61.5
    assert told(epochs=0, curve=[])["total_epochs"] == 1


def test_another_trainers_progress_is_none_of_its_own(told):
    assert told("impression") == {} == told(trainer="impression")
    assert told("impression", trainer="impression", curve=[{"epoch": 0, "loss": 1.0}])["status"] == "running"
