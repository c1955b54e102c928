"""From pairs to an adapter with its card: split, train, generate on what was kept apart, measure, save."""

import errno
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError

from lib.report.backends.local import digest_of, load_model, room_of
from lib.report.language import ReportError
from lib.report.prompts import messages
from lib.report.recipe import Recipe
from lib.report.scoring import TITLES, mean_over, score_case
from lib.report.text_pairs import Pair, patient_of, split_pairs
from lib.report.tuning import Tuner, TuningStopped, encode_all
from lib.store.atomic import sync, write_atomic

CARD = "card.json"
_BATCH = 16


@dataclass(frozen=True)
class TextProgress:
    """How far a training is.

    Args:
        stage: "measuring" or "training".
        share: of the work, 0 to 1.
        epoch: that runs, from 1; 0 before the first.
        curve: of each epoch measured, 0 first: {"epoch", "loss", and what `means` returns}.
    """

    stage: str
    share: float
    epoch: int
    curve: list[dict[str, Any]]


def add_adapter(model: Any, recipe: Recipe) -> Any:
    """Return the model with a new low-rank adapter; only the adapter requires a gradient.

    Raises:
        ReportError: the model has no layer of that name.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets), task_type="CAUSAL_LM",
    )  # fmt: skip
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ReportError(f"The model has no layer named {', '.join(recipe.targets)}.") from error


def train_impression(
    pairs: Sequence[Pair],
    base: str,
    output: Path,
    recipe: Recipe,
    kept: Sequence[Pair] | None = None,
    device: torch.device | None = None,
    told: Callable[[TextProgress], None] = lambda progress: None,
    stopped: Callable[[], bool] = bool,
    fresh: bool = False,
    retained: Sequence[Pair] = (),
) -> dict[str, Any]:
    """Train an adapter, and return its card.

    `output` gets adapter_model.safetensors, adapter_config.json and card.json. A killed or stopped training
    goes on from `output`/checkpoint when it is called with the same again.

    Args:
        pairs: to learn from.
        base: the model: a folder, or a downloaded model's name on the hub.
        output: folder of the adapter.
        recipe: how.
        kept: pairs to measure on, of other patients; a tenth of `pairs`, at most 100, chosen by their ids, if
            not given.
        device: a GPU where there is one, if not given.
        told: called with the progress.
        stopped: asked before each step.
        fresh: begin anew even if there is a checkpoint.
        retained: pairs of what the base writes well; measured at the end, with the adapter off and on.

    Raises:
        ReportError: pairs, recipe or checkpoint cannot be used.
        TooLongError: the model, or the recipe, has no room for some of the pairs.
        BackendError: the model cannot be read.
        TuningStopped: `stopped` became true.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learnt, kept = split_pairs(pairs, 0.1, 100) if kept is None else (list(pairs), list(kept))
    patients = {patient_of(pair) for pair in learnt}
    if shared := sum(patient_of(pair) in patients for pair in kept):
        raise ReportError(
            f"{shared} of the {len(kept)} pairs to measure on are of patients that are learnt from, by their "
            "ids: give others, or other ids where it is not so."
        )
    if device.type == "cuda":
        recipe = replace(recipe, bf16=True, checkpointing=True)
    model, tokenizer = load_model(base, device)
    encode_all(tokenizer, [*kept, *retained], room_of(model))  # a longer one would be written of at random
    base_digest = digest_of(model)
    tuned = add_adapter(model, recipe)
    work = output / "checkpoint"
    work.mkdir(parents=True, exist_ok=True)
    checkpoint, curve_file = work / "tuning.safetensors", work / "curve.json"
    if fresh:
        checkpoint.unlink(missing_ok=True)
        curve_file.unlink(missing_ok=True)
    tuner = Tuner(tuned, tokenizer, recipe, learnt, checkpoint, [base_digest, _digest(kept)])
    about: dict[str, Any] = (
        json.loads(curve_file.read_text()) if checkpoint.is_file() else {"seconds": 0.0, "curve": []}
    )
    curve: list[dict[str, Any]] = about["curve"]
    begun = time.monotonic() - about["seconds"]

    def tell(stage: str) -> None:
        epoch = min(recipe.epochs, tuner.step // tuner.steps_an_epoch + 1) if curve else 0
        told(TextProgress(stage, tuner.step / tuner.steps, epoch, curve))

    def measure(epoch: int) -> None:
        tell("measuring")
        scores = means(scores_on(tuned, tokenizer, kept, stopped))
        loss = tuner.loss if math.isfinite(tuner.loss) else None
        curve.append({"epoch": epoch, "loss": loss, **scores})
        _write(curve_file, {"seconds": time.monotonic() - begun, "curve": curve})

    try:
        if not curve:
            measure(0)
        while (epoch := len(curve)) <= recipe.epochs:
            if tuner.step < epoch * tuner.steps_an_epoch:
                tuner.run_epoch(lambda: tell("training"), stopped)
            measure(epoch)
    except TuningStopped:
        _write(curve_file, {"seconds": time.monotonic() - begun, "curve": curve})
        raise
    _save_adapter(tuned, output)
    seen = {pair.findings for pair in learnt}
    card = {
        "base": Path(base).name,
        "base_digest": base_digest,
        "recipe": {**asdict(recipe), "targets": list(recipe.targets)},
        "data": {
            "training": len(learnt),
            "held_out": len(kept),
            "held_out_learnt": sum(pair.findings in seen for pair in kept),
            "digest": _digest(learnt),
        },
        "seconds": round(time.monotonic() - begun, 1),
        "curve": curve,
        "adapter_sha256": hashlib.sha256((output / "adapter_model.safetensors").read_bytes()).hexdigest(),
    }
    if retained:
        tell("measuring")
        with tuned.disable_adapter():
            before = means(scores_on(tuned, tokenizer, retained))
        after = means(scores_on(tuned, tokenizer, retained))
        card["retained"] = {"pairs": len(retained), "before": before, "after": after}
    _write(output / CARD, card)
    tell("measuring")
    return card


def scores_on(
    model: Any, tokenizer: Any, kept: Sequence[Pair], stopped: Callable[[], bool] = bool
) -> list[dict[str, float]]:
    """Write impressions of pairs' findings, greedy, and return each one's scores (`scoring.ScoredCase`).

    Raises:
        TuningStopped: `stopped` became true.
    """
    said: list[str] = []
    for start in range(0, len(kept), _BATCH):
        if stopped():
            raise TuningStopped
        said += write_impressions(model, tokenizer, kept[start : start + _BATCH])
    return [score_case(pair.case(text)).scores for pair, text in zip(kept, said, strict=True)]


def means(scores: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the means over reports by the keys of `scoring.TITLES`, and in `ci95` their 95 % intervals.

    None where no report has a value, or too few have one for an interval.
    """
    keys = [key for key in TITLES if scores and key in scores[0]]
    found = {key: mean_over([one[key] for one in scores]).as_dict() for key in keys}
    intervals = {key: estimate["ci95"] for key, estimate in found.items()}
    return {**{key: estimate["value"] for key, estimate in found.items()}, "ci95": intervals}


def write_impressions(model: Any, tokenizer: Any, pairs: Sequence[Pair], most: int = 512) -> list[str]:
    """Return what the model writes of the pairs' findings, greedy, all at once."""
    prompts = [
        tokenizer.apply_chat_template(
            messages(pair.findings, pair.language), tokenize=False, add_generation_prompt=True
        )
        for pair in pairs
    ]
    tokenizer.padding_side = "left"
    tokens = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
    wanted = max(len(tokenizer(pair.impression)["input_ids"]) for pair in pairs)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        written = model.generate(
            input_ids=tokens["input_ids"].to(model.device),
            attention_mask=tokens["attention_mask"].to(model.device),
            do_sample=False, temperature=None, top_p=None, top_k=None,
            max_new_tokens=min(most, 2 * wanted + 16),
        )  # fmt: skip
    model.train(was_training)
    return list(tokenizer.batch_decode(written[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True))


def _digest(pairs: Sequence[Pair]) -> str:
    text = json.dumps([asdict(pair) for pair in pairs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _save_adapter(model: Any, output: Path) -> None:
    """Write the adapter's files, each of which is the old or the new one whenever the machine stops."""
    with TemporaryDirectory(dir=output, prefix=".", suffix=".part") as part:
        try:
            model.save_pretrained(part, safe_serialization=True)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error)) from error
        for file in sorted(Path(part).iterdir()):
            sync(file)
            file.replace(output / file.name)
    sync(output)
