"""The weights that come with SegPET: they load, they are small, and one click outlines an easy lesion."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lib.interaction import Engine, NetworkSegmenter, Prompts
from lib.network import CompactPET, load_network
from lib.pet import Volume

WEIGHTS = Path(__file__).resolve().parents[2] / "apps" / "segpet" / "model" / "compact.safetensors"


@pytest.fixture(scope="module")
def network():
    return load_network(WEIGHTS)


def lesion_in_tissue(radius_mm=16.0, uptake=6.0):
    """A ball of uptake in tissue of SUV 0.6 with a scanner's blur and noise, off the middle of the study."""
    random = np.random.default_rng(0)
    at = np.stack(np.indices((60, 56, 64)), -1) * 4.0
    truth = np.linalg.norm(at - (140.0, 100.0, 120.0), axis=-1) <= radius_mm
    image = ndimage.gaussian_filter(np.where(truth, uptake, 0.6), 0.6)
    image += 0.08 * ndimage.gaussian_filter(random.standard_normal(truth.shape), 0.6)
    return Volume(image.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw"), truth


def test_they_are_a_compact_network_of_at_most_20_mb(network):
    assert isinstance(network, CompactPET)
    assert (network.name, network.config.image_size, network.config.spacing) == ("compact", 48, 4.0)
    config = network.config
    assert (config.fine_spacing, config.wide_spacing, config.far_spacing) == (2.0, 6.0, 8.0)
    assert WEIGHTS.stat().st_size <= 20e6


def test_one_click_outlines_a_lesion_in_quiet_tissue_the_same_way_every_time(network):
    volume, truth = lesion_in_tissue()
    masks = []
    for _ in range(2):
        update = Engine(NetworkSegmenter(network)).update(volume, (), Prompts({"lesion": ((35, 25, 30),)}))
        (mask,) = update.masks.values()
        masks.append(mask.to_grid(volume.shape))
    assert np.array_equal(*masks)
    assert 2 * (masks[0] & truth).sum() / (masks[0].sum() + truth.sum()) > 0.75


@pytest.mark.parametrize("radius_mm", [6.0, 8.0, 12.0])
def test_one_click_outlines_a_small_lesion(network, radius_mm):
    volume, truth = lesion_in_tissue(radius_mm)
    update = Engine(NetworkSegmenter(network)).update(volume, (), Prompts({"lesion": ((35, 25, 30),)}))
    assert [region["edge_mm"] for region in update.regions] == [96.0]
    mask = update.masks[1].to_grid(volume.shape)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.65
