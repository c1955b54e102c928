import itertools

import numpy as np
import pytest

from lib.pet import Crop, Volume, VolumeError
from lib.pet.peak import RADIUS_MM, peak, sphere_fractions

SPACINGS = [(4.0, 4.0, 3.0), (2.0, 3.3, 5.1), (1.0, 1.0, 1.0), (20.0, 1.5, 13.0), (0.9, 4.2, 12.0)]


def volume_of(array, spacing=(4.0, 4.0, 3.0)):
    return Volume(array, np.diag([*spacing, 1.0]), "SUVbw")


def noise(shape=(13, 14, 15), seed=0):
    return np.random.default_rng(seed).gamma(2, 2, shape).astype(np.float32)


def by_hand(array, crop, spacing):
    """The definition, voxel by voxel."""
    weights = sphere_fractions(spacing)
    reach = np.array(weights.shape) // 2
    means = []
    for centre in np.argwhere(crop.array) + crop.start:
        if np.isnan(array[tuple(centre)]):
            continue
        total = weight = 0.0
        for offset in np.ndindex(weights.shape):
            at = centre + offset - reach
            if (at >= 0).all() and (at < array.shape).all() and not np.isnan(array[tuple(at)]):
                total += weights[offset] * float(array[tuple(at)])
                weight += weights[offset]
        means.append(total / weight)
    return max(means)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_fractions_fill_one_cubic_centimetre(spacing):
    fractions = sphere_fractions(spacing)
    assert fractions.sum() * np.prod(spacing) == pytest.approx(1000, rel=1e-12)
    assert fractions.min() >= 0 and fractions.max() <= 1
    assert 4 / 3 * np.pi * RADIUS_MM**3 == pytest.approx(1000)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_fractions_equal_those_counted_on_a_fine_grid(spacing):
    fractions = sphere_fractions(spacing)
    fine = [max(16, round(step / 0.08)) for step in spacing]
    axes = [
        (np.arange(size * parts) + 0.5 - size * parts / 2) * step / parts
        for size, step, parts in zip(fractions.shape, spacing, fine, strict=True)
    ]
    i, j, k = np.ix_(*(axis.astype(np.float32) ** 2 for axis in axes))
    shape = [length for pair in zip(fractions.shape, fine, strict=True) for length in pair]
    counted = (i + j + k <= RADIUS_MM**2).reshape(shape)
    assert fractions == pytest.approx(counted.mean(axis=(1, 3, 5)), abs=4e-3)


def test_a_voxel_cut_by_one_plane_of_the_sphere_weighs_its_cap():
    # Along i only the cap beyond 5 mm lies in the outer voxels; along j and k one voxel holds it all.
    height = RADIUS_MM - 5
    cap = np.pi * height**2 * (3 * RADIUS_MM - height) / 3
    assert sphere_fractions((10.0, 40.0, 40.0))[:, 0, 0] * 16000 == pytest.approx([cap, 1000 - 2 * cap, cap])


def test_a_voxel_larger_than_the_sphere_is_its_own_peak():
    array = noise()
    volume = volume_of(array, (13.0, 13.0, 13.0))
    assert peak(volume, Crop((2, 2, 2), np.ones((5, 5, 5), np.bool_))) == pytest.approx(
        array[2:7, 2:7, 2:7].max()
    )


@pytest.mark.parametrize("spacing", SPACINGS)
def test_it_is_the_highest_weighted_mean_around_a_voxel_of_the_mask(spacing):
    array = noise((11, 12, 13))
    crop = Crop((1, 0, 4), noise((6, 5, 9), seed=1) > 6)
    assert peak(volume_of(array, spacing), crop) == pytest.approx(by_hand(array, crop, spacing), rel=1e-9)


def test_voxels_outside_the_mask_count_but_are_no_centres():
    array = np.ones((9, 9, 9), np.float32)
    array[4, 4, 4] = 100
    one = Crop((4, 4, 5), np.ones((1, 1, 1), np.bool_))
    weights = sphere_fractions((4.0, 4.0, 3.0))
    share = weights[2, 2, 1] / weights.sum()
    assert peak(volume_of(array), one) == pytest.approx(1 + 99 * share)


def test_a_large_uniform_lesion_has_its_value_and_a_small_one_less():
    def ball(radius):
        i, j, k = np.ix_(*((np.arange(-10, 11) * step) ** 2 for step in (2.0, 2.0, 2.0)))
        return i + j + k <= radius**2

    large, small = ball(12.0), ball(4.5)
    assert peak(volume_of(large * 8.0, (2.0, 2.0, 2.0)), Crop.from_grid(large)) == pytest.approx(8)
    # The smaller one lies within the sphere: its part of 1 cm3.
    expected = 8 * small.sum() * 8 / 1000
    assert peak(volume_of(small * 8.0, (2.0, 2.0, 2.0)), Crop.from_grid(small)) == pytest.approx(expected)


def test_weights_are_scaled_up_at_the_edge_and_beside_voxels_without_a_value():
    array = np.full((8, 8, 8), 3.0, np.float32)
    array[1, 1, 0] = np.nan
    for corner in ((0, 0, 0), (7, 7, 7), (0, 7, 3)):
        crop = Crop(corner, np.ones((1, 1, 1), np.bool_))
        assert peak(volume_of(array), crop) == pytest.approx(3)
    array = noise((8, 8, 8))
    array[2:4, 2, 2] = np.nan
    crop = Crop((1, 1, 1), np.ones((3, 3, 3), np.bool_))
    assert peak(volume_of(array), crop) == pytest.approx(by_hand(array, crop, (4.0, 4.0, 3.0)), rel=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS[:3])
def test_flips_and_permutations_change_nothing(spacing):
    array, mask = noise((9, 10, 11)), noise((9, 10, 11), seed=3) > 5
    expected = peak(volume_of(array, spacing), Crop.from_grid(mask))
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            step = tuple(slice(None, None, flip) for flip in flips)
            turned = array.transpose(order)[step]
            affine = np.eye(4)
            affine[:3, :3] = (np.diag(spacing)[:, order]) * flips
            crop = Crop.from_grid(mask.transpose(order)[step])
            assert peak(Volume(turned, affine, "SUVbw"), crop) == pytest.approx(expected, rel=1e-11)


def test_a_turned_grid_changes_nothing_and_a_sheared_one_has_no_peak():
    array, crop = noise(), Crop((3, 3, 3), np.ones((4, 4, 4), np.bool_))
    spacing = np.array([4.0, 4.0, 3.0])
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    turned = peak(Volume(array, affine, "SUVbw"), crop)
    assert turned == pytest.approx(peak(volume_of(array), crop), rel=1e-9)
    affine[0, 1] += 1.0
    assert peak(Volume(array, affine, "SUVbw"), crop) is None


def test_a_mask_without_values_has_no_peak():
    array = noise()
    array[:3] = np.nan
    assert peak(volume_of(array), Crop((0, 0, 0), np.ones((3, 4, 4), np.bool_))) is None
    assert peak(volume_of(array), Crop.empty()) is None


def test_a_mask_beyond_the_volume_is_refused():
    with pytest.raises(VolumeError, match="beyond a grid"):
        peak(volume_of(noise()), Crop((12, 0, 0), np.ones((2, 1, 1), np.bool_)))
