"""Regions opened, reused, grown and merged; caches; the same mask for the same steps."""

import tracemalloc

import numpy as np
import pytest
import torch
from isocontour_network import IsocontourNetwork
from small_network import small_seganypet

from lib.interaction import AnnotatedObject, Engine, NetworkSegmenter, Prompts
from lib.interaction.lattice import Lattice
from lib.interaction.looks import _merge
from lib.pet import Volume

SPACING = 4.0  # the isocontour network's cube is 32 voxels of 4 mm: 128 mm


def ball(shape, centre, radius, values=None):
    values = np.full(shape, 0.1, dtype=np.float32) if values is None else values
    distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True)))
    values[distance <= radius] = 10.0
    return values


def volume_of(values):
    return Volume(values, np.diag([SPACING, SPACING, SPACING, 1.0]), "SUVbw")


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.fixture
def network():
    return IsocontourNetwork()


@pytest.fixture
def engine(network):
    return Engine(NetworkSegmenter(network))


def test_a_ball_is_found_in_one_region(engine, network):
    volume = volume_of(ball((40, 40, 40), (20, 20, 20), 6))
    update = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20),)}))
    assert dice(update.masks[1].to_grid(volume.shape), volume.array == 10) > 0.9
    assert network.encoded == 1
    assert update.regions == [{"object": 1, "lattice_start": [4, 4, 4], "edge_mm": 128.0, "grown": False}]


@pytest.mark.parametrize(
    ("air", "unit", "said"), [(0.01, "SUVbw", True), (0.4, "SUVbw", False), (0.01, "Bq/ml", False)]
)
def test_a_click_in_air_is_told_and_one_in_a_lung_or_in_another_unit_is_not(engine, air, unit, said):
    values = ball((40, 40, 40), (20, 20, 8), 6, np.full((40, 40, 40), air, np.float32))
    volume = Volume(values, np.diag([SPACING, SPACING, SPACING, 1.0]), unit)
    first = engine.update(volume, (), Prompts({"lesion": ((20, 20, 30),)}))
    again = engine.update(volume, first.objects, Prompts({"lesion": ((20, 20, 30), (20, 20, 31))}))
    for update in (first, again):
        assert sum("hardly any uptake (SUV 0.01)" in text for text in update.warnings) == said
        assert update.masks[1].contains((20, 20, 30))  # it is told, not refused


def test_a_second_object_in_the_inner_part_shares_the_embedding(engine, network):
    values = ball((40, 40, 40), (20, 20, 20), 3)
    volume = volume_of(ball((40, 40, 40), (20, 20, 27), 2, values))
    update = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20), (20, 20, 27))}))
    assert len(update.objects) == 1  # the isocontour of one click holds both
    organ = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20),), "liver": ((20, 20, 27),)}))
    assert len({tuple(region["lattice_start"]) for region in organ.regions}) == 1
    assert network.encoded == 1


def test_a_far_click_opens_a_region_of_its_own(engine, network):
    values = ball((40, 40, 120), (20, 20, 15), 5)
    volume = volume_of(ball((40, 40, 120), (20, 20, 100), 5, values))
    update = engine.update(volume, (), Prompts({"lesion": ((20, 20, 15), (20, 20, 100))}))
    assert len(update.objects) == 2
    assert network.encoded == 2
    assert dice(update.masks[2].to_grid(volume.shape)[:, :, 60:], volume.array[:, :, 60:] == 10) > 0.9


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_a_spine_grows_through_the_regions_faces_until_it_ends(engine, tilt):
    values = np.full((60, 40, 120), 0.1, dtype=np.float32)
    i, j, k = np.indices(values.shape)
    values[((i - 30 - tilt * (k - 60)) ** 2 + (j - 20) ** 2 <= 36) & (k > 15) & (k < 105)] = 10.0
    volume = volume_of(values)
    update = engine.update(volume, (), Prompts({"lesion": ((30, 20, 60),)}))
    assert dice(update.masks[1].to_grid(volume.shape), values == 10) > 0.85
    assert sum(region["grown"] for region in update.regions) >= 2


