import argparse
import collections
import hashlib
import os
import shutil
import stat

import numpy as np
import pytest
import torch
from conftest import SMALL, small_network
from safetensors.torch import load_file, save_file

from lib.network import CheckpointError, checkpoints, load_network, save_network
from lib.network.inspection import inspect_weights
from lib.network.registry import FOLDER_VARIABLE, default_weights, resolve_weights
from lib.network.torch_files import read_torch_weights


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(3, 4, generator=generator), "b": torch.randn(2, generator=generator)}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_weights(read, expected):
    assert list(read) == list(expected)
    for key, value in expected.items():
        assert torch.equal(read[key], value)


# The forms of torch's files.


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_form_of_checkpoint_is_read(tmp_path, weights, mmap, zipped, key, prefix):
    state = {prefix + name: value for name, value in weights.items()}
    torch.save({key: state} if key else state, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert_weights(read_torch_weights(tmp_path / "w.pth", mmap), weights)


def trainer_checkpoint(weights):
    return {
        "epoch": 3,
        "model_state_dict": weights,
        "optimizer_state_dict": torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]).state_dict(),
        "lr_scheduler_state_dict": {"milestones": collections.Counter([120, 180]), "gamma": 0.1},
        "losses": [np.float64(0.5), 0.25],
        "dices": [np.float32(0.5)],
        "best_loss": np.inf,
        "best_dice": np.float64(0.75),
        "args": argparse.Namespace(lr=8e-4, multi_gpu=True, gpu_ids=[0, 1], device=torch.device("cpu")),
        "used_datas": ["a", "b"],
    }


def test_checkpoints_of_the_published_trainers_are_read(tmp_path, weights):
    torch.save(trainer_checkpoint(weights), tmp_path / "latest.pth")
    assert_weights(read_torch_weights(tmp_path / "latest.pth", mmap=True), weights)


