"""The trainer `impression` as MONAI Label runs it."""

from pathlib import Path

import pytest
import torch

from lib.report.adapter_job import ADAPTERS, decide, train_adapter
from lib.report.backends.local import LocalBackend
from lib.report.backends.server import ServerBackend
from lib.report.demo_model import make_model, make_tokenizer, save_demo_model
from lib.report.language import ReportError
from lib.report.tuning import TuningStopped
from lib.store import Models, StateFolder
from lib.store.reports import AcceptedImpressions
from tests.system_faults import full_disk
from trainers.impression import ImpressionTrainer
from trainers.requests import TrainRequestError


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A state folder of which 40 impressions were accepted."""
    state = StateFolder(tmp_path / "state")
    accepted = AcceptedImpressions(state.folder("impressions"))
    for n in range(40):
        accepted.accept(f"p{n}", 1, "en", f"Lesion {n}.", f"{n} seen in the liver.", "reader")
    return state


@pytest.fixture
def trainer(tmp_path: Path, state: StateFolder) -> ImpressionTrainer:
    tokenizer = make_tokenizer(["Lesion 1. 1 seen in the liver."] * 3)
    save_demo_model(make_model(tokenizer), tokenizer, tmp_path / "base")
    backend = LocalBackend(str(tmp_path / "base"), None, torch.device("cpu"))
    return ImpressionTrainer(str(tmp_path), state, backend, torch.device("cpu"))


def test_a_request_trains_an_adapter_that_is_kept_and_judged_also_after_a_full_disk(
    trainer: ImpressionTrainer, state: StateFolder
) -> None:
    assert trainer.stats() == {}
    request = {"max_epochs": 1, "rank": 2, "pretrained": True}
    with full_disk(20_000), pytest.raises(OSError):
        trainer(request, None)  # type: ignore[arg-type]
    stats = trainer.stats()
    assert stats["status"] == "failed" and "could not write" in stats["message"]
    card = trainer(request, None)  # type: ignore[arg-type]
    assert card["data"]["training"] + card["data"]["held_out"] == 40
    stats = trainer.stats()
    assert (stats["status"], stats["share"], len(stats["curve"])) == ("done", 1.0, 2)
    (version,) = Models(state.folder(ADAPTERS)).versions()
    assert stats["version"] == version.number and version.card["why"] == stats["message"] == card["why"]
    assert {file.name for file in version.path.iterdir()} >= {"adapter_model.safetensors", "card.json"}


def test_a_training_that_was_stopped_before_more_was_accepted_is_given_up_for_a_new_one(
    trainer: ImpressionTrainer, state: StateFolder
) -> None:
    job = trainer.job({"max_epochs": 1, "rank": 2})
    asked = [0]

    def stopped() -> bool:
        asked[0] += bool(list(state.path.glob("training/adapter/checkpoint/curve.json")))
        return asked[0] > 1

    with pytest.raises(TuningStopped):
        train_adapter(job, stopped=stopped)
    assert list(state.path.glob("training/adapter/checkpoint/tuning.safetensors"))
    accepted = AcceptedImpressions(state.folder("impressions"))
    accepted.accept("more", 1, "en", "Lesion 41.", "41 seen in the liver.", "reader")
    card = train_adapter(job).card
    assert card["data"]["training"] + card["data"]["held_out"] == 41


def test_accepted_pairs_that_the_model_has_no_room_for_are_left_out_and_counted(
    trainer: ImpressionTrainer, state: StateFolder
) -> None:
    accepted = AcceptedImpressions(state.folder("impressions"))
    for n in range(30, 40):
        accepted.accept(f"p{n}", 1, "en", "Lesion 1. " * 1000, "1 seen in the liver.", "reader")
    card = train_adapter(trainer.job({"max_epochs": 1, "rank": 2})).card
    assert card["data"]["training"] + card["data"]["held_out"] == 30
    assert card["why"].endswith("Left out as too long for the model: 10 pairs.")


@pytest.mark.parametrize("wrong", [{"rank": "8"}, {"rank": 0}, {"dropout": 2}, {"seed": 1.5}])
def test_options_that_cannot_be_used_give_a_sentence(trainer: ImpressionTrainer, wrong: dict) -> None:
    with pytest.raises(ReportError, match=next(iter(wrong))):
        trainer.command(wrong)
    assert trainer.stats() == {}


def test_an_option_that_is_not_known_is_refused(trainer: ImpressionTrainer) -> None:
    with pytest.raises(TrainRequestError, match="no option 'epochs'; its options are rank"):
        trainer.command({"epochs": 3})


def test_a_model_behind_a_server_is_not_trained(state: StateFolder) -> None:
    for backend in (None, ServerBackend("http://127.0.0.1:1/v1")):
        with pytest.raises(ReportError, match="own process"):
            ImpressionTrainer("studies", state, backend).command({})


@pytest.mark.parametrize(
    ("rouge", "uer", "number", "said"),
    [
        (0.9, 0.0, 5, "Promoted"),
        (0.9, 0.2, 5, "nothing supports"),
        (0.5, 0.0, 5, "not surely better"),
        (0.9, 0.0, 2, "the rule asks for 3"),
    ],
)
def test_an_adapter_takes_over_if_it_is_better_and_no_less_true(
    rouge: float, uer: float, number: int, said: str
) -> None:
    before = [{"rouge_l": 0.5, "uer": 0.0, "fcr": float("nan")}] * number
    decision = decide(before, [{"rouge_l": rouge, "uer": uer, "fcr": 1.0}] * number)
    assert said in decision.why and decision.promoted == (said == "Promoted")
