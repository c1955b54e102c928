"""Memory that runs out, truly: allocators' errors are known and told with a time, and caches are let go."""

import gc
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from fastapi import HTTPException
from serving import save_image

from apps.segpet import memory
from apps.segpet.failures import told_to_client
from infer_tasks.network_engine import NetworkEngine
from infer_tasks.workspace import Workspace
from lib.interaction import Prompts
from lib.store import StateFolder

TOO_MUCH = 1 << 56


@pytest.fixture
def app(tmp_path, weights, phantom, monkeypatch):
    """What a server keeps: a volume and what a click has computed."""
    state = StateFolder(tmp_path / "state")
    network = NetworkEngine(weights, torch.device("cpu"), state.folder("weights"))
    app = SimpleNamespace(workspace=Workspace(state, ("background", "lesion")), network=network)
    monkeypatch.setattr(memory, "app_instance", lambda: app)
    return app


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.empty(TOO_MUCH, dtype=torch.uint8),
        lambda: np.empty(TOO_MUCH, dtype=np.uint8),
        lambda: bytearray(TOO_MUCH),
    ],
    ids=["torch", "numpy", "python"],
)
def test_what_an_allocator_refuses_is_told_with_a_time_to_come_back(app, work):
    with pytest.raises(HTTPException) as refused, told_to_client():
        work()
    assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "5"})
    assert "no memory left" in refused.value.detail


def test_other_faults_are_no_lack_of_memory(app):
    for error in (RuntimeError("shapes do not fit"), ValueError("memory"), OSError(28, "No space left")):
        assert not memory.is_out_of_memory(error)
    assert memory.is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))


def test_volumes_embeddings_and_the_work_s_own_arrays_are_let_go(app, phantom, lesions, tmp_path):
    path = tmp_path / "study.nii.gz"
    save_image(path, phantom.volume.array, phantom.volume.affine)
    volume = app.workspace.volumes.get(path)
    engine = app.network.get()
    prompts = Prompts({"lesion": (tuple(lesions[0]),)})
    before = engine.update(volume, (), prompts)
    held = []

    def work():
        array = np.zeros(1000)
        held.append(array)
        np.empty(TOO_MUCH, dtype=np.uint8)

    with pytest.raises(HTTPException) as refused, told_to_client():
        work()
    inner = refused.value.__context__.__traceback__
    while inner.tb_next:
        inner = inner.tb_next
    assert "array" not in inner.tb_frame.f_locals
    assert app.workspace.volumes.get(path) is not volume
    assert app.network.get() is not engine
    again = app.network.get().update(volume, (), prompts)
    assert before.masks
    assert all(again.masks[number].count == mask.count for number, mask in before.masks.items())


def test_images_that_are_let_go_leave_no_memory_behind():
    memory.keep_heaps_small()
    process = psutil.Process()

    def image():
        return np.ones(2 << 20, np.float32), np.ones(8 << 10, np.float32)  # and a mask that is kept

    images = [image()]
    images.clear()  # from the first one that comes back, malloc learns to keep such blocks
    before = process.memory_info().rss
    images = [image() for _ in range(16)]
    assert process.memory_info().rss - before > 100e6
    masks = [mask for _, mask in images]
    images.clear()
    assert process.memory_info().rss - before < 16e6
    assert len(masks) == 16


def test_the_collector_leaves_alone_what_was_there_at_the_start():
    memory.keep_what_is_loaded()
    try:
        assert gc.get_freeze_count() > 10_000
        assert sum(len(gc.get_objects(generation)) for generation in range(3)) < 1000
    finally:
        gc.unfreeze()
