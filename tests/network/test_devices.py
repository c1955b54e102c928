"""Devices by name."""

import pytest
import torch

from lib.network import DeviceError, usable_device


def test_the_cpu_is_always_there():
    assert usable_device("cpu") == torch.device("cpu")
    assert usable_device().type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["teapot", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(DeviceError, match="cannot be used here"):
        usable_device(name)
