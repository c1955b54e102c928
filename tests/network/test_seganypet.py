import gc
import hashlib
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import small_network

from lib.network import PromptableNetwork, embedding_bytes


def cube(seed=0, batch=1):
    return torch.randn(batch, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def clicks(*points):
    return torch.tensor([[point[:3] for point in points]]), torch.tensor([[point[3] for point in points]])


@pytest.fixture
def embedding(small):
    with torch.no_grad():
        return small.encode(cube())


def test_the_network_keeps_to_the_protocol(small):
    network: PromptableNetwork = small
    assert (network.name, network.config.image_size, network.config.spacing) == ("small", 16, 2.0)
    embedding = network.encode(network.normalise(cube()))
    logits = network.decode(embedding, *clicks((1, 2, 3, 1)))
    assert network.upsample(logits).shape == (1, 1, 16, 16, 16)


@pytest.mark.parametrize("shape", [(16, 16, 16), (1, 16, 16, 16), (1, 2, 16, 16, 16), (1, 1, 16, 16, 8)])
def test_a_cube_of_another_shape_is_refused(small, shape):
    with pytest.raises(ValueError, match="Expected cubes"):
        small.encode(torch.zeros(shape))


@torch.no_grad()
def test_cubes_are_encoded_independently(small):
    both = small.encode(torch.cat((cube(1), cube(2))))
    torch.testing.assert_close(both[:1], small.encode(cube(1)))
    torch.testing.assert_close(both[1:], small.encode(cube(2)))


@torch.no_grad()
def test_no_mask_means_a_mask_of_zeros(small, embedding):
    prompts = clicks((1, 2, 3, 1))
    zeros = torch.zeros(1, 1, 16, 16, 16)
    assert torch.equal(small.decode(embedding, *prompts), small.decode(embedding, *prompts, zeros))


@torch.no_grad()
def test_many_prompt_sets_share_one_embedding(small, embedding):
    points = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
    labels = torch.tensor([[1, 0], [1, 1]])
    masks = torch.cat((cube(3), cube(4)))
    together = small.decode(embedding, points, labels, masks)
    assert together.shape == (2, 1, 16, 16, 16)
    for i in range(2):
        alone = small.decode(embedding, points[i : i + 1], labels[i : i + 1], masks[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_mask_each_on_one_embedding_needs_no_clicks(small, embedding):
    assert small.decode(embedding, mask_logits=cube(3, batch=3)).shape == (3, 1, 16, 16, 16)


@torch.no_grad()
def test_no_clicks_and_none_are_the_same(small, embedding):
    empty = small.decode(embedding, torch.zeros(1, 0, 3), torch.zeros(1, 0), cube(3))
    assert torch.equal(empty, small.decode(embedding, mask_logits=cube(3)))


@torch.no_grad()
def test_labels_and_places_of_clicks_matter(small, embedding):
    base = small.decode(embedding, *clicks((1, 2, 3, 1)))
    for other in ((1, 2, 3, 0), (2, 1, 3, 1), (3, 2, 1, 1)):
        assert (small.decode(embedding, *clicks(other)) - base).abs().max() > 1e-3


@pytest.mark.parametrize("label", [-1, 2, 0.5, float("nan")])
def test_other_labels_are_refused(small, embedding, label):
    with pytest.raises(ValueError, match="positive"):
        small.decode(embedding, torch.zeros(1, 1, 3), torch.tensor([[label]]))


@pytest.mark.parametrize("place", [-1, 16, float("nan"), float("inf")])
def test_clicks_outside_the_cube_are_refused(small, embedding, place):
    with pytest.raises(ValueError, match="inside the cube"):
        small.decode(embedding, torch.tensor([[[0.0, place, 0.0]]]), torch.ones(1, 1))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"points": torch.zeros(1, 1, 3)}, "together"),
        ({"labels": torch.zeros(1, 1)}, "together"),
        ({"points": torch.zeros(1, 3), "labels": torch.zeros(1)}, "Expected points"),
        ({"points": torch.zeros(1, 2, 3), "labels": torch.zeros(1, 1)}, "Expected points"),
        ({"mask_logits": torch.zeros(1, 1, 8, 8, 8)}, "Expected mask logits"),
        ({"points": torch.zeros(2, 1, 3), "labels": torch.zeros(2, 1), "mask_logits": cube(0, 3)}, "number"),
    ],
)
def test_malformed_prompts_are_refused(small, embedding, prompts, message):
    with pytest.raises(ValueError, match=message):
        small.decode(embedding, **prompts)


