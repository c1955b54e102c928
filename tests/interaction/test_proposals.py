import numpy as np
import pytest

from lib.interaction.proposals import MOST_SEEDS, Seed, SeedRecall, body_level, propose_seeds, seed_recall
from lib.pet import Crop, Volume
from lib.pet.organ_map import OrganMap
from lib.pet.tracers import tracer_named

SHAPE = (60, 60, 80)
GRID = np.diag([4.0, 4.0, 4.0, 1.0])
FDG = tracer_named("FDG")


def body(*spots, spacing=4.0, noise=0.0):
    """Air around a block of tissue of SUV 0.8, with balls of (centre in voxels, radius in mm, SUV)."""
    rng = np.random.default_rng(1)
    values = np.full(SHAPE, 0.01, np.float32)
    values[10:50, 10:50, 5:75] = 0.8 + noise * rng.standard_normal((40, 40, 70))
    at = np.moveaxis(np.indices(SHAPE), 0, -1)
    for centre, radius, suv in spots:
        away = np.linalg.norm((at - centre) * spacing, axis=-1)
        # Peaks in its middle: a plateau has no maximum.
        values[away <= radius] = (suv - 0.01 * away / radius)[away <= radius]
    return Volume(values, np.diag([spacing, spacing, spacing, 1.0]), "SUVbw")


def ball(centre, radius, spacing=4.0):
    at = np.moveaxis(np.indices(SHAPE), 0, -1)
    return np.linalg.norm((at - centre) * spacing, axis=-1) <= radius


def test_each_hot_spot_gives_one_seed_at_its_hottest_voxel_sorted_by_value():
    volume = body(((20, 20, 20), 10, 5.0), ((40, 40, 60), 16, 9.0), ((40, 20, 30), 8, 7.0), noise=0.05)
    assert propose_seeds(volume) == (
        Seed((40, 40, 60), pytest.approx(9.0)),
        Seed((40, 20, 30), pytest.approx(7.0)),
        Seed((20, 20, 20), pytest.approx(5.0)),
    )


def test_what_is_below_four_times_the_body_gives_none():
    assert propose_seeds(body(((20, 20, 20), 20, 3.1))) == ()
    assert len(propose_seeds(body(((20, 20, 20), 20, 3.4)))) == 1


def test_one_noisy_voxel_is_no_peak():
    values = body().array.copy()
    values[20, 20, 20] = 6.0
    assert propose_seeds(Volume(values, GRID, "SUVbw")) == ()


def test_the_unit_does_not_matter():
    volume = body(((20, 20, 20), 10, 5.0), ((40, 40, 60), 16, 9.0))
    counts = Volume(volume.array * 1234, volume.affine, "unknown")
    assert [seed.index for seed in propose_seeds(counts)] == [seed.index for seed in propose_seeds(volume)]


def test_a_part_of_a_body_without_air_is_judged_by_its_own_tissue():
    whole = body(((30, 30, 40), 12, 5.0))
    part = Volume(whole.array[12:48, 12:48, 20:60], GRID, "SUVbw")
    assert body_level(part) == pytest.approx(body_level(whole), rel=0.02)
    assert [seed.index for seed in propose_seeds(part)] == [(18, 18, 20)]


def test_a_second_maximum_nearer_than_20_mm_is_no_seed():
    near = body(((20, 20, 20), 4, 8.0), ((24, 20, 20), 4, 7.0))
    far = body(((20, 20, 20), 4, 8.0), ((26, 20, 20), 4, 7.0))
    assert [len(propose_seeds(volume)) for volume in (near, far)] == [1, 2]


def test_maxima_on_one_hill_are_one_seed():
    volume = body(((30, 30, 30), 60, 6.0))
    values = volume.array.copy()
    values[22, 30, 30] = values[38, 30, 38] = 6.5  # noise in a large organ
    assert len(propose_seeds(Volume(values, GRID, "SUVbw"))) == 1


