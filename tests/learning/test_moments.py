"""AdamW's moments, taken out as tensors and given back."""

import torch
from torch import nn

from lib.learning.moments import moments_of, restore_moments


def stepped(network, optimizer):
    optimizer.zero_grad()
    network(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()


def optimizer_of(network):
    return torch.optim.AdamW(network.parameters(), lr=0.1)


def test_an_optimizer_with_moments_given_back_goes_on_as_if_it_had_made_the_steps():
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer = optimizer_of(network)
    stepped(network, optimizer)
    stepped(network, optimizer)
    moments = {
        name: value.clone() for name, value in moments_of(optimizer, network.named_parameters()).items()
    }
    assert set(moments) == {f"{m}.{p}" for m in ("exp_avg", "exp_avg_sq") for p in ("weight", "bias")}
    again = nn.Linear(3, 2)
    again.load_state_dict(network.state_dict())
    restored = optimizer_of(again)
    restore_moments(restored, again.named_parameters(), moments, step=2)
    for one in ((network, optimizer), (again, restored)):
        stepped(*one)
    assert torch.equal(network.weight, again.weight)
    assert torch.equal(network.bias, again.bias)


def test_before_the_first_step_there_are_none():
    network = nn.Linear(3, 2)
    optimizer = optimizer_of(network)
    assert moments_of(optimizer, network.named_parameters()) == {}
    restore_moments(optimizer, network.named_parameters(), {}, step=0)
    stepped(network, optimizer)
