"""MONAI Label's trainer: what it offers, what it refuses, and the same training by its command line."""

import subprocess
from pathlib import Path

import pytest
import torch

from lib.learning.tuning_recipe import FineTuningError
from lib.network import save_network
from lib.store import StateFolder
from lib.store.models import Models
from tests.learning.small_studies import tiny_network, write_studies
from trainers.requests import TrainRequestError
from trainers.segpet import SegPETTrainer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trainer(tmp_path):
    write_studies(tmp_path / "studies", 5)
    save_network(tiny_network(), tmp_path / "base.safetensors")
    state = StateFolder(tmp_path / "state")
    base = tmp_path / "base.safetensors"
    return SegPETTrainer(str(tmp_path / "studies"), state, base, "SUVbw", torch.device("cpu"), phantoms=0)


def test_it_offers_its_options_the_defaults_first(trainer):
    info = trainer.info()
    assert info["description"] and info["config"]["mode"] == ["decoder", "lora", "full"]
    assert info["config"]["labels"][0] == "final" and info["config"]["max_epochs"] > 0
    assert trainer.stats() == {}


def test_a_training_through_monai_labels_interface_registers_a_version(trainer, tmp_path):
    # As Slicer sends it: the options as they were offered, and others that are not ours.
    outcome = trainer({"model": "segpet", **trainer.config(), "max_epochs": 1, "device": "cuda"}, None)
    assert outcome["version"] == 1 and set(outcome["after"]) == {"1", "3", "5"}
    assert Models(tmp_path / "state" / "models").version(1).card["mode"] == "decoder"
    stats = trainer.stats()
    assert stats["status"] == "done" and stats["version"] == 1
    assert "warnings" in stats and "warnings" not in outcome  # MONAI Label logs what it gets


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"mode": "everything"}, "mode must be one of"),
        ({"labels": "mine"}, "labels must be one of"),
        ({"max_epochs": "many"}, "max_epochs must be a whole number"),
        ({"max_epochs": 0}, "1 or more"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"tracer": "x" * 65}, "tracer must be a name"),
        ({"tracer": "a\nb"}, "tracer must be a name"),
        ({"labels": {"a": 1}}, "labels must be one of"),
        ({"labels": []}, "labels must be one of"),
        ({"labels": [["final"]]}, "labels must be one of"),
        ({"mode": {"a": 1}}, "mode must be one of"),
        ({"mode": [["lora"]]}, "mode must be one of"),
        ({"seed": []}, "seed must be a whole number"),
        ({"tracer": [{}]}, "tracer must be a name"),
        ({"confident": "no"}, "confident must be true or false"),
        ({"rate": 5}, "no option 'rate'; its options are mode"),
        ({"epochs": 3}, "no option 'epochs'"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(trainer, request_, said):
    with pytest.raises((TrainRequestError, FineTuningError), match=said):
        trainer.command(request_)


def test_what_monai_label_s_clients_send_to_every_trainer_is_no_mistake(trainer):
    """The options of MONAI Label's own trainers, as its plugins send them back."""
    sent = {
        "name": "train_01", "pretrained": True, "device": "cuda", "max_epochs": 3, "early_stop_patience": -1,
        "val_split": 0.2, "train_batch_size": 1, "val_batch_size": 1, "multi_gpu": True, "gpus": "all",
        "dataset": "CacheDataset", "dataloader": "DataLoader", "tracking": "None", "tracking_uri": "",
        "tracking_experiment_name": "", "model": "segpet", "client_id": "user-xyz",
    }  # fmt: skip
    assert "--epochs=3" in trainer.command(sent)


def test_without_weights_or_a_folder_it_says_so(trainer, tmp_path):
    state = StateFolder(tmp_path / "state")
    with pytest.raises(TrainRequestError, match="no weights"):
        SegPETTrainer(str(tmp_path), state, None, None, torch.device("cpu")).job({})
    with pytest.raises(TrainRequestError, match="PACS"):
        SegPETTrainer("http://127.0.0.1:8042/dicom-web", state, None, None, torch.device("cpu")).job({})


def test_its_command_line_is_understood(trainer):
    """What a client names cannot become an option of its own."""
    command = trainer.command({"mode": "lora", "max_epochs": 3, "labels": "all", "tracer": "--help"})
    assert "--plain" in trainer.command({"confident": False}) and "--confident" in command
    assert "--mode=lora" in command and "--epochs=3" in command and "--labels=all" in command
    assert "--tracer=--help" in command and command[-2:] == ["--", str(trainer.job({}).studies)]
    # An option that is not known ends with status 2 before anything begins.
    done = subprocess.run(
        [*command[:5], "--unknown", *command[5:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "--unknown" in done.stderr
