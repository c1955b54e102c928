"""The way from a request to a reply, with region growing in the network's place."""

import time
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from infer_tasks import click_task as module
from infer_tasks.segpet import SegPETClickTask
from infer_tasks.workspace import Workspace
from lib.interaction import Engine, RegionGrower
from lib.pet import read_mask
from lib.store import StateFolder

LABELS = ("background", "lesion", "liver")


@pytest.fixture
def task(tmp_path) -> SegPETClickTask:
    workspace = Workspace(StateFolder(tmp_path / "state"), LABELS, unit="SUVbw")
    network = SimpleNamespace(get=lambda *_: Engine(RegionGrower()), has_weights=True)
    return SegPETClickTask(workspace, network)


@pytest.fixture
def request_(tmp_path) -> dict:
    values = np.ones((20, 20, 20), np.float32)
    values[8:12, 8:12, 8:12] = 9
    nibabel.save(nibabel.Nifti1Image(values, np.diag([4.0, 4, 4, 1])), tmp_path / "a.nii")
    clicks = {"label": "liver", "foreground": [[10, 10, 10]]}
    return {"image": str(tmp_path / "a.nii"), "study": "a", **clicks}


def test_a_mask_that_is_saved_has_the_servers_classes(task, request_):
    path, reply = task({**request_, "save_label": True})
    assert read_mask(path)[0].max() == LABELS.index("liver")
    assert reply["label_names"] == {name: value for value, name in enumerate(LABELS)}
    path, reply = task(request_)
    assert read_mask(path)[0].max() == 1
    assert reply["label_names"] == {"background": 0, "liver": 1}


def test_the_total_holds_all_stages_the_numbers_among_them(task, request_, monkeypatch):
    measure = module.describe

    def slowly(*args):
        time.sleep(0.05)
        return measure(*args)

    monkeypatch.setattr(module, "describe", slowly)
    spent = task(request_)[1]["latencies"]
    assert spent["numbers"] >= 0.05
    assert spent["total"] >= sum(spent[stage] for stage in spent if stage != "total") - 0.001
    assert {"load", "read", "encode", "decode", "mask", "write"} < spent.keys()


def test_a_reply_that_cannot_be_made_leaves_no_mask_behind(task, request_, monkeypatch):
    monkeypatch.setattr(module, "describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        task(request_)
    assert list(task.workspace.state.folder("results").iterdir()) == []
