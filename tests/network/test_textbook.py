"""The fast form against the plain formulas in float64."""

import pytest
import textbook_seganypet as textbook
import torch
from conftest import SMALL, small_network

from lib.network import SegAnyPET, SegAnyPETConfig


def random(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def double():
    return small_network().double().requires_grad_(False)


@pytest.mark.parametrize("scale", [1, 20])
def test_encoder_equals_the_formulas(double, scale):
    scale_relative_positions(double, scale)
    volume = random(2, 1, 16, 16, 16)
    expected = textbook.encode(double.state_dict(), SMALL, volume)
    torch.testing.assert_close(double.encode(volume), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("window", [4, 5, 11])
def test_padding_follows_from_grid_and_window(window):
    config = SegAnyPETConfig(
        image_size=8, patch_size=2, encoder_width=12, encoder_depth=2, encoder_heads=3, encoder_mlp_width=16,
        window_size=window, global_blocks=(1,), embedding_width=48, decoder_mlp_width=8,
    )  # fmt: skip
    torch.manual_seed(0)
    network = SegAnyPET(config).double().requires_grad_(False)
    for block in network.image_encoder.blocks:
        for table in (block.attn.rel_pos_d, block.attn.rel_pos_h, block.attn.rel_pos_w):
            table.normal_()
    volume = random(1, 1, 8, 8, 8)
    expected = textbook.encode(network.state_dict(), config, volume)
    torch.testing.assert_close(network.encode(volume), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("clicks", [0, 1, 3])
def test_decoder_equals_the_formulas(double, clicks):
    embedding, mask = random(1, 48, 4, 4, 4), random(1, 1, 16, 16, 16, seed=2)
    points = torch.tensor([[3, 5, 11], [15, 0, 2], [7, 8, 9]])[:clicks]
    labels = torch.tensor([1, 0, 1])[:clicks]
    expected = textbook.decode(
        double.state_dict(), SMALL, embedding, points if clicks else None, labels, mask
    )
    logits = double.decode(embedding, points[None], labels[None], mask)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("index", [0, 2])  # a window block and a global one
@pytest.mark.parametrize(("scale", "tolerance"), [(1, 2e-5), (20, 1e-4)])
def test_a_block_of_the_published_size_equals_the_formulas_in_float32(published, index, scale, tolerance):
    block = published.image_encoder.blocks[index]
    x = random(1, 8, 8, 8, 768)
    state = {f"attn.{key}": value.clone() for key, value in block.attn.state_dict().items()}
    for axis in "dhw":
        state[f"attn.rel_pos_{axis}"] *= scale
    attention = type(block.attn)(768, 12, grid=8, window=8 if index == 2 else 14)
    attention.load_state_dict({key.removeprefix("attn."): value for key, value in state.items()})
    exact = {key: value.double() for key, value in state.items()}
    expected = textbook.attend(exact, x, 8 if index == 2 else 14, heads=12).flatten(1, 3)
    with torch.inference_mode():
        result = attention(x.flatten(1, 3).float())
    assert result.isfinite().all()
    # Terms of some hundreds leave float32 fewer digits below the point.
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


def test_large_relative_positions_stay_finite_through_the_whole_encoder():
    network = small_network().requires_grad_(False)
    scale_relative_positions(network, 1e4)
    assert network.encode(random(1, 1, 16, 16, 16).float()).isfinite().all()


def scale_relative_positions(network, scale):
    for key, value in network.named_parameters():
        if "rel_pos" in key:
            value *= scale
