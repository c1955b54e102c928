"""The published size against what the reference network computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import KIT, published_network
from make_medim_reference import CLICKS, LABELS, SEED, rescaled_weights


@pytest.fixture(scope="module")
def embedding(kit, published):
    with torch.inference_mode():
        return published.encode(torch.from_numpy(kit.make_volume(1))[None, None])


def prompts(reference, count):
    points, labels = (torch.from_numpy(reference[name][None, :count]) for name in ("clicks", "labels"))
    return points, labels


def test_parameter_names_and_shapes_are_the_official_ones(kit, published):
    lines = (KIT / "state_keys.txt").read_text().split("\n")
    official = [tuple(line.split(" ", 1)) for line in lines if line]
    assert len(official) == 324
    ours = {key: str(tuple(value.shape)) for key, value in published.state_dict().items()}
    assert ours == dict(official)
    assert sum(value.numel() for value in published.parameters()) == 100_509_232


def test_embedding_equals_the_reference(embedding, reference):
    # Of the size of rounding, which differs from processor to processor.
    np.testing.assert_allclose(embedding, reference["image_embedding"], rtol=1e-5, atol=2e-5)


def test_position_codes_equal_the_reference(published, reference):
    np.testing.assert_allclose(
        published.prompt_encoder.dense_position(), reference["dense_pe"], rtol=0, atol=1e-6
    )
    for count in (1, 2, 3):
        sparse = published.prompt_encoder.sparse(*prompts(reference, count))
        np.testing.assert_allclose(sparse, reference[f"click{count}_sparse"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 0])
def test_logits_equal_the_reference_as_far_as_its_weights_allow(published, reference, count):
    """Each step from the reference's own logits of the step before.

    2e-5 is out of reach here, also for the reference on another machine and for float64:
    make_medim_reference.py says why. A wrong quirk moves the median by about 0.5.
    """
    before = {1: np.zeros((1, 1, 32, 32, 32), np.float32), 0: reference["click3_logits"]}
    given = before.get(count, reference.get(f"click{count - 1}_logits"))
    with torch.inference_mode():
        embedding = torch.from_numpy(reference["image_embedding"])
        points, labels = prompts(reference, count) if count else (None, None)
        logits = published.decode(embedding, points, labels, torch.from_numpy(given)).numpy()
    difference = np.abs(logits - reference[f"click{count}_logits" if count else "mask_only_logits"])
    assert np.median(difference) < 1e-3
    assert np.quantile(difference, 0.99) < 1e-2
    assert difference.max() < 0.2


def test_mask_of_the_reference_logits_equals_the_reference_mask(published, reference):
    full = published.upsample(torch.from_numpy(reference["click3_logits"]))[0, 0].numpy()
    mask = np.unpackbits(reference["final_mask_packed"]).reshape(full.shape).astype(bool)
    assert 0.01 < mask.mean() < 0.99
    differ = (full > 0) != mask
    assert np.abs(full[differ]).max(initial=0) < 1e-5


def test_a_whole_session_equals_the_reference_on_another_seed(kit):
    """Encoder, three accumulated clicks, then the mask alone, each on our own results of the step before."""
    with np.load(Path(__file__).with_name("medim_reference.npz")) as arrays:
        expected = dict(arrays)
    state = {key: torch.from_numpy(value) for key, value in rescaled_weights(kit, SEED).items()}
    network = published_network(state)
    logits = None
    with torch.inference_mode():
        embedding = network.encode(torch.from_numpy(kit.make_volume(SEED))[None, None])
        np.testing.assert_allclose(embedding[0, ::16], expected["embedding"], rtol=0, atol=2e-5)
        for count in (1, 2, 3, 0):
            points, labels = torch.from_numpy(CLICKS[None, :count]), torch.from_numpy(LABELS[None, :count])
            logits = network.decode(embedding, points, labels, logits)
            # Steps build on one another: MedIM itself is 3e-5 from float64 at the last one.
            tolerance = 2e-5 if count == 1 else 1e-4
            np.testing.assert_allclose(
                logits[0, 0, ::2, ::2, ::2], expected[f"logits{count}"], rtol=0, atol=tolerance
            )


def test_normalise_equals_the_kit(kit, published):
    volume = kit.make_volume(1)
    shifted = volume - volume.min()  # air at 0 again; the kit's own scale is lost, the z-score brings it back
    np.testing.assert_allclose(published.normalise(shifted), volume, rtol=0, atol=1e-5)
