"""Training of a language model on pairs of findings and impression: loss on the impression only.

The loop is the same for a low-rank adapter (Hu et al., LoRA, ICLR 2022) on a large model and for all weights
of a small one: whatever requires a gradient is trained. A killed run goes on from its checkpoint.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lib.report.backends.local import room_of
from lib.report.language import ReportError
from lib.report.prompts import messages
from lib.report.recipe import Recipe
from lib.report.text_pairs import Pair
from lib.store.atomic import write_atomic

_IGNORED = -100  # what transformers leaves out of the loss
_SAVE_SECONDS = 60.0


class TuningStopped(Exception):  # noqa: N818 -- nothing went wrong
    """Somebody stopped it; the checkpoint is written."""


class CheckpointError(ReportError):
    """The checkpoint is another training's, or damaged."""


class TooLongError(ReportError):
    """Pairs have more tokens than there is room for.

    Args:
        message: a sentence.
        ids: the pairs'.
    """

    def __init__(self, message: str, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = ids


@dataclass(frozen=True)
class Example:
    """A pair as tokens; the answer begins at `start`."""

    tokens: list[int]
    start: int


def encode(tokenizer: Any, pair: Pair, longest: int) -> Example:
    """Return a pair in the model's chat template; the answer includes the token that ends it.

    Raises:
        TooLongError: it is too long.
        ReportError: the template does not begin a whole chat as it begins the prompt.
    """
    asked = messages(pair.findings, pair.language)
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(
        [*asked, {"role": "assistant", "content": pair.impression}], tokenize=False
    )
    if not whole.startswith(prompt):
        raise ReportError("The model's chat template cannot be used: it writes the prompt in two ways.")
    # Apart, so that no token holds the end of the prompt and the beginning of the answer.
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(whole[len(prompt) :].rstrip("\n"), add_special_tokens=False)["input_ids"]
    if len(before) + len(answer) > longest:
        raise TooLongError(
            f"Pair {pair.id[:64]} has {len(before) + len(answer)} tokens; at most {longest} are taken.",
            [pair.id],
        )
    return Example([*before, *answer], len(before))


def encode_all(tokenizer: Any, pairs: Sequence[Pair], longest: int) -> list[Example]:
    """Return `encode` of each; TooLongError tells of all that are too long."""
    examples, long = [], []
    for pair in pairs:
        try:
            examples.append(encode(tokenizer, pair, longest))
        except TooLongError as error:
            long.append((str(error), pair.id))
    if long:
        also = f" So it is with {len(long)} of {len(pairs)} pairs." if len(long) > 1 else ""
        raise TooLongError(long[0][0] + also, [name for _, name in long])
    return examples


def collate(examples: Sequence[Example], padding: int) -> dict[str, Tensor]:
    """Return `input_ids`, `attention_mask`, `labels`, each (batch, longest), padded on the right."""
    longest = max(len(example.tokens) for example in examples)
    tokens = torch.full((len(examples), longest), padding)
    mask = torch.zeros_like(tokens)
    labels = torch.full_like(tokens, _IGNORED)
    for row, example in enumerate(examples):
        length = len(example.tokens)
        tokens[row, :length] = torch.tensor(example.tokens)
        mask[row, :length] = 1
        labels[row, example.start : length] = tokens[row, example.start : length]
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


class Tuner:
    """Trains what requires a gradient.

    Args:
        model: of transformers, or of PEFT on top.
        tokenizer: the model's; has a chat template.
        recipe: how.
        pairs: to learn from.
        checkpoint: file to go on from, and to save to each minute and at the end of each epoch.
        beside: what else must be the same to go on, such as the base.

    Raises:
        ReportError, TooLongError: a pair cannot be learnt from.
        CheckpointError: the checkpoint is another training's, or damaged.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        recipe: Recipe,
        pairs: Sequence[Pair],
        checkpoint: Path,
        beside: Sequence[str] = (),
    ) -> None:
        self.model, self.recipe, self._file = model, recipe, checkpoint
        self._padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self._examples = encode_all(tokenizer, pairs, min(recipe.longest, room_of(model)))
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(self._trained.values(), lr=recipe.rate, weight_decay=0.0)
        together = json.dumps([asdict(recipe), [asdict(pair) for pair in pairs], *beside], sort_keys=True)
        self._digest = hashlib.sha256(together.encode()).hexdigest()
        self.steps_an_epoch = max(1, math.ceil(len(pairs) / (recipe.batch * recipe.accumulate)))
        self.steps = self.steps_an_epoch * recipe.epochs
        self.step = 0
        self.loss = math.nan
        if checkpoint.is_file():
            self._load()
        if recipe.checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()

    def run_epoch(self, told: Callable[[], None] = lambda: None, stopped: Callable[[], bool] = bool) -> None:
        """Train to the end of the epoch that `step` is in.

        Args:
            told: called after each step; `step` and `loss` say how far it is.
            stopped: asked before each step.

        Raises:
            TuningStopped: `stopped` became true.
        """
        epoch = self.step // self.steps_an_epoch
        self.model.train()
        saved = time.monotonic()
        for batches in self._batches(epoch)[self.step % self.steps_an_epoch :]:
            if stopped():
                self._save()
                raise TuningStopped
            self._learn(batches)
            if time.monotonic() - saved > _SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
            told()
        self._save()

    def _learn(self, batches: Sequence[Sequence[int]]) -> None:
        torch.manual_seed(hash((self.recipe.seed, self.step)))  # dropout after a crash as without one
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.rate * self._share_of_rate()
        device = next(iter(self._trained.values())).device
        losses = []
        for rows in batches:
            batch = {
                key: value.to(device)
                for key, value in collate([self._examples[row] for row in rows], self._padding).items()
            }
            with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.bf16):
                loss = self.model(**batch, use_cache=False).loss
            (loss / len(batches)).backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(list(self._trained.values()), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.loss = float(np.mean(losses))
        self.step += 1

    def _share_of_rate(self) -> float:
        warm = max(1, min(self.steps // 10, 200))
        if self.step < warm:
            return (self.step + 1) / warm
        done = (self.step - warm) / max(1, self.steps - warm)
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))

    def _batches(self, epoch: int) -> list[list[list[int]]]:
        """Return steps of batches of rows: drawn anew each epoch, those of like length together."""
        random = np.random.default_rng([self.recipe.seed, epoch])
        size, number = self.recipe.batch, self.recipe.accumulate
        order = random.permutation(len(self._examples)).tolist()
        rows: list[int] = []
        for chunk in _chunks(order, size * number * 8):
            rows += sorted(chunk, key=lambda row: len(self._examples[row].tokens))
        steps = [list(_chunks(step, size)) for step in _chunks(rows, size * number)]
        return [steps[n] for n in random.permutation(len(steps))]

    def _save(self) -> None:
        tensors = {f"weights.{name}": p.detach().cpu().contiguous() for name, p in self._trained.items()}
        for name, parameter in self._trained.items():
            for moment in ("exp_avg", "exp_avg_sq"):
                if (state := self._optimizer.state.get(parameter, {})) and moment in state:
                    tensors[f"{moment}.{name}"] = state[moment].cpu().contiguous()
        about = {"step": str(self.step), "loss": str(self.loss), "digest": self._digest}
        write_atomic(self._file, save(tensors, metadata=about))

    def _load(self) -> None:
        try:
            with safe_open(self._file, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("digest") != self._digest:
                    raise CheckpointError(
                        "The folder holds another training's checkpoint: name another folder, or use --fresh."
                    )
                self.step, self.loss = int(about["step"]), float(about["loss"])
                held = set(file.keys())
                for name, parameter in self._trained.items():
                    with torch.no_grad():
                        parameter.copy_(file.get_tensor(f"weights.{name}"))
                    if f"exp_avg.{name}" in held:
                        self._optimizer.state[parameter] = {
                            "step": torch.tensor(float(self.step)),
                            "exp_avg": file.get_tensor(f"exp_avg.{name}").to(parameter.device),
                            "exp_avg_sq": file.get_tensor(f"exp_avg_sq.{name}").to(parameter.device),
                        }
        except (SafetensorError, KeyError) as error:
            raise CheckpointError("The checkpoint cannot be read: begin anew with --fresh.") from error


def _chunks(rows: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
