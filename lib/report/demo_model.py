"""The small model that comes with SegPET: shows the way from findings to impression, no more.

Qwen2's architecture with a vocabulary of its own, trained from nothing on style A of
`lib.report.synthetic_pairs`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from lib.report.recipe import Recipe
from lib.report.synthetic_pairs import pairs
from lib.report.tuning import Tuner, TuningStopped

#: Qwen2's, without the system's words: a model this small has one task only.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.role != 'system' %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 1024
SEED = 20_001


def make_tokenizer(texts: Iterable[str], size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer learnt from texts; each digit is a token, so that numbers copy."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int = SEED) -> Qwen2ForCausalLM:
    """Return the model before training: small random weights, and a circuit that copies.

    Copying is what the task needs and what a short training does not find (Olsson et al., In-context Learning
    and Induction Heads, 2022), so the first two layers begin with it.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},  # Qwen2.5's
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        _wire(model)
    return model


def _wire(model: Any) -> None:
    """Let layer 1 find the last three tokens earlier in the text, and say what followed them there.

    Of 256 channels, 0 to 63 hold the token; 64 to 99 the first 12 of those of the three tokens before,
    written by layer 0; 128 to 191 what is copied, written by layer 1 and read by the output. A constant
    query a and key R(distance) a have, rotated by their positions, the product sum cos(m theta_f), which is
    highest where m, the distance from the wanted place, is 0. What is compared by content lies in pairs that
    turn slowly.
    """
    code, size, fast, slow = 12, 64, 8, 14
    embedding = model.model.embed_tokens.weight
    embedding.zero_()[:, :size].normal_()
    model.lm_head.weight[:, 128:192] = 0.12 * embedding[:, :size]
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    turns = model.model.rotary_emb.inv_freq[:fast]
    for head in range(3):
        row = head * size
        first.q_proj.bias[row : row + fast] = 9.0
        first.k_proj.bias[row : row + fast] = 9.0 * torch.cos(turns * (head + 1))
        first.k_proj.bias[row + size // 2 : row + size // 2 + fast] = 9.0 * torch.sin(turns * (head + 1))
        for channel in range(code):
            first.v_proj.weight[row + channel, channel] = 1.0
            first.o_proj.weight[64 + head * code + channel, row + channel] = 0.58
    rows = [*range(slow, size // 2), *range(size // 2 + slow, size)]
    for n, row in enumerate(rows):
        part, channel = divmod(n, code)
        now = channel if part == 0 else 64 + (part - 1) * code + channel
        second.q_proj.weight[row, now] = 1.7
        second.k_proj.weight[row, 64 + part * code + channel] = 1.7
    for channel in range(size):
        second.v_proj.weight[channel, channel] = 1.0
        second.o_proj.weight[128 + channel, channel] = 1.0


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Args:
        seed: of its pairs.
        pairs: how many they are.
        rate: the highest.
        most: steps after which it ends, also before its rate has come down.
    """

    seed: int
    pairs: int
    rate: float
    most: int


#: Copying is learnt at a high rate, which is left while it is high; fresh pairs at a lower one settle it.
STAGES = (Stage(SEED, 20_000, 1.5e-3, 1_200), Stage(SEED + 1, 2_400, 8e-4, 300))
_BATCH = 8


def train_demo_model(
    work: Path,
    output: Path,
    stages: Sequence[Stage] = STAGES,
    told: Callable[[Tuner], None] = lambda tuner: None,
    stopped: Callable[[], bool] = bool,
) -> None:
    """Train it from nothing; a killed run goes on from `work`.

    Args:
        work: folder of the checkpoints.
        output: folder to write, as transformers reads it: float16 safetensors, tokenizer, chat template.
        stages: one after the other.
        told: called after each step.
        stopped: asked before each step.

    Raises:
        TuningStopped: `stopped` became true.
    """
    first = list(pairs(stages[0].pairs, "A", stages[0].seed))
    tokenizer = make_tokenizer(text for pair in first for text in (pair.findings, pair.impression))
    model = make_model(tokenizer)
    work.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(stages):
        recipe = Recipe(
            epochs=1, rate=stage.rate, batch=_BATCH, accumulate=1, longest=2048, bf16=True, seed=SEED
        )
        learnt = list(pairs(stage.pairs, "A", stage.seed))
        tuner = Tuner(model, tokenizer, recipe, learnt, work / f"stage-{number}.safetensors")
        _run(tuner, min(stage.most, tuner.steps), told, stopped)
    save_demo_model(model, tokenizer, output)


def _run(tuner: Tuner, last: int, told: Callable[[Tuner], None], stopped: Callable[[], bool]) -> None:
    """Train to a step."""
    try:
        while tuner.step < last:
            tuner.run_epoch(lambda: told(tuner), lambda: tuner.step >= last or stopped())
    except TuningStopped:
        if tuner.step < last:
            raise


def save_demo_model(model: Any, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write a folder that transformers reads; weights as float16."""
    output.mkdir(parents=True, exist_ok=True)
    state = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(output, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(output)
    config = json.loads((output / "config.json").read_text())
    config["dtype"] = "float16"
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
