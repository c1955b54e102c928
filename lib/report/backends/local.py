"""A model of transformers in this process, with a PEFT adapter or without."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lib.report.backends import BackendError, Options
from lib.report.backends.line import Line
from lib.report.backends.pieces import before_stop, from_thread
from lib.report.language import Language, ReportError, check_text
from lib.report.prompts import messages

#: Tokens of an impression that there must be room for.
_FEWEST = 128


def load_model(where: str, device: torch.device, adapter: Path | None = None) -> tuple[Any, Any]:
    """Return model and tokenizer of a folder, or of a name that the hub's client has downloaded.

    Nothing is downloaded, no code of a model is run, and weights are safetensors only.

    Raises:
        BackendError: there is none, or it cannot be used; the sentence says what to do.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of reading, for whoever reads a log
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    shown = Path(where).name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **safe)
        model = AutoModelForCausalLM.from_pretrained(where, use_safetensors=True, dtype="auto", **safe)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"No language model could be read from {shown}: name a folder with config.json, tokenizer and "
            "safetensors, or a model that `hf download` has fetched.",
            503,
        ) from error
    if not tokenizer.chat_template:
        raise BackendError(f"{shown} has no chat template: take an instruct model, such as Qwen2.5's.", 503)
    if device.type == "cpu" and model.dtype == torch.float16:
        model = model.float()  # half precision is slow on a CPU
    if adapter:
        model = _with_adapter(model, adapter, shown)
    model.to(device)  # type: ignore[arg-type]
    return model.eval(), tokenizer


def digest_of(model: Any) -> str:
    """Return what tells a model from others: SHA-256 of the first 64 values of each of its weights."""
    found = hashlib.sha256()
    for name, weight in model.named_parameters():
        found.update(f"{name} {tuple(weight.shape)} ".encode())
        found.update(weight.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return found.hexdigest()


def room_of(model: Any) -> int:
    """Return how many tokens a model has room for, findings and impression together."""
    return int(getattr(model.config, "max_position_embeddings", None) or 1 << 20)


def _with_adapter(model: Any, adapter: Path, base: str) -> Any:
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise BackendError(f"{adapter.name} holds no adapter_model.safetensors.", 503)
    try:
        card = json.loads((adapter / "card.json").read_bytes())
    except (OSError, ValueError):
        card = {}  # another program's
    if card.get("base_digest") not in (None, digest_of(model)):
        raise BackendError(
            f"The adapter {adapter.name} was trained on another model than {base}: train one anew, or go "
            "back to the one before.",
            503,
        )
    try:
        return PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BackendError(f"The adapter {adapter.name} does not fit the model.", 503) from error


class LocalBackend:
    """A model in this process; it is loaded when it is first used.

    Args:
        where: a folder, or a downloaded model's name on the hub.
        adapter: a PEFT adapter's folder.
        device: a GPU where there is one, if not given.

    Attributes:
        where: see above.
        own: the adapter that it was made with.
    """

    def __init__(self, where: str, adapter: Path | None = None, device: torch.device | None = None) -> None:
        self.where, self.own, self._adapter = where, adapter, adapter
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._line = Line()
        self._loaded: tuple[Any, Any] | None = None
        self._loaded_adapter: Path | None = None

    def take(self, adapter: Path | None) -> None:
        """Write with another adapter from the next impression on; None: with what it was made with."""
        self._adapter = adapter or self.own

    @property
    def name(self) -> str:
        """The model's name, and the adapter's."""
        base = Path(self.where).name
        return f"{base} with {self._adapter.name}" if self._adapter else base

    def generate(
        self,
        findings: str,
        language: Language,
        options: Options = Options(),  # noqa: B008 -- frozen
        cancelled: Callable[[], bool] = bool,
        waiting: Callable[[int], None] = lambda place: None,
    ) -> Iterator[str]:
        """See `lib.report.backends.Backend`."""
        if not check_text(findings, "The findings").strip():
            raise ReportError("There are no findings to write an impression of.")
        with self._line.turn(waiting, cancelled):
            if self._loaded is None or self._loaded_adapter != self._adapter:
                self._loaded, adapter = None, self._adapter  # a large model is not in memory twice
                self._loaded = load_model(self.where, self._device, adapter)
                self._loaded_adapter = adapter
            tokens, options = self._tokens(findings, language, options)
            pieces = from_thread(
                lambda put, ended: self._write(tokens, options, put, ended), options.timeout, cancelled
            )
            with closing(pieces):  # type: ignore[type-var]
                yield from before_stop(pieces, options.stop)

    def _tokens(self, findings: str, language: Language, options: Options) -> tuple[torch.Tensor, Options]:
        """Return the prompt, and the options with no longer an impression than there is room for."""
        assert self._loaded
        model, tokenizer = self._loaded
        prompt = tokenizer.apply_chat_template(
            messages(findings, language), tokenize=False, add_generation_prompt=True
        )
        tokens = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        most = room_of(model)
        room = most - tokens.shape[1]
        if room < min(options.max_tokens, _FEWEST):
            raise ReportError(
                f"The findings have {tokens.shape[1]} tokens, which leaves no room for an impression in the "
                f"model's {most}: shorten them."
            )
        return tokens.to(self._device), replace(options, max_tokens=min(options.max_tokens, room))

    def _write(
        self, tokens: torch.Tensor, options: Options, put: Callable[[str], None], ended: threading.Event
    ) -> None:
        from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer

        assert self._loaded
        model, tokenizer = self._loaded

        class Put(TextStreamer):
            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                put(text)

        class Ended(StoppingCriteria):
            def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
                return torch.full((len(input_ids),), ended.is_set(), device=input_ids.device)

        drawn = options.temperature > 0
        chance = {"temperature": options.temperature, "top_p": options.top_p} if drawn else {}
        if not drawn:  # a model's own settings of drawing would be warned of
            chance = {"temperature": None, "top_p": None, "top_k": None}  # type: ignore[dict-item]
        try:
            with torch.random.fork_rng(enabled=drawn), torch.inference_mode():
                if drawn:
                    torch.manual_seed(options.seed)
                model.generate(
                    tokens,
                    attention_mask=torch.ones_like(tokens),
                    do_sample=drawn,
                    max_new_tokens=options.max_tokens,
                    streamer=Put(tokenizer, skip_prompt=True, skip_special_tokens=True),
                    stopping_criteria=StoppingCriteriaList([Ended()]),
                    **chance,
                )
        except torch.OutOfMemoryError as error:
            raise BackendError(
                "There is not enough memory for the model: shorten the findings.", 503
            ) from error
        except (RuntimeError, ValueError, IndexError) as error:
            raise BackendError("The model failed while it wrote the impression.") from error
