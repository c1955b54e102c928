"""The small model that comes with SegPET: shows the way from findings to impression, no more.

Qwen2's architecture with a vocabulary of its own, trained from nothing on style A of
`lib.report.synthetic_pairs`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from lib.report.synthetic_pairs import pairs
from lib.report.text_pairs import Pair
from lib.report.tuning import Recipe, Tuner

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
    """Return the model with random weights.

    Three heads of the first layer begin with looking one, two and three tokens back: copying needs that
    (Olsson et al., In-context Learning and Induction Heads, 2022), and to find it takes most of a short training.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},  # Qwen2.5's
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    _look_back(model, distances=(1, 2, 3))
    return model


def _look_back(model: Any, distances: Sequence[int], strength: float = 7.0, pairs_used: int = 4) -> None:
    """Set biases of queries and keys so that head n of the first layer attends `distances[n]` tokens back.

    A constant query a and key R(distance) a have, rotated by their positions, the product sum cos(m theta_f),
    which is highest where m, the distance from the wanted place, is 0.
    """
    attention = model.model.layers[0].self_attn
    size = attention.head_dim
    turns = model.model.rotary_emb.inv_freq[:pairs_used]
    with torch.no_grad():
        for head, distance in enumerate(distances):
            first, second = head * size, head * size + size // 2
            attention.q_proj.bias[first : first + pairs_used] = strength
            attention.k_proj.bias[first : first + pairs_used] = strength * torch.cos(turns * distance)
            attention.k_proj.bias[second : second + pairs_used] = strength * torch.sin(turns * distance)


def train_demo_model(
    work: Path,
    output: Path,
    number: int = 2_400,
    epochs: int = 4,
    told: Callable[[Tuner], None] = lambda tuner: None,
    stopped: Callable[[], bool] = bool,
    recipe: Recipe | None = None,
) -> None:
    """Train it from nothing; a killed run goes on from `work`.

    Args:
        work: folder of the checkpoint.
        output: folder to write, as transformers reads it: float16 safetensors, tokenizer, chat template.
        number: pairs to learn from.
        epochs: times that each is seen.
        told: called after each step.
        stopped: asked before each step.
        recipe: another one than the default.

    Raises:
        TuningStopped: `stopped` became true.
    """
    learnt: list[Pair] = list(pairs(number, "A", SEED))
    tokenizer = make_tokenizer(text for pair in learnt for text in (pair.findings, pair.impression))
    model = make_model(tokenizer)
    recipe = recipe or Recipe(
        epochs=epochs, rate=3e-3, batch=16, accumulate=1, longest=2048, bf16=True, seed=SEED
    )
    work.mkdir(parents=True, exist_ok=True)
    tuner = Tuner(model, tokenizer, recipe, learnt, work / "demo.safetensors")
    while tuner.step < tuner.steps:
        tuner.run_epoch(lambda: told(tuner), stopped)
        save_demo_model(model, tokenizer, output)


def save_demo_model(model: Any, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write a folder that transformers reads; weights as float16."""
    output.mkdir(parents=True, exist_ok=True)
    state = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(output, state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(output)
    config = json.loads((output / "config.json").read_text())
    config["dtype"] = "float16"
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
