"""Training of adapters: what the loss is on, resuming, saving, and a tiny Qwen2.5 through the 7B's path."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2ForCausalLM

from apps.segpet.options import BUNDLED_IMPRESSION
from lib.report.backends import BackendError, Options
from lib.report.backends.local import LocalBackend, digest_of, load_model
from lib.report.demo_model import make_model, make_tokenizer, save_demo_model
from lib.report.language import ReportError
from lib.report.recipe import Recipe
from lib.report.synthetic_pairs import UNSEEN_TRACER, pairs
from lib.report.text_pairs import Pair, read_pairs, split_pairs, write_pairs
from lib.report.tuning import TooLongError, Tuner, TuningStopped, collate, encode
from lib.report.tuning_job import (
    TextProgress,
    _save_adapter,
    add_adapter,
    train_impression,
    write_impressions,
)
from tests.system_faults import full_disk

#: Short ones, of both languages.
SOME = [pair for pair in pairs(24, "B", 1, (UNSEEN_TRACER,)) if len(pair.findings) < 400][:8]
SHORT = [Pair("short", "en", "No lesion was marked.", "FAPI-PET: no sign of disease.")]
RECIPE = Recipe(rank=4, epochs=2, batch=2, accumulate=2, rate=1e-2, dropout=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Qwen2 with Qwen2.5's ending of names, biases and tied embeddings."""
    path = tmp_path_factory.mktemp("models") / "small"
    tokenizer = make_tokenizer(text for pair in SOME for text in (pair.findings, pair.impression))
    save_demo_model(make_model(tokenizer), tokenizer, path)
    return path


def test_the_loss_is_on_the_impression_and_its_end_only(folder: Path) -> None:
    _, tokenizer = load_model(str(folder), torch.device("cpu"))
    batch = collate([encode(tokenizer, pair, 2048) for pair in SOME], tokenizer.pad_token_id)
    for pair, tokens, labels in zip(SOME, batch["input_ids"], batch["labels"], strict=True):
        learnt = labels[labels != -100]
        assert tokenizer.decode(learnt) == pair.impression + "<|im_end|>"
        assert pair.findings.strip() in tokenizer.decode(tokens[labels == -100])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_one_step_of_an_adapter_changes_the_adapter_and_nothing_else(
    folder: Path, tmp_path: Path, checkpointing: bool
) -> None:
    model, tokenizer = load_model(str(folder), torch.device("cpu"))
    recipe = dataclasses.replace(RECIPE, checkpointing=checkpointing, bf16=True, epochs=1, accumulate=4)
    tuned = add_adapter(model, recipe)
    before = {name: value.clone() for name, value in tuned.state_dict().items()}
    tuner = Tuner(tuned, tokenizer, recipe, SOME, tmp_path / "c.safetensors")
    tuner.run_epoch()
    assert tuner.step == 1
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all("lora_B" in name for name in changed)  # B is 0 at first, so A has no gradient
    assert {name.split(".")[-4] for name in changed} >= {"q_proj", "down_proj"}


def test_a_few_steps_move_the_bundled_model_towards_another_house_and_leave_the_base(tmp_path: Path) -> None:
    model, tokenizer = load_model(str(BUNDLED_IMPRESSION), torch.device("cpu"))
    before = digest_of(model)
    recipe = Recipe(epochs=3, batch=4, accumulate=1, rate=3e-3, dropout=0.0, bf16=True)
    tuned = add_adapter(model, recipe)
    tuner = Tuner(tuned, tokenizer, recipe, SOME, tmp_path / "c.safetensors")
    losses: list[float] = []
    while tuner.step < tuner.steps:
        tuner.run_epoch(lambda: losses.append(tuner.loss))
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    assert digest_of(tuned.unload()) == before