def test_an_object_without_an_end_stops_at_the_bound_and_says_so(engine):
    values = np.full((20, 20, 400), 0.1, dtype=np.float32)
    values[5:15, 5:15, :] = 10.0
    update = engine.update(volume_of(values), (), Prompts({"lesion": ((10, 10, 200),)}))
    assert len(update.regions) == 8
    assert any("goes on beyond 8 regions" in warning for warning in update.warnings)


def test_speckle_that_reaches_the_faces_does_not_grow(engine, network):
    cells = (np.random.default_rng(2).random((40, 40, 40)) < 0.5).astype(np.float32)
    cells[20, 20, 20] = 1
    values = cells.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    update = engine.update(volume_of(values), (), Prompts({"lesion": ((40, 40, 40),)}))
    assert update.masks[1].count > 10_000
    assert network.encoded == 1


def test_a_leak_does_not_grow(engine, network):
    volume = volume_of(np.full((80, 80, 80), 5.0, dtype=np.float32))
    update = engine.update(volume, (), Prompts({"lesion": ((40, 40, 40),)}))
    assert network.encoded == 1
    assert any("add negative clicks" in warning for warning in update.warnings)


def test_a_negative_click_shrinks_and_a_far_one_changes_nothing(engine, network):
    volume = volume_of(ball((40, 40, 120), (20, 20, 20), 6))
    one = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20),)}))
    two = engine.update(volume, one.objects, Prompts({"lesion": ((20, 20, 20),)}, ((20, 20, 24),)))
    assert 0 < two.masks[1].count < one.masks[1].count
    decoded = network.decoded
    three = engine.update(
        volume, two.objects, Prompts({"lesion": ((20, 20, 20),)}, ((20, 20, 24), (20, 20, 110)))
    )
    assert three.masks[1].count == two.masks[1].count
    assert network.decoded == decoded


def test_a_region_is_decoded_with_its_logits_of_the_step_before(engine, network):
    volume = volume_of(ball((40, 40, 40), (20, 20, 20), 6))
    one = engine.update(volume, (), Prompts({"lesion": ((20, 20, 20),)}))
    engine.update(volume, one.objects, Prompts({"lesion": ((20, 20, 20),)}, ((20, 20, 24),)))
    assert network.given[0] is None
    torch.testing.assert_close(network.given[-1], network.gave[0], rtol=0, atol=0)


def test_a_neighbour_is_decoded_with_the_logits_where_it_overlaps(engine, network):
    values = np.full((40, 40, 80), 0.1, dtype=np.float32)
    values[14:26, 14:26, :] = 10.0
    engine.update(volume_of(values), (), Prompts({"lesion": ((20, 20, 40),)}))
    overlap = network.given[1][0, 0].numpy()
    parent = network.gave[0][0, 0].numpy()
    up = bool(overlap[:, :, :8].any())  # which half of the neighbour the first region covers
    ours, theirs = (overlap[:, :, :8], parent[:, :, 8:]) if up else (overlap[:, :, 8:], parent[:, :, :8])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not (overlap[:, :, 8:] if up else overlap[:, :, :8]).any()


def test_where_regions_disagree_the_one_whose_middle_is_nearer_wins():
    lattice = Lattice(volume_of(np.zeros((60, 60, 60), dtype=np.float32)), SPACING, 32)
    yes, no = torch.ones((1, 1, 16, 16, 16)), -torch.ones((1, 1, 16, 16, 16))
    looks = [(lattice, (14, 14, 4), yes), (lattice, (14, 14, 20), no)]
    grid = _merge(looks).to_grid((60, 60, 60))
    assert grid[30, 30, 22]
    assert not grid[30, 30, 34]
    assert grid[30, 30, 5]
    assert not grid[30, 30, 50]


def test_an_object_keeps_its_mask_when_another_whose_region_it_shares_is_deleted(engine):
    values = ball((40, 40, 40), (20, 20, 16), 3)
    volume = volume_of(ball((40, 40, 40), (20, 20, 23), 3, values))
    both = engine.update(volume, (), Prompts({"lesion": ((20, 20, 16),), "liver": ((20, 20, 23),)}))
    assert both.objects[1].anchor == (20, 20, 16)
    alone = engine.update(volume, both.objects, Prompts({"lesion": (), "liver": ((20, 20, 23),)}))
    assert alone.objects[0].uid == both.objects[1].uid
    assert alone.objects[0].anchor == (20, 20, 16)