def test_numpy_scalars_saved_with_numpy_1_are_read(tmp_path, weights):
    path = tmp_path / "old.pth"
    torch.save(trainer_checkpoint(weights), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert_weights(read_torch_weights(path, mmap=True), weights)


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, weights, zipped):
    trace = tmp_path / "trace"
    path = tmp_path / "w.pth"
    torch.save(
        {"model_state_dict": weights, "args": Malicious(f"touch {trace}")},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(CheckpointError, match=r"w\.pth was refused: it holds posix\.system"):
        load_network(path)
    assert not trace.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(tmp_path, kept, zipped):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(10_000)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(CheckpointError, match="not a checkpoint, or is truncated"):
        load_network(path)


@pytest.mark.parametrize("content", [b"hello", b"<html>", b"PK\x03\x04", bytes(100)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_network(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "content", [3, [], {}, torch.ones(3), {"a": 1}, {1: torch.ones(1)}, {"state_dict": torch.ones(1)}]
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_network(tmp_path / "w.pth")


def test_other_parameters_are_named(tmp_path, weights):
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"324 missing \(image_encoder.pos_embed, .*2 unknown \(a.weight, b\)"
    ):
        load_network(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["missing.pth", "segpet-large", ""])
def test_what_is_not_a_file_is_refused_with_what_is_possible(tmp_path, name):
    with pytest.raises(
        CheckpointError, match=r"give the path of a \.safetensors file or of a \.pth checkpoint"
    ):
        load_network(tmp_path / name)


# safetensors, with the configuration inside.


def test_a_saved_network_comes_back(tmp_path, small):
    path = tmp_path / "small.safetensors"
    save_network(small, path)
    loaded = load_network(path)
    assert loaded.config == SMALL
    assert not loaded.training
    assert loaded.name == "small"
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_weights(loaded.state_dict(), small.state_dict())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["small.safetensors"]


def test_training_a_loaded_network_leaves_its_file_alone(tmp_path, small):
    path = tmp_path / "small.safetensors"
    save_network(small, path)
    before = path.read_bytes()
    loaded = load_network(path)
    digest = loaded.digest
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter += 1
    assert path.read_bytes() == before
    assert loaded.digest != digest


def test_saving_replaces_a_file_in_one_step(tmp_path, small):
    path = tmp_path / "small.safetensors"
    save_network(small, path)
    mapped = load_network(path)
    save_network(small_network(seed=1), path)
    assert_weights(mapped.state_dict(), small.state_dict())
    assert_weights(load_network(path).state_dict(), small_network(seed=1).state_dict())


def test_a_failed_save_leaves_nothing_behind(tmp_path, small, monkeypatch):
    def full_disk(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_network(small, tmp_path / "small.safetensors")
    assert names_in(tmp_path) == []


def test_a_network_with_adapters_is_not_saved(tmp_path, small):
    small.image_encoder.blocks[0].attn.qkv = torch.nn.Sequential(small.image_encoder.blocks[0].attn.qkv)
    with pytest.raises(CheckpointError, match=r"attn\.qkv\.0\.weight"):
        save_network(small, tmp_path / "small.safetensors")
    assert names_in(tmp_path) == []


def write_safetensors(path, change=None, config=None):
    state = {key: value.contiguous() for key, value in small_network().state_dict().items()}
    if change:
        change(state)
    save_file(state, path, metadata={"seganypet_config": SMALL.to_json() if config is None else config})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, lambda state: state.update({k: v.to(dtype) for k, v in state.items()}))
    expected = {key: value.to(dtype).float() for key, value in small_network().state_dict().items()}
    assert_weights(load_network(path).state_dict(), expected)


KEY = "image_encoder.blocks.0.mlp.lin1.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(KEY), rf"1 missing \({KEY}\)"),
        (lambda s: s.update(extra=torch.ones(1)), r"1 unknown \(extra\)"),
        (
            lambda s: s.update({KEY: torch.ones(3)}),
            rf"1 of another shape \({KEY} \(3,\) instead of \(32,\)\)",
        ),
        (lambda s: s.update({KEY: torch.full((32,), float("nan"))}), f"{KEY} has values that are not finite"),
        (lambda s: s.update({KEY: torch.full((32,), float("inf"))}), f"{KEY} has values that are not finite"),
        (lambda s: s.update({KEY: torch.ones(32, dtype=torch.int32)}), f"{KEY} holds torch.int32"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, change, message):
    write_safetensors(tmp_path / "w.safetensors", change)
    with pytest.raises(CheckpointError, match=message):
        load_network(tmp_path / "w.safetensors")


@pytest.mark.parametrize("config", ["{", "[]", '{"image_size": 100}', '{"colour": 1}', '{"spacing": null}'])
def test_a_configuration_that_cannot_be_is_refused(tmp_path, config):
    write_safetensors(tmp_path / "w.safetensors", config=config)
    with pytest.raises(CheckpointError, match="names a configuration"):
        load_network(tmp_path / "w.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 1000, 0.9])
def test_a_truncated_safetensors_file_is_refused(tmp_path, kept):
    path = tmp_path / "w.safetensors"
    write_safetensors(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(CheckpointError, match="truncated"):
        load_network(path)


# The published size: 402 MB, so one test for the whole way, and no file is left for pytest to keep.


@pytest.fixture
def emptied_path(tmp_path):
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_an_official_file_is_converted_once(emptied_path, kit_weights, monkeypatch):
    source, cache = emptied_path / "seganypet_v2.pth", emptied_path / "state" / "weights"
    torch.save({"model_state_dict": kit_weights}, source)
    before = source.stat()
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    network = load_network(source, cache=cache)
    assert (network.name, network.digest, network.training) == ("seganypet_v2", digest, False)
    converted = cache / f"{digest}.safetensors"
    assert names_in(cache) == [converted.name]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(converted.stat().st_mode) == 0o600
    assert names_in(emptied_path) == [source.name, "state"]
    assert (source.stat().st_mtime_ns, source.stat().st_size) == (before.st_mtime_ns, before.st_size)

    def not_again(*_args, **_keywords):
        raise AssertionError("the source was read again")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "read_torch_weights", not_again)
        again = load_network(source, cache=cache)
    assert again.digest == digest
    for key, value in kit_weights.items():
        assert torch.equal(network.state_dict()[key], value)
        assert torch.equal(again.state_dict()[key], value)

    with converted.open("r+b") as file:
        file.truncate(1000)
    assert load_network(source, cache=cache).digest == digest
    assert len(load_file(converted)) == 324


def test_a_file_of_the_parity_kit_is_verified_as_the_official_weights(emptied_path, kit_weights, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(emptied_path))
    torch.save({"model_state_dict": kit_weights}, emptied_path / "seganypet_v2.pth")
    found = default_weights()
    assert found and found.official and found.official.name == "seganypet-v2"
    report = inspect_weights(resolve_weights("seganypet-v2"))
    assert (report.architecture, report.keys) == ("SegAnyPET", found.official.keys)
    assert (report.image_size, report.spacing) == (128, 1.5)


def test_without_a_cache_nothing_is_written_and_the_source_may_change(emptied_path, kit_weights):
    source = emptied_path / "half.pth"
    torch.save({f"module.{key}": value.half() for key, value in kit_weights.items()}, source)
    network = load_network(source)
    source.write_bytes(b"a trainer writes its next checkpoint here")
    assert names_in(emptied_path) == [source.name]
    key = "image_encoder.neck.2.weight"
    assert torch.equal(network.state_dict()[key], kit_weights[key].half().float())


def test_a_file_is_checked_by_names_and_shapes_alone(tmp_path):
    network = small_network()
    save_network(network, tmp_path / "good.safetensors")
    checkpoints.check_weights(tmp_path / "good.safetensors")
    metadata = {"seganypet_config": network.config.to_json()}
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    key = next(iter(state))
    save_file({**state, key: state[key] * torch.nan}, tmp_path / "nan.safetensors", metadata)
    checkpoints.check_weights(tmp_path / "nan.safetensors")
    del state[key]
    save_file(state, tmp_path / "less.safetensors", metadata)
    torch.save({"a": torch.ones(2)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, said in {
        "less.safetensors": "1 missing",
        "other.pth": "1 unknown",
        "text.pth": "not a checkpoint",
        "text.safetensors": "not a safetensors file",
    }.items():
        with pytest.raises(CheckpointError, match=said):
            checkpoints.check_weights(tmp_path / name)
