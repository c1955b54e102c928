"""Which weights a mode changes; adapters learn, are saved and loaded, and merge without a difference."""

import pytest
import torch

from lib.learning.tuned_parts import MODES, TunedNetwork, encoder_of
from tests.learning.small_studies import tiny_network
from tests.small_network import small_seganypet

NETWORKS = {"compact": tiny_network, "seganypet": small_seganypet}


@pytest.fixture(params=list(NETWORKS))
def base(request):
    return NETWORKS[request.param]()


def answer(network, gradients=False):
    side = network.config.image_size
    cubes = network.normalise(torch.rand(2, 1, side, side, side, generator=torch.Generator().manual_seed(1)))
    with torch.set_grad_enabled(gradients):
        points, labels = torch.tensor([[[side / 2] * 3, [3.0] * 3]] * 2), torch.tensor([[1.0, 0.0]] * 2)
        embedding = network.encode(cubes)
        first = network.decode(embedding, points[:, :1], labels[:, :1])
        return network.decode(embedding, points, labels, first.detach())


def moved(tuned, size=0.02):
    """Move every weight that a mode changes, as many steps would."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, parameter in tuned.trained():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def encoded(network):
    side = network.config.image_size
    embedding = network.encode(torch.ones(1, 1, side, side, side) * 0.3 + torch.linspace(0, 1, side))
    return embedding[-1] if isinstance(embedding, tuple) else embedding


@pytest.mark.parametrize("mode", MODES)
def test_before_any_step_a_tuned_network_answers_as_its_base(base, mode):
    assert torch.allclose(answer(TunedNetwork(base, mode).network), answer(base), atol=1e-5)


def test_the_decoder_alone_changes_in_mode_decoder(base):
    tuned = TunedNetwork(base, "decoder")
    inside = {id(parameter) for parameter in encoder_of(tuned.network).parameters()}
    assert not any(id(parameter) in inside for _, parameter in tuned.trained())
    moved(tuned)
    with torch.no_grad():
        assert torch.equal(encoded(tuned.network), encoded(base))
    assert not torch.allclose(answer(tuned.network), answer(base), atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_reach_every_weight_that_a_mode_changes(base, mode):
    tuned = TunedNetwork(base, mode)
    moved(tuned, 0.01)  # an adapter's second factor begins at zero, and lets nothing through to the first
    answer(tuned.network, gradients=True).square().mean().backward()
    silent = [name for name, weight in tuned.trained() if weight.grad is None or not weight.grad.any()]
    assert silent == []
    names = [name for name, _ in tuned.trained()]
    assert any("lora_" in name for name in names) == (mode == "lora")


def test_a_step_on_the_adapters_changes_what_the_encoder_says(base):
    tuned = TunedNetwork(base, "lora")
    adapters = [(name, weight) for name, weight in tuned.trained() if "lora_" in name]
    before = encoded(tuned.network).detach()
    optimizer = torch.optim.AdamW([weight for _, weight in adapters], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        encoded(tuned.network).square().mean().backward()
        assert any(weight.grad is not None and weight.grad.any() for _, weight in adapters)
        optimizer.step()
    after = encoded(tuned.network).detach()
    assert (after - before).abs().max() > 1e-4 * before.abs().max()


def test_adapters_saved_and_loaded_give_equal_answers(base, tmp_path):
    tuned = TunedNetwork(base, "lora")
    moved(tuned)
    tuned.save_adapters(tmp_path / "adapters.safetensors")
    again = TunedNetwork(base, "lora", seed=9)
    assert not torch.allclose(answer(again.network), answer(tuned.network), atol=1e-4)
    again.load_adapters(tmp_path / "adapters.safetensors")
    assert torch.equal(answer(again.network), answer(tuned.network))


@pytest.mark.parametrize("mode", MODES)
def test_merged_weights_answer_as_the_unmerged_and_have_the_bases_form(base, mode):
    tuned = TunedNetwork(base, mode)
    moved(tuned)
    merged = tuned.merged()
    assert list(merged.state_dict()) == list(base.state_dict())
    want, got = answer(tuned.network), answer(merged)
    assert torch.allclose(got, want, atol=1e-4 * want.abs().max())
    assert merged.digest != base.digest


def test_the_base_stays_as_it_is(base):
    before = answer(base)
    moved(TunedNetwork(base, "full"))
    moved(TunedNetwork(base, "lora"))
    assert torch.equal(answer(base), before)
