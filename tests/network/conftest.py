import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lib.network import SegAnyPET, SegAnyPETConfig

KIT = Path(__file__).resolve().parents[3] / "shared" / "parity"

SMALL = SegAnyPETConfig(
    image_size=16,
    patch_size=4,
    spacing=2.0,
    encoder_width=24,
    encoder_depth=3,
    encoder_heads=2,
    encoder_mlp_width=32,
    window_size=7,
    global_blocks=(1,),
    embedding_width=48,
    decoder_mlp_width=40,
    iou_head_width=16,
)


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    if not KIT.is_dir():
        pytest.skip("the parity kit is not beside the repository (../shared/parity)")
    spec = importlib.util.spec_from_file_location("parity_weights", KIT / "parity_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference(kit) -> dict[str, np.ndarray]:
    with np.load(KIT / "reference.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def kit_weights(kit) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in kit.make_state_dict(1).items()}


@pytest.fixture(scope="session")
def published(kit_weights) -> SegAnyPET:
    """The published size with the kit's weights; shared, so tests must leave it as it is."""
    return published_network(kit_weights)


def published_network(state: dict[str, torch.Tensor]) -> SegAnyPET:
    with torch.device("meta"):
        network = SegAnyPET()
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


@pytest.fixture
def small() -> SegAnyPET:
    """A small network, padded like the published one, in which every tensor has random values."""
    return small_network()


def small_network(seed: int = 0) -> SegAnyPET:
    network = SegAnyPET(SMALL, name="small").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in network.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim == 1:
                value.copy_(0.3 * noise + (1 if "norm" in key and key.endswith("weight") else 0))
            else:
                value.copy_(noise / (1 if "embed" in key or "token." in key else math.sqrt(value[0].numel())))
        matrix = network.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        matrix.copy_(torch.randn(matrix.shape, generator=generator))
    return network
