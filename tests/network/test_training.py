"""Gradients reach what training must change, and nothing computed before a step is used after it."""

import copy

import pytest
import textbook_seganypet as textbook
import torch
from conftest import SMALL
from torch import nn

# D1 of the mask decoder, and the prompt encoder's unused embedding.
UNUSED = (
    "prompt_encoder.no_mask_embed.",
    "mask_decoder.iou_prediction_head.",
    *(f"mask_decoder.output_hypernetworks_mlps.{i}." for i in (1, 2, 3)),
)


class LowRank(nn.Module):
    """A linear layer with a low-rank update, as adapter libraries wrap it."""

    def __init__(self, base: nn.Linear, rank: int = 2):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))

    def merged(self) -> nn.Linear:
        merged = copy.deepcopy(self.base)
        merged.weight.data += self.up.weight @ self.down.weight
        return merged


def prompts():
    generator = torch.Generator().manual_seed(3)
    volume = torch.randn(2, 1, 16, 16, 16, generator=generator)
    points = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
    return volume, points, torch.tensor([[1, 0], [0, 1]])


def loss_of(network):
    volume, points, labels = prompts()
    embedding = network.encode(volume)
    logits = network.decode(embedding, points, labels)
    logits = network.decode(
        embedding, points, labels, logits
    )  # the mask prompt is trained through the next step
    weights = torch.linspace(-1, 1, 16)
    return (network.upsample(logits).sigmoid() * weights).sum()


def test_gradients_reach_every_parameter_that_is_used(small):
    loss_of(small).backward()
    for key, parameter in small.named_parameters():
        if key.startswith(UNUSED):
            assert parameter.grad is None, key
        else:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, key


def test_gradients_of_attention_equal_finite_differences(small):
    network = small.double()
    volume = prompts()[0].double()[:1]
    attention = network.image_encoder.blocks[0].attn
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(1, 48, 4, 4, 4, generator=generator, dtype=torch.float64)

    def value():
        return (network.encode(volume) * weights).sum()

    value().backward()
    for parameter in (attention.qkv.weight, attention.qkv.bias, attention.rel_pos_h, attention.rel_pos_w):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        expected = (parameter.grad * direction).sum()
        with torch.no_grad():
            parameter += 1e-5 * direction
            up = value()
            parameter -= 2e-5 * direction
            down = value()
            parameter += 1e-5 * direction
        torch.testing.assert_close((up - down) / 2e-5, expected, rtol=1e-5, atol=1e-7)


def test_a_step_changes_the_result_at_once(small):
    optimizer = torch.optim.SGD(
        [p for key, p in small.named_parameters() if "rel_pos" in key or "qkv" in key], 1.0
    )
    volume = prompts()[0]
    with torch.no_grad():
        before = small.encode(volume)
    loss_of(small).backward()
    optimizer.step()
    with torch.no_grad():
        after = small.encode(volume)
    assert (after - before).abs().max() > 1e-4
    expected = textbook.encode(small.state_dict(), SMALL, volume)
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1])  # padded, not padded
def test_an_adapter_around_qkv_learns_and_acts_on_padding_too(small, index):
    attention = small.image_encoder.blocks[index].attn
    attention.qkv = LowRank(attention.qkv)
    adapter = attention.qkv
    volume = prompts()[0]
    loss_of(small).backward()
    assert adapter.down.weight.grad.abs().max() > 0
    assert adapter.up.weight.grad.abs().max() > 0
    assert adapter.base.weight.grad is None
    torch.optim.SGD([adapter.down.weight, adapter.up.weight], 1.0).step()

    with torch.no_grad():
        wrapped = small.encode(volume)
        attention.qkv = adapter.merged()
        expected = textbook.encode(small.state_dict(), SMALL, volume)
        torch.testing.assert_close(wrapped, expected, rtol=0, atol=1e-5)
        attention.qkv = adapter.base
        assert (small.encode(volume) - wrapped).abs().max() > 1e-4


def test_the_bias_of_an_adapter_is_live_in_the_padding(small):
    """An adapter that adds to the bias only: padding tokens have nothing but the bias."""
    attention = small.image_encoder.blocks[0].attn
    base = attention.qkv

    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.full((base.out_features,), 0.5))

        def forward(self, x):
            return base(x) + self.shift

    attention.qkv = Shifted()
    with torch.no_grad():
        wrapped = small.encode(prompts()[0])
        attention.qkv = base
        base.bias += 0.5
        expected = textbook.encode(small.state_dict(), SMALL, prompts()[0])
    torch.testing.assert_close(wrapped, expected, rtol=0, atol=1e-5)


def test_inference_equals_the_forward_pass_of_training(small):
    volume, points, labels = prompts()
    embedding = small.encode(volume)
    logits = small.decode(embedding, points, labels)
    assert logits.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(small.encode(volume), embedding, rtol=0, atol=1e-5)
        torch.testing.assert_close(small.decode(embedding, points, labels), logits, rtol=0, atol=1e-5)
