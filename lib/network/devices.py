"""Where a network may run."""

import torch


class DeviceError(ValueError):
    """A device that cannot be used; the message is one sentence that says so."""


def usable_device(name: str | None = None) -> torch.device:
    """Return a device by its name in torch (`cpu`, `cuda`, `cuda:1`, `mps`); without one a GPU, else the CPU.

    Raises:
        DeviceError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter: torch was built without CUDA
        raise DeviceError(f"The device {name} cannot be used here; cpu always can.") from error
    return device
