"""The path of Qwen2.5-7B-Instruct with its architecture, tokenizer and chat template, small and untrained."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

from lib.report.backends import Options
from lib.report.backends.local import LocalBackend, load_model
from lib.report.prompts import PROMPTS
from lib.report.recipe import Recipe
from lib.report.synthetic_pairs import UNSEEN_TRACER, pairs
from lib.report.text_pairs import Pair
from lib.report.tuning import collate, encode
from lib.report.tuning_job import train_impression

SHORT = Pair("short", "en", "No lesion was marked.", "No disease.")
PAIRS = [pair for pair in pairs(24, "B", 1, (UNSEEN_TRACER,)) if len(pair.findings) < 450][:5]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
#: Of Qwen2.5's tokenizer.json.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: As Qwen2.5's instruct models have it, but for most words about tools.
CHAT_TEMPLATE = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query." }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""  # noqa: E501 -- theirs


def write_tokenizer(folder: Path) -> int:
    """Write vocab.json, merges.txt and tokenizer_config.json as Qwen2.5 has them; return how many tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator((pair.findings for pair in PAIRS), trainer)
    tokenizer.model.save(str(folder))
    size = tokenizer.get_vocab_size()
    plain = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    added = {str(size + n): {"content": name, **plain, "special": True} for n, name in enumerate(SPECIAL)}
    about = {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": added,
        "additional_special_tokens": SPECIAL[1:], "bos_token": None, "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": 131072, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return size + len(SPECIAL)


@pytest.fixture(scope="module", params=["7B", "0.5B"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5's shape in bfloat16: 7 queries to a key, untied (7B) or tied (0.5B), a padded vocabulary."""
    path = tmp_path_factory.mktemp(request.param)
    size = write_tokenizer(path)
    groups, tied = {"7B": (4, False), "0.5B": (2, True)}[request.param]
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size + 37,
        hidden_size=groups * 7 * 8,
        intermediate_size=groups * 64,
        num_hidden_layers=2,
        num_attention_heads=groups * 7,
        num_key_value_heads=groups,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
        use_sliding_window=False,
        bos_token_id=size - 3,
        eos_token_id=size - 1,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def test_the_template_is_applied_and_the_loss_is_on_the_answer_alone(folder: Path) -> None:
    model, tokenizer = load_model(str(folder), torch.device("cpu"))
    assert type(model) is Qwen2ForCausalLM and model.dtype == torch.bfloat16
    assert type(tokenizer).__name__.startswith("Qwen2Tokenizer")
    batch = collate([encode(tokenizer, pair, 4096) for pair in PAIRS], tokenizer.pad_token_id)
    for row, pair in enumerate(PAIRS):
        tokens, labels = batch["input_ids"][row], batch["labels"][row]
        tokens, labels = (one[batch["attention_mask"][row] == 1] for one in (tokens, labels))
        system = PROMPTS[pair.language].system
        user = PROMPTS[pair.language].user.format(findings=pair.findings.strip())
        asked = (
            f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        first = int((labels != -100).nonzero()[0])
        assert tokenizer.decode(tokens[:first]) == asked
        assert (labels[:first] == -100).all() and (labels[first:] == tokens[first:]).all()
        assert tokenizer.decode(labels[first:]) == pair.impression + "<|im_end|>"


def test_one_step_gives_an_adapter_that_loads_back_and_merges(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch=2, accumulate=2, rate=1e-2, bf16=True, checkpointing=True)
    card = train_impression(
        PAIRS[1:], str(folder), tmp_path / "adapter", recipe, [SHORT], torch.device("cpu")
    )
    assert [epoch["epoch"] for epoch in card["curve"]] == [0, 1]
    assert card["recipe"] == {**dataclasses.asdict(recipe), "targets": list(recipe.targets)}
    assert not list(tmp_path.rglob("*.bin"))
    with safe_open(tmp_path / "adapter/adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
        moved = [name for name in names if "lora_B" in name and file.get_tensor(name).any()]
    assert all("lora_" in name for name in names)
    assert {name.split(".")[-3] for name in moved} == set(recipe.targets)

    tuned, tokenizer = load_model(str(folder), torch.device("cpu"), tmp_path / "adapter")
    base, _ = load_model(str(folder), torch.device("cpu"))
    tokens = tokenizer(PAIRS[0].findings, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        unmerged = tuned.float()(tokens).logits
        merged = tuned.merge_and_unload()(tokens).logits
        before = base.float()(tokens).logits
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-4)
    assert (before - unmerged).abs().max() > 1e-2
    backend = LocalBackend(str(folder), tmp_path / "adapter", torch.device("cpu"))
    assert "".join(backend.generate(PAIRS[0].findings, "en", Options(max_tokens=4)))
