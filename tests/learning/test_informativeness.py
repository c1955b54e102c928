import numpy as np
import pytest

from lib.interaction import Engine, Seed
from lib.interaction.segmenter import State
from lib.learning.informativeness import (
    JITTER_MM,
    JITTER_SHARE,
    MOST_SEEDS,
    PROMPT_SETS,
    informativeness,
    jittered,
    power_noise,
)
from lib.pet import Crop, Volume

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
SHAPE = (32, 32, 32)


def volume_of(array):
    return Volume(array.astype(np.float32), AFFINE, "SUVbw")


def distance(centre):
    return np.linalg.norm(np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1)), axis=0)


class Isocontour:
    """Takes what is at least 80 % as bright as the click: certain in flat objects only."""

    name, digest = "isocontour", "0"

    def anchor(self, volume, click, taken):
        return click

    def advance(self, volume, anchor, before, steps, watch):
        level = 0.8 * volume.array[steps[-1][0].index]
        return State(Crop.from_grid(volume.array >= level), 0)


def told(array, *seeds, seed=0, pause=lambda: None):
    volume = volume_of(array)
    wanted = [Seed(at, float(volume.array[at])) for at in seeds]
    return informativeness(Engine(Isocontour()), volume, wanted, np.random.default_rng(seed), pause)


SHARP = np.where(distance((10, 10, 10)) < 5, 8.0, 1.0)
VAGUE = 6 * np.exp(-((distance((22, 22, 22)) / 6) ** 2)) + 0.1


def test_where_every_click_gives_the_same_mask_nothing_is_to_be_learnt():
    sharp = told(SHARP, (10, 10, 10))
    assert (sharp.disagreement, sharp.entropy, sharp.seeds) == (0.0, {"object": 0.0}, 1)


def test_where_masks_depend_on_the_click_disagreement_and_entropy_are_high():
    vague = told(VAGUE, (22, 22, 22))
    assert 0.05 < vague.disagreement <= 1
    assert all(0 < bits <= 1 for bits in vague.entropy.values())


def test_a_study_s_disagreement_is_the_mean_over_its_seeds():
    both = told(np.maximum(SHARP, VAGUE), (10, 10, 10), (22, 22, 22))
    sharp, vague = (told(array, at) for array, at in ((SHARP, (10, 10, 10)), (VAGUE, (22, 22, 22))))
    assert sharp.disagreement < both.disagreement < vague.disagreement
    assert both.seeds == 2


def test_the_same_chance_gives_the_same_score():
    assert told(VAGUE, (22, 22, 22), seed=4) == told(VAGUE, (22, 22, 22), seed=4)


def test_a_study_without_seeds_has_no_score():
    assert told(SHARP) == informativeness(None, volume_of(SHARP), (), np.random.default_rng(0))
    assert told(SHARP).disagreement is None


def test_a_seed_without_a_bright_neighbour_says_nothing():
    lone = np.where(distance((10, 10, 10)) == 0, 8.0, 1.0)
    assert told(lone, (10, 10, 10)).disagreement is None
    assert told(np.maximum(lone, VAGUE), (10, 10, 10), (22, 22, 22)).disagreement > 0


def test_only_the_hottest_seeds_are_decoded_and_others_get_their_turn_before_each():
    turns = []
    seeds = [(10, 10, z) for z in range(6, 15)]
    result = told(SHARP, *seeds, pause=lambda: turns.append(1))
    assert result.seeds == MOST_SEEDS
    assert len(turns) == MOST_SEEDS * PROMPT_SETS


def test_jittered_clicks_are_near_bright_and_different():
    volume = volume_of(VAGUE)
    clicks = jittered(volume, (22, 22, 22), 8, np.random.default_rng(0))
    assert clicks[0] == (22, 22, 22)
    assert len(set(clicks)) == 8
    for click in clicks:
        assert np.linalg.norm(np.subtract(click, (22, 22, 22)) * 4.0) <= JITTER_MM
        assert volume.array[click] >= JITTER_SHARE * volume.array[22, 22, 22]


@pytest.mark.parametrize("corner", [(0, 0, 0), (31, 31, 31)])
def test_a_seed_of_one_voxel_in_a_corner_has_no_neighbours(corner):
    array = np.zeros(SHAPE)
    array[corner] = 9
    assert jittered(volume_of(array), corner, 4, np.random.default_rng(0)) == [corner]


def test_the_noise_decays_as_labels_come_in():
    def spread(labels):
        random = np.random.default_rng(0)
        return np.std([power_noise(0.5, labels, random) for _ in range(500)])

    assert spread(0) > 2 * spread(20) > 3 * spread(100)
    assert np.isfinite(power_noise(0.0, 0, np.random.default_rng(0)))