def test_seeds_are_the_same_for_every_memory_order_and_run():
    volume = body(((20, 20, 20), 10, 5.0), ((40, 40, 60), 16, 5.0), noise=0.1)
    other = Volume(np.asfortranarray(volume.array), volume.affine, "SUVbw")
    assert propose_seeds(volume) == propose_seeds(other) == propose_seeds(volume)


def test_anisotropic_voxels_and_odd_sizes_are_searched_to_the_last_voxel():
    values = np.full((33, 47, 29), 0.8, np.float32)
    values[29:, 42:, 28:] = values[:4, :5, :1] = 8.0
    values[32, 46, 28] = values[0, 0, 0] = 9.0
    seeds = propose_seeds(Volume(values, np.diag([2.0, 1.1, 5.5, 1.0]), "SUVbw"))
    assert {seed.index for seed in seeds} == {(32, 46, 28), (0, 0, 0)}


def test_images_with_nothing_to_find_give_no_seed():
    for values in (np.zeros(SHAPE), np.full(SHAPE, 3.0), np.full(SHAPE, np.nan), np.full((1, 1, 1), 2.0)):
        assert propose_seeds(Volume(values.astype(np.float32), GRID, "SUVbw")) == ()


def test_voxels_without_a_value_are_no_seeds():
    volume = body(((20, 20, 20), 10, 5.0))
    values = volume.array.copy()
    values[20, 20, 20] = np.nan
    values[:, :, 40:] = np.nan
    (seed,) = propose_seeds(Volume(values, GRID, "SUVbw"))
    assert seed.index != (20, 20, 20)
    assert seed.value == np.nanmax(values)


def test_there_are_never_more_seeds_than_the_bound():
    values = np.full((120, 120, 40), 0.5, np.float32)
    values[::8, ::8, ::8] = 9.0
    seeds = propose_seeds(Volume(values, GRID, "SUVbw"))
    assert len(seeds) == MOST_SEEDS


def organs(volume, **places):
    labels, names = np.zeros(volume.shape, np.uint8), {}
    for number, (name, (centre, radius)) in enumerate(places.items(), start=1):
        labels[ball(centre, radius)] = number
        names[number] = name
    return OrganMap(labels, names, volume.affine)


def test_normal_uptake_gives_no_seed_where_the_map_and_the_tracer_are_known():
    bladder, lesion = ((30, 30, 15), 24, 12.0), ((30, 30, 50), 10, 6.0)
    volume = body(bladder, lesion)
    with_map = organs(volume, urinary_bladder=bladder[:2], lung_upper_lobe_left=((30, 30, 50), 30))
    assert [seed.index for seed in propose_seeds(volume)] == [(30, 30, 15), (30, 30, 50)]
    assert [seed.index for seed in propose_seeds(volume, with_map, FDG)] == [(30, 30, 50)]
    assert len(propose_seeds(volume, with_map)) == 2  # an unknown tracer's normal uptake is unknown


def test_with_a_map_a_liver_lesion_counts_from_percists_limit_on():
    liver = ((30, 25, 40), 60, 2.0)
    faint = body(liver, ((34, 28, 40), 10, 2.9))
    hot = body(liver, ((34, 28, 40), 10, 3.6))
    place = organs(hot, liver=liver[:2])
    assert propose_seeds(faint, place, FDG) == ()
    assert [seed.index for seed in propose_seeds(hot, place, FDG)] == [(34, 28, 40)]


def test_the_recall_counts_lesions_with_a_seed_and_seeds_without_a_lesion():
    lesions = [Crop.from_grid(ball((20, 20, z), 10)) for z in (20, 40, 60)]
    seeds = [Seed((20, 20, 20), 9.0), Seed((21, 20, 20), 8.0), Seed((20, 20, 40), 7.0), Seed((5, 5, 5), 6.0)]
    assert seed_recall(seeds, lesions) == SeedRecall(found=2, total=3, false=1)
    assert seed_recall([], lesions) == (0, 3, 0)
    assert seed_recall(seeds, []) == (0, 0, 4)