@pytest.mark.parametrize("foreign", [torch.zeros(1, 48, 8, 8, 8), (torch.zeros(1, 48, 4, 4, 4),)])
def test_an_embedding_of_another_network_is_refused(small, foreign):
    with pytest.raises(ValueError, match="embedding"):
        small.decode(foreign)


@torch.no_grad()
def test_position_code_follows_newly_loaded_weights(small):
    before = small.prompt_encoder.dense_position()
    other = small_network(seed=1)
    small.load_state_dict(other.state_dict())
    assert torch.equal(small.prompt_encoder.dense_position(), other.prompt_encoder.dense_position())
    assert not torch.equal(small.prompt_encoder.dense_position(), before)


def test_upsampling_equals_trilinear_interpolation(published):
    logits = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(logits, size=(128, 128, 128), mode="trilinear", align_corners=False)
    torch.testing.assert_close(published.upsample(logits), expected, rtol=0, atol=2e-6)


def test_normalise_uses_voxels_above_zero_of_each_cube(small):
    cubes = np.random.default_rng(0).normal(1, 2, (2, 1, 16, 16, 16)).astype(np.float32)
    result = small.normalise(cubes)
    for i in range(2):
        positive = cubes[i][cubes[i] > 0].astype(np.float64)
        expected = (cubes[i] - positive.mean()) / positive.std(ddof=1)
        np.testing.assert_allclose(result[i], expected, rtol=0, atol=1e-6)
    assert torch.equal(small.normalise(torch.from_numpy(cubes[1, 0])), result[1, 0])


@pytest.mark.parametrize(
    "values", [[0.0], [-1.0, 0.0], [0.0, 0.1], [0.1], [0.0] * 4095 + [7.0], [float("nan")]]
)
def test_a_cube_without_scale_becomes_zeros(small, values):
    cube = torch.tensor(values).repeat(4096 // len(values))
    cube = F.pad(cube, (0, 4096 - len(cube))).view(16, 16, 16)
    assert torch.equal(small.normalise(cube), torch.zeros(16, 16, 16))


def test_voxels_that_are_not_finite_count_as_air(small):
    cube = torch.rand(16, 16, 16, generator=torch.Generator().manual_seed(0))
    cube[0] = 0
    holes = cube.clone()
    holes[0, 0, :3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    assert torch.equal(small.normalise(holes), small.normalise(cube))


def test_the_digest_names_the_values(small):
    assert small.digest == small_network().digest != small_network(seed=1).digest
    before = small.digest
    with torch.no_grad():
        small.mask_decoder.iou_token.weight += 1
    assert small.digest != before


def test_the_digest_of_a_file_holds_until_the_weights_change(small):
    digest = hashlib.sha256(b"a file").hexdigest()
    small.name_weights("lesion-v2", digest)
    assert (small.name, small.digest) == ("lesion-v2", digest)
    small.load_state_dict(small_network(seed=1).state_dict())
    assert small.digest == small_network(seed=1).digest


def test_weights_are_freed_as_soon_as_a_network_is_dropped():
    network = small_network()
    alive = weakref.ref(network)
    gc.disable()
    try:
        del network
        assert alive() is None
    finally:
        gc.enable()


def test_memory_of_an_embedding_is_counted():
    pyramid = (torch.zeros(1, 8, 8, 8), (torch.zeros(1, 4, dtype=torch.float64), torch.zeros(3)))
    assert embedding_bytes(pyramid) == 8**3 * 4 + 4 * 8 + 3 * 4
    # A view keeps the whole storage alive.
    assert embedding_bytes(torch.zeros(4, 10)[0]) == 160