def test_an_object_whose_first_click_is_taken_back_is_as_if_it_began_with_the_next(engine):
    volume = volume_of(ball((60, 60, 60), (30, 30, 30), 8))
    first = engine.update(volume, (), Prompts({"lesion": ((30, 30, 26),)}))
    second = engine.update(volume, first.objects, Prompts({"lesion": ((30, 30, 26), (30, 30, 33))}))
    third = engine.update(volume, second.objects, Prompts({"lesion": ((30, 30, 33),)}))
    fresh = engine.update(volume, (), Prompts({"lesion": ((30, 30, 33),)}))
    assert (third.objects[0].anchor, third.objects[0].steps) == (
        fresh.objects[0].anchor,
        fresh.objects[0].steps,
    )
    np.testing.assert_array_equal(third.masks[1].to_grid(volume.shape), fresh.masks[1].to_grid(volume.shape))


def test_objects_of_one_network_go_on_with_another_of_other_spacing(seganypet):
    volume = volume_of(ball((40, 40, 40), (20, 20, 20), 6))
    prompts = Prompts({"lesion": ((20, 20, 20),)})
    objects = Engine(NetworkSegmenter(IsocontourNetwork())).update(volume, (), prompts).objects
    other = Engine(NetworkSegmenter(seganypet))
    taken_over, fresh = other.update(volume, objects, prompts), other.update(volume, (), prompts)
    np.testing.assert_array_equal(
        taken_over.masks[1].to_grid(volume.shape), fresh.masks[1].to_grid(volume.shape)
    )


def test_embeddings_are_bounded_in_bytes(network):
    segmenter = NetworkSegmenter(network, cache_bytes=5 * 16**3 * 4)
    engine = Engine(segmenter, cache_bytes=1)
    volume = volume_of(np.random.default_rng(0).random((40, 40, 400)).astype(np.float32))
    for k in range(20, 400, 40):
        engine.update(volume, (), Prompts({"lesion": ((20, 20, k),)}))
        assert segmenter._decoder._embeddings.currsize <= 5 * 16**3 * 4
    assert len(segmenter._decoder._embeddings) == 5


@pytest.fixture(scope="module")
def seganypet():
    """A small SegAnyPET with random weights."""
    return small_seganypet()


def test_the_same_steps_give_the_same_mask_bit_for_bit_in_a_new_engine(seganypet):
    volume = volume_of(np.random.default_rng(1).gamma(2, 1, (50, 44, 90)).astype(np.float32))
    requests = [
        Prompts({"lesion": ((20, 20, 20),)}),
        Prompts({"lesion": ((20, 20, 20), (22, 20, 70))}),
        Prompts({"lesion": ((20, 20, 20), (22, 20, 70)), "liver": ((30, 20, 40),)}, ((25, 20, 22),)),
        Prompts({"lesion": ((20, 20, 20), (22, 20, 70)), "liver": ((30, 20, 40),)}),
    ]
    engine, objects = Engine(NetworkSegmenter(seganypet)), ()
    for request in requests:
        update = engine.update(volume, objects, request)
        objects = update.objects
    restored = tuple(AnnotatedObject.from_dict(obj.as_dict()) for obj in objects)
    again = Engine(NetworkSegmenter(seganypet, cache_bytes=1), cache_bytes=1).update(
        volume, restored, requests[-1]
    )
    assert again.objects == objects
    for number, mask in update.masks.items():
        np.testing.assert_array_equal(again.masks[number].to_grid(volume.shape), mask.to_grid(volume.shape))


def test_a_huge_study_costs_memory_of_its_regions_only(engine):
    grid = np.broadcast_to(np.float32(0.1), (512, 512, 1500)).copy(order="F")  # pages of one study, 1.6 GB
    grid[250:262, 250:262, 700:712] = 9.0
    volume = Volume(grid, np.diag([1.0, 1.0, 1.0, 1.0]), "SUVbw")
    object.__setattr__(volume, "digest", "huge")  # hashing 1.6 GB is not what is tested

    tracemalloc.start()
    update = engine.update(volume, (), Prompts({"lesion": ((256, 256, 706),)}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert update.masks[1].count > 1000
    assert peak < 200 << 20
