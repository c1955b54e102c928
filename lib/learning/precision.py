"""Mixed precision for training: convolutions in bfloat16 where the hardware multiplies it."""

import torch

from lib.network.convolution import BFLOAT16

#: Cubes of the compact network up to this side have grids of 2 x 2 x 2. For these, oneDNN's gradient of a
#: weight in bfloat16 (torch 2.13) holds what happened to lie in memory.
_SMALLEST = 32


def mixed_precision(device: str, side: int) -> torch.autocast:
    """Return a context of bfloat16 on GPUs and on CPUs that multiply it; it changes nothing on others.

    A CPU that only emulates bfloat16 would take 20 times as long. Weights and losses stay float32.

    Args:
        device: torch's name of its type, `cpu` or `cuda`.
        side: of the network's cubes, voxels.
    """
    gains = device == "cuda" or (device == "cpu" and BFLOAT16 and side > _SMALLEST)
    # A cache of cast weights would keep those of rounds without gradient for the ones with it, and threads
    # would share it.
    return torch.autocast(device, torch.bfloat16, enabled=gains, cache_enabled=False)
