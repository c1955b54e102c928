"""AdamW's moments as tensors with names, so that a checkpoint needs no pickle."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim import AdamW

_MOMENTS = ("exp_avg", "exp_avg_sq")

#: The parameters that an optimizer changes, by name.
Named = Iterable[tuple[str, Tensor]]


def moments_of(optimizer: AdamW, parameters: Named) -> dict[str, Tensor]:
    """Return both moments of each parameter that has made a step, as `exp_avg.NAME` and `exp_avg_sq.NAME`."""
    states = {name: optimizer.state.get(parameter, {}) for name, parameter in parameters}
    return {f"{key}.{name}": state[key] for name, state in states.items() for key in _MOMENTS if key in state}


def restore_moments(optimizer: AdamW, parameters: Named, tensors: Mapping[str, Tensor], step: int) -> None:
    """Give an optimizer the moments that `moments_of` returned after so many steps."""
    for name, parameter in parameters:
        if f"{_MOMENTS[0]}.{name}" in tensors:
            # In the parameter's own memory order and place: the fused optimizer reads both as they lie.
            moments = {key: torch.empty_like(parameter).copy_(tensors[f"{key}.{name}"]) for key in _MOMENTS}
            optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
