"""The trainer `impression` as MONAI Label runs it."""

from pathlib import Path

import pytest
import torch

from lib.report.demo_model import make_model, make_tokenizer, save_demo_model
from lib.report.language import ReportError
from lib.report.text_pairs import Pair
from trainers.impression import ImpressionTrainer

PAIRS = [Pair(f"p{n}/1", "en", f"Lesion {n}.", f"{n} seen.") for n in range(30)]


@pytest.fixture
def trainer(tmp_path: Path) -> ImpressionTrainer:
    tokenizer = make_tokenizer(["Lesion 1. 1 seen."] * 3)
    save_demo_model(make_model(tokenizer), tokenizer, tmp_path / "base")
    return ImpressionTrainer(str(tmp_path / "base"), lambda: PAIRS, tmp_path / "adapter", torch.device("cpu"))


def test_a_request_trains_an_adapter_and_says_how_far_it_is(trainer: ImpressionTrainer) -> None:
    assert trainer.stats() == {}
    card = trainer({"max_epochs": 1, "rank": 2, "unknown": "x"}, None)  # type: ignore[arg-type]
    assert card["data"]["training"] + card["data"]["held_out"] == len(PAIRS)
    stats = trainer.stats()
    assert (stats["status"], stats["share"], len(stats["curve"])) == ("done", 1.0, 2)


@pytest.mark.parametrize("wrong", [{"rank": "8"}, {"rank": 0}, {"dropout": 2}, {"seed": 1.5}])
def test_options_that_cannot_be_used_give_a_sentence(trainer: ImpressionTrainer, wrong: dict) -> None:
    with pytest.raises(ReportError, match=next(iter(wrong))):
        trainer(wrong, None)  # type: ignore[arg-type]
    assert trainer.stats() == {}