def test_a_stopped_training_ends_as_one_that_was_not_stopped(folder: Path, tmp_path: Path) -> None:
    def run(output: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        asked = [0]

        def stopped() -> bool:
            asked[0] += 1
            return asked[0] == stop_at

        arguments = (SOME[:6], str(folder), output, RECIPE, SHORT, torch.device("cpu"))
        if stop_at:
            with pytest.raises(TuningStopped):
                train_impression(*arguments, stopped=stopped)
        card = train_impression(*arguments)
        assert [epoch["epoch"] for epoch in card["curve"]] == [0, 1, 2]
        assert json.loads((output / "card.json").read_text()) == card
        from safetensors.torch import load_file

        return load_file(output / "adapter_model.safetensors")

    whole, parts = run(tmp_path / "whole", None), run(tmp_path / "parts", 3)
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name])

    backend = LocalBackend(str(folder), tmp_path / "whole", torch.device("cpu"))
    model, tokenizer = load_model(str(folder), torch.device("cpu"), tmp_path / "whole")
    tokens = tokenizer(SOME[0].findings, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        unmerged = model(tokens).logits
        base = load_model(str(folder), torch.device("cpu"))[0](tokens).logits
        merged = model.merge_and_unload()(tokens).logits
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-4)
    assert (base - unmerged).abs().max() > 0.1
    save_demo_model(make_model(tokenizer, seed=2), tokenizer, tmp_path / "other")
    with pytest.raises(BackendError, match="trained on another model than other"):
        load_model(str(tmp_path / "other"), torch.device("cpu"), tmp_path / "whole")
    assert "whole" in backend.name and list(backend.generate(SOME[0].findings, "en", Options(max_tokens=8)))


def test_a_training_that_was_killed_while_it_measured_goes_on_with_its_loss(
    folder: Path, tmp_path: Path
) -> None:
    def killed(progress: TextProgress) -> None:
        if progress.stage == "measuring" and len(progress.curve) == 1:
            raise KeyboardInterrupt

    def train(**more: Any) -> list[dict[str, Any]]:
        recipe = dataclasses.replace(RECIPE, epochs=1)
        card = train_impression(SOME[:4], str(folder), tmp_path, recipe, SHORT, torch.device("cpu"), **more)
        curve: list[dict[str, Any]] = card["curve"]
        return curve

    with pytest.raises(KeyboardInterrupt):
        train(told=killed)
    curve = train()
    assert curve[0]["loss"] is None and curve[1]["loss"] > 0
    assert curve == train(fresh=True)


