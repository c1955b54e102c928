"""The compact network: the protocol, prompts that mean what they say, the fast path, and its files."""

from dataclasses import replace

import numpy as np
import pytest
import small_network
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lib.network import (
    CheckpointError,
    CompactConfig,
    CompactPET,
    PromptableNetwork,
    embedding_bytes,
    load_network,
    save_network,
)
from lib.network.click_maps import click_maps, intensity_at
from lib.network.convolution import Conv3d, depth_to_space, space_to_depth, upsample_nearest

TINY = replace(small_network.TINY, spacing=4.0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CompactPET(TINY, name="tiny").eval()


def cubes(batch=1, seed=0):
    return torch.randn(batch, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def clicks(*sets):
    return torch.tensor([[c[:3] for c in s] for s in sets]).float(), torch.tensor(
        [[c[3] for c in s] for s in sets]
    )


ONE = clicks([(3, 4, 5, 1), (10, 2, 7, 0)])
TWO = clicks([(3, 4, 5, 1), (10, 2, 7, 0)], [(8, 8, 8, 1), (1, 1, 1, 1)])


def test_the_network_keeps_to_the_protocol(network):
    keeper: PromptableNetwork = network
    assert (keeper.name, keeper.config.image_size, keeper.config.spacing) == ("tiny", 16, 4.0)
    embedding = keeper.encode(keeper.normalise(cubes()))
    logits = keeper.decode(embedding, *ONE)
    assert keeper.upsample(logits).shape == (1, 1, 16, 16, 16)
    assert embedding_bytes(embedding) == 4 * (16**3 + 8 * (8**3 + 4**3 + 2**3))


def test_the_bundled_size_fits_into_20_mb_at_half_precision():
    with torch.device("meta"):
        network = CompactPET()
    assert 2 * sum(value.numel() for value in network.state_dict().values()) < 20e6


def test_normalising_follows_the_formula_and_takes_missing_values_for_air(network):
    given = np.array([0.0, 1.0, 7.5, np.nan, np.inf])
    wanted = np.arcsinh(2 * np.array([0.0, 1.0, 7.5, 0.0, 0.0])) / 2 - 0.5
    np.testing.assert_allclose(network.normalise(given), wanted, rtol=1e-6)


def test_a_region_is_normalised_without_a_look_at_the_rest_of_it(network):
    cube = cubes().abs()
    hotter = cube.clone()
    hotter[..., 8:] *= 10
    assert torch.equal(network.normalise(cube)[..., :8], network.normalise(hotter)[..., :8])


@torch.no_grad()
def test_the_same_prompts_give_the_same_logits_bit_for_bit(network):
    first = network.decode(network.encode(cubes()), *ONE)
    assert torch.equal(first, network.decode(network.encode(cubes()), *ONE))


@torch.no_grad()
def test_many_prompt_sets_on_one_embedding_equal_each_alone(network):
    embedding, masks = network.encode(cubes()), cubes(2, seed=3)
    together = network.decode(embedding, *TWO, masks)
    for at in range(2):
        alone = network.decode(embedding, TWO[0][at : at + 1], TWO[1][at : at + 1], masks[at : at + 1])
        torch.testing.assert_close(together[at : at + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_cubes_are_encoded_independently(network):
    both = network.encode(cubes(2))
    for at in range(2):
        for part, alone in zip(both, network.encode(cubes(2)[at : at + 1]), strict=True):
            torch.testing.assert_close(part[at : at + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_no_mask_means_zeros_and_no_clicks_mean_an_empty_set(network):
    embedding = network.encode(cubes())
    zeros, none = torch.zeros(1, 1, 16, 16, 16), (torch.zeros(1, 0, 3), torch.zeros(1, 0))
    assert torch.equal(network.decode(embedding, *ONE), network.decode(embedding, *ONE, zeros))
    assert torch.equal(network.decode(embedding), network.decode(embedding, *none))


@torch.no_grad()
def test_every_prompt_matters(network):
    embedding = network.encode(cubes())
    points, labels = ONE
    base = network.decode(embedding, points, labels)
    assert not torch.equal(base, network.decode(embedding, points, 1 - labels))
    assert not torch.equal(base, network.decode(embedding, points + 1, labels))
    assert not torch.equal(base, network.decode(embedding, points[:, :1], labels[:, :1]))
    assert not torch.equal(base, network.decode(embedding, points, labels, cubes(seed=4)))


@torch.no_grad()
def test_neither_the_order_nor_the_repetition_of_negative_clicks_matters(network):
    embedding = network.encode(cubes())
    plain = network.decode(embedding, *clicks([(3, 4, 5, 1), (10, 2, 7, 0), (1, 9, 9, 0)]))
    again = network.decode(embedding, *clicks([(1, 9, 9, 0), (10, 2, 7, 0), (3, 4, 5, 1), (1, 9, 9, 0)]))
    torch.testing.assert_close(plain, again)


def test_gradients_reach_every_parameter(network):
    network.train()
    logits = network.decode(network.encode(cubes(2)), *TWO, cubes(2, seed=5))
    logits.square().mean().backward()
    dead = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not dead


@pytest.mark.parametrize("shape", [(16, 16, 16), (1, 2, 16, 16, 16), (1, 1, 16, 16, 8)])
def test_a_cube_of_another_shape_is_refused(network, shape):
    with pytest.raises(ValueError, match="Expected cubes"):
        network.encode(torch.zeros(shape))


@pytest.mark.parametrize(
    ("points", "labels", "mask", "message"),
    [
        (torch.zeros(1, 1, 3), None, None, "together"),
        (torch.zeros(1, 1, 2), torch.ones(1, 1), None, "Expected points"),
        (torch.zeros(1, 1, 3), torch.full((1, 1), 2), None, "must be 1"),
        (torch.full((1, 1, 3), 15.6), torch.ones(1, 1), None, "inside the cube"),
        (torch.full((1, 1, 3), float("nan")), torch.ones(1, 1), None, "inside the cube"),
        (torch.zeros(1, 1, 3), torch.ones(1, 1), torch.zeros(1, 1, 8, 8, 8), "mask logits"),
        (torch.zeros(2, 1, 3), torch.ones(2, 1), torch.zeros(3, 1, 16, 16, 16), "1 or B"),
    ],
)
def test_malformed_prompts_are_refused(network, points, labels, mask, message):
    with pytest.raises(ValueError, match=message):
        network.decode(network.encode(cubes()), points, labels, mask)


@pytest.mark.parametrize("embedding", [torch.zeros(1, 384, 8, 8, 8), (torch.zeros(1),), ()])
def test_an_embedding_of_another_network_is_refused(network, embedding):
    with pytest.raises(ValueError, match="not made by this network"):
        network.decode(embedding, *ONE)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_fast_convolution_is_torchs(kernel, stride, batch):
    torch.manual_seed(1)
    fast = Conv3d(6, 10, kernel=kernel, stride=stride)
    plain = nn.Conv3d(6, 10, kernel, stride=stride, padding=kernel // 2)
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(batch, 6, 8, 8, 8)
    wanted = plain(x)
    torch.testing.assert_close(fast(x), wanted)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), wanted, rtol=1e-4, atol=1e-5)
    with torch.inference_mode():  # in bfloat16, where the CPU has it
        torch.testing.assert_close(fast(x), wanted, rtol=2e-2, atol=2e-2)


def test_the_fast_convolution_follows_changed_weights():
    torch.manual_seed(1)
    conv, x = Conv3d(6, 10), torch.randn(1, 6, 8, 8, 8)
    with torch.inference_mode():
        before = conv(x)
    with torch.no_grad():
        conv.weight *= 2
    with torch.inference_mode():
        after = conv(x)
    bias = conv.bias.detach()[:, None, None, None]
    torch.testing.assert_close(after - bias, 2 * (before - bias), rtol=2e-2, atol=2e-2)


def test_blocks_of_voxels_become_channels_and_come_back():
    x = torch.arange(2 * 3 * 4**3).reshape(2, 3, 4, 4, 4).float()
    deep = space_to_depth(x)
    assert deep.shape == (2, 24, 2, 2, 2)
    assert deep[1, 8 + 4 + 1, 1, 0, 1] == x[1, 1, 3, 0, 3]
    assert torch.equal(depth_to_space(deep), x)
    assert torch.equal(upsample_nearest(x)[:, :, 1::2, ::2, ::2], x)


def test_click_maps_peak_at_the_click_and_tell_positive_from_negative():
    image = torch.zeros(1, 1, 16, 16, 16)
    maps = click_maps(image, *clicks([(4.5, 6.5, 8.5, 1), (12.5, 2.5, 2.5, 0)]), spacing=4.0)
    assert maps.shape == (1, 8, 8, 8, 8)
    assert maps[0, 0, 2, 3, 4] == 1 and maps[0, 0].max() == 1  # the half-resolution voxel of the click
    assert maps[0, 4, 6, 1, 1] == 1 and maps[0, 4].max() == 1
    # 8 mm away: exp(-64 / 50) of the narrow one, exp(-64 / 1800) of the wide one
    assert maps[0, 0, 3, 3, 4].item() == pytest.approx(np.exp(-64 / 50), rel=1e-5)
    assert maps[0, 1, 3, 3, 4].item() == pytest.approx(np.exp(-64 / 1800), rel=1e-5)
    torch.testing.assert_close(maps[0, 1], maps[0, 2])  # an even image is alike everywhere


def test_bilateral_maps_stop_where_the_intensity_differs():
    image = torch.zeros(1, 1, 16, 16, 16)
    image[..., :8] = 1.0
    maps = click_maps(image, *clicks([(8, 8, 4, 1)]), spacing=4.0)
    assert maps[0, 2, 4, 4, 3] > 0.9 and maps[0, 2, 4, 4, 4] < 1e-5


def test_the_intensity_at_a_click_is_the_mean_of_its_neighbours_within_the_cube():
    image = torch.arange(16**3).reshape(1, 1, 16, 16, 16).float()
    inner, corner = intensity_at(image, torch.tensor([[[5, 6, 7], [0, 0, 0]]]).float())[0]
    assert inner == image[0, 0, 5, 6, 7]
    assert corner == pytest.approx(256 / 3 + 16 / 3 + 1 / 3)


def test_weights_survive_a_file_and_the_file_says_which_network_it_is(network, tmp_path):
    save_network(network, tmp_path / "compact.safetensors")
    back = load_network(tmp_path / "compact.safetensors")
    assert isinstance(back, CompactPET)
    assert (back.config, back.name) == (TINY, "compact")
    for key, value in network.state_dict().items():
        assert torch.equal(value, back.state_dict()[key])
    assert len(back.digest) == 64 and back.digest != network.digest


def test_half_precision_halves_the_file_and_comes_back_as_float32(network, tmp_path):
    save_network(network, tmp_path / "full.safetensors")
    save_network(network, tmp_path / "half.safetensors", torch.float16)
    back = load_network(tmp_path / "half.safetensors")
    for key, value in network.state_dict().items():
        assert torch.equal(back.state_dict()[key], value.half().float())
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * (
        tmp_path / "full.safetensors"
    ).stat().st_size


def test_the_digest_follows_the_weights(network):
    before = network.digest
    assert network.digest == before
    with torch.no_grad():
        network.decoder.logits.weight.mul_(2)
    assert network.digest != before


def test_a_file_with_a_weight_missing_is_refused(network, tmp_path):
    save_network(network, tmp_path / "whole.safetensors")
    state = load_file(tmp_path / "whole.safetensors")
    del state["decoder.logits.bias"]
    metadata = {"compact_config": TINY.to_json()}
    save_file(state, tmp_path / "part.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=r"CompactPET.*1 missing \(decoder.logits.bias\)"):
        load_network(tmp_path / "part.safetensors")


@pytest.mark.parametrize("text", ["[]", '{"depth": 3}', '{"image_size": 20}', "nonsense"])
def test_a_file_of_an_impossible_configuration_is_refused(network, tmp_path, text):
    save_file(network.state_dict(), tmp_path / "odd.safetensors", metadata={"compact_config": text})
    with pytest.raises(CheckpointError, match="configuration"):
        load_network(tmp_path / "odd.safetensors")


def test_weights_of_the_compact_network_are_not_taken_for_seganypets(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="does not fit SegAnyPET"):
        load_network(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    "sizes",
    [
        {"image_size": 40},
        {"image_size": 0},
        {"spacing": 0.0},
        {"spacing": "4"},
        {"encoder_widths": (8, 8, 8)},
        {"decoder_widths": (8, 8, 12)},
        {"embedding_widths": [8, 8, 8]},
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match=next(iter(sizes))):
        CompactConfig(**sizes)


def test_a_configuration_survives_json():
    assert CompactConfig.from_json(TINY.to_json()) == TINY
