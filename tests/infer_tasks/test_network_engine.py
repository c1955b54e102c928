import pytest

from infer_tasks import network_engine as module
from infer_tasks.network_engine import NetworkEngine, WeightsMissingError
from lib.network import CheckpointError


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