def test_an_adapter_that_the_disk_refuses_is_an_error_of_the_system_and_leaves_the_old_one(
    folder: Path, tmp_path: Path
) -> None:
    tuned = add_adapter(load_model(str(folder), torch.device("cpu"))[0], RECIPE)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"old")
    with full_disk(20_000), pytest.raises(OSError):
        _save_adapter(tuned, tmp_path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_another_trainings_checkpoint_is_refused_unless_fresh(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(str(folder), torch.device("cpu"))
    file = tmp_path / "c.safetensors"
    Tuner(add_adapter(model, RECIPE), tokenizer, RECIPE, SOME, file).run_epoch()
    other, _ = load_model(str(folder), torch.device("cpu"))
    with pytest.raises(ReportError, match="another training's checkpoint"):
        Tuner(add_adapter(other, RECIPE), tokenizer, RECIPE, SOME[:4], file)


def test_a_training_goes_on_with_its_own_base_and_held_out_pairs_only(folder: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(text for pair in SOME for text in (pair.findings, pair.impression))
    save_demo_model(make_model(tokenizer, seed=2), tokenizer, tmp_path / "other")

    def train(base: Path = folder, kept: list[Pair] = SHORT) -> dict[str, Any]:
        recipe = dataclasses.replace(RECIPE, epochs=1)
        return train_impression(SOME[:2], str(base), tmp_path / "a", recipe, kept, torch.device("cpu"))

    card = train()
    assert train()["curve"] == card["curve"]
    for other in (
        {"base": tmp_path / "other"},
        {"kept": [dataclasses.replace(SHORT[0], impression="None.")]},
    ):
        with pytest.raises(ReportError, match="another training's checkpoint"):
            train(**other)  # type: ignore[arg-type]


def test_what_is_learnt_from_is_not_measured_on_and_findings_on_both_sides_are_counted(
    folder: Path, tmp_path: Path
) -> None:
    learnt, again = [Pair("p/1", "en", "No lesion.", "None.")], Pair("q/1", "en", "No lesion.", "Normal.")
    recipe = dataclasses.replace(RECIPE, epochs=1)
    arguments = (learnt, str(folder), tmp_path, recipe)
    with pytest.raises(ReportError, match="1 of the 2 pairs to measure on are of patients"):
        train_impression(*arguments, [again, dataclasses.replace(SHORT[0], id="p/2")], torch.device("cpu"))
    card = train_impression(*arguments, [again, *SHORT], torch.device("cpu"))
    assert card["data"] | {"digest": ""} == {
        "training": 1, "held_out": 2, "held_out_learnt": 1, "digest": "",
    }  # fmt: skip


def test_a_small_model_learns_to_repeat_what_it_is_shown(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(str(folder), torch.device("cpu"))
    shown = [SOME[-1]]
    recipe = Recipe(epochs=30, batch=1, accumulate=1, rate=3e-3)
    tuner = Tuner(model, tokenizer, recipe, shown, tmp_path / "c.safetensors")
    while tuner.step < tuner.steps:
        tuner.run_epoch()
    assert write_impressions(model, tokenizer, shown) == [shown[0].impression]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rank": 0}, "rank"),
        ({"dropout": 1.0}, "dropout"),
        ({"rate": 0.0}, "rate"),
        ({"targets": ()}, "targets"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ReportError, match=sentence):
        Recipe(**wrong)  # type: ignore[arg-type]


def test_layers_that_are_not_there_and_pairs_that_are_too_long_are_refused(folder: Path) -> None:
    model, tokenizer = load_model(str(folder), torch.device("cpu"))
    with pytest.raises(ReportError, match="no layer named w_pack"):
        add_adapter(model, dataclasses.replace(RECIPE, targets=("w_pack",)))
    with pytest.raises(ReportError, match="at most 20 are taken"):
        encode(tokenizer, SOME[0], 20)


def test_pairs_that_the_model_has_no_room_for_are_neither_learnt_from_nor_measured_on(
    folder: Path, tmp_path: Path
) -> None:
    long = Pair("long", "en", "Lesion 1 in the liver. " * 500, "Liver.")
    recipe = dataclasses.replace(RECIPE, longest=50_000)
    for learnt, kept, retained in (([long], SHORT, ()), (SOME, [long], ()), (SOME, SHORT, [long])):
        with pytest.raises(TooLongError, match=r"Pair long has .* at most 2048 are taken"):
            train_impression(
                learnt, str(folder), tmp_path, recipe, kept, torch.device("cpu"), retained=retained
            )


def test_pairs_are_the_same_each_time_and_come_back_from_a_file(tmp_path: Path) -> None:
    assert [pair for pair in pairs(24, "B", 1, (UNSEEN_TRACER,)) if pair in SOME] == SOME
    write_pairs(tmp_path / "pairs.jsonl", SOME)
    assert read_pairs(tmp_path / "pairs.jsonl") == SOME
    assert {pair.language for pair in SOME} == {"en", "zh"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 1: this is no JSON"),
        ("[]", "line 1: a pair is an object"),
        ('{"id": "a", "findings": "x"}', "line 1: impression is missing"),
        ('{"id": "a", "findings": " ", "impression": "y"}', "line 1: findings is missing or empty"),
        ('{"id": "a", "findings": "x", "impression": "y", "language": "fr"}', "language is en or zh"),
        ("", "holds no pair"),
    ],
)
def test_a_file_that_holds_no_pairs_is_refused_with_its_line(
    tmp_path: Path, line: str, sentence: str
) -> None:
    (tmp_path / "pairs.jsonl").write_text(line)
    with pytest.raises(ReportError, match=sentence):
        read_pairs(tmp_path / "pairs.jsonl")


def test_a_patients_pairs_stay_on_one_side_also_when_others_come() -> None:
    many = [Pair(f"patient{n // 3}/{n}", "en", "f", "i") for n in range(300)]
    learnt, kept = split_pairs(many, 0.2, 1000)
    assert not {p.id.split("/")[0] for p in learnt} & {p.id.split("/")[0] for p in kept}
    assert set(split_pairs(many[:150], 0.2, 1000)[1]) <= set(kept)
    with pytest.raises(ReportError, match="too few"):
        split_pairs(many[:1], 0.2, 10)


def test_the_untrained_model_is_a_qwen2_of_at_most_16_megabytes(folder: Path) -> None:
    assert isinstance(load_model(str(folder), torch.device("cpu"))[0], Qwen2ForCausalLM)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 16e6
