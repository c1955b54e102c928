"""Region growing from clicks."""

import numpy as np
import pytest

from lib.interaction import Click, PromptError, RegionGrower
from lib.interaction.segmenter import Stopwatch
from lib.pet import Volume


def blob(shape, centre, peak, sigma):
    distance = sum(((axis - at) * 2.0) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True))
    return peak * np.exp(-distance / (2 * sigma**2))


@pytest.fixture(scope="module")
def volume():
    """Two touching hot spots of SUV 10 and 8, 2 mm voxels."""
    shape = (40, 40, 60)
    values = 0.5 + blob(shape, (20, 20, 20), 10, 8) + blob(shape, (20, 20, 34), 8, 8)
    return Volume(values.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]), "SUVbw")


def mask_of(grower, volume, *clicks):
    steps = [tuple(Click(index, positive) for index, positive in clicks)]
    return grower.advance(volume, None, None, steps, Stopwatch()).mask.to_grid(volume.shape)


def test_41_percent_of_the_local_maximum_bounds_the_region(volume):
    mask = mask_of(RegionGrower(), volume, ((20, 20, 19), True))
    maximum = volume.array[20, 20, 15:25].max()
    assert volume.array[mask].min() >= 0.41 * maximum
    assert mask[20, 20, 20]


def test_the_maximum_is_found_uphill_from_a_click_beside_it(volume):
    beside = mask_of(RegionGrower(), volume, ((22, 21, 19), True))
    np.testing.assert_array_equal(beside, mask_of(RegionGrower(), volume, ((20, 20, 20), True)))


def test_a_fixed_value_is_in_the_volumes_unit(volume):
    mask = mask_of(RegionGrower("fixed", 9.0), volume, ((20, 20, 20), True))
    np.testing.assert_array_equal(mask[:, :, :28], (volume.array >= 9.0)[:, :, :28])


def test_the_gradient_method_finds_the_edge_of_a_blurred_ball():
    shape = (40, 40, 40)
    distance = np.sqrt(sum(((axis - 20) * 2.0) ** 2 for axis in np.indices(shape)))
    values = (1 + 9 / (1 + np.exp((distance - 16) / 1.5))).astype(np.float32)
    volume = Volume(values, np.diag([2.0, 2.0, 2.0, 1.0]), "SUVbw")
    mask = mask_of(RegionGrower("gradient"), volume, ((20, 20, 20), True))
    radius = (np.count_nonzero(mask) * 8 * 3 / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(16, abs=1.0)


def test_a_negative_click_divides_touching_lesions(volume):
    both = mask_of(RegionGrower(), volume, ((20, 20, 20), True))
    assert both[20, 20, 34]
    one = mask_of(RegionGrower(), volume, ((20, 20, 20), True), ((20, 20, 34), False))
    assert one[20, 20, 20]
    np.testing.assert_array_equal(one[:, :, :28], both[:, :, :28])
    assert not one[:, :, 28:].any()


def test_a_far_negative_click_changes_nothing(volume):
    alone = mask_of(RegionGrower(), volume, ((20, 20, 20), True))
    with_far = mask_of(RegionGrower(), volume, ((20, 20, 20), True), ((20, 20, 59), False))
    np.testing.assert_array_equal(alone[:, :, :40], with_far[:, :, :40])


def test_a_click_on_a_cold_voxel_adds_a_ball_around_it(volume):
    cold = (20, 8, 20)
    mask = mask_of(RegionGrower("fixed", 6.0), volume, (cold, True))
    distance = np.sqrt(
        sum(((axis - at) * 2.0) ** 2 for axis, at in zip(np.indices(mask.shape), cold, strict=True))
    )
    assert mask[distance <= 8].all()
    assert not mask[(distance > 8) & (volume.array < 6.0)].any()


def test_positive_clicks_add_their_regions(volume):
    grower = RegionGrower("percent", 80)
    two = mask_of(grower, volume, ((20, 20, 20), True), ((20, 20, 34), True))
    one, other = (mask_of(grower, volume, (index, True)) for index in ((20, 20, 20), (20, 20, 34)))
    np.testing.assert_array_equal(two, one | other)


@pytest.mark.parametrize("method", ["percent", "fixed", "gradient"])
@pytest.mark.parametrize("values", [np.zeros((9, 9, 9)), np.full((9, 9, 9), -2.0), np.full((9, 9, 2), 5.0)])
def test_images_without_contrast_neither_fail_nor_hang(method, values):
    volume = Volume(values.astype(np.float32), np.eye(4), "SUVbw")
    mask = mask_of(RegionGrower(method), volume, ((4, 4, 1), True))
    assert mask.all() if values.max() > 0 else not mask.any()


@pytest.mark.parametrize(
    ("method", "value"),
    [("otsu", 1), ("percent", 0), ("percent", 101), ("fixed", -1), ("fixed", float("nan"))],
)
def test_an_impossible_threshold_is_refused(method, value):
    with pytest.raises(PromptError):
        RegionGrower(method, value)


def test_the_fixed_threshold_must_be_given_where_values_are_no_suv(volume):
    activity = Volume(volume.array, volume.affine, "Bq/ml")
    with pytest.raises(PromptError, match="give the fixed threshold"):
        mask_of(RegionGrower("fixed"), activity, ((20, 20, 20), True))
    assert mask_of(RegionGrower("fixed", 9.0), activity, ((20, 20, 20), True)).any()


def test_the_gradient_method_takes_no_value():
    assert RegionGrower("gradient").value is None
    with pytest.raises(PromptError, match="leave the value out"):
        RegionGrower("gradient", 3.0)


def test_a_region_that_was_grown_is_kept_and_the_bound_holds(volume):
    grower = RegionGrower(cache_bytes=20_000)
    first = mask_of(grower, volume, ((20, 20, 20), True))
    for k in range(5, 50):
        mask_of(grower, volume, ((20, 20, k), True))
        assert grower._grown.currsize <= 20_000
    np.testing.assert_array_equal(mask_of(grower, volume, ((20, 20, 20), True)), first)


def test_a_leak_stays_within_the_extent_and_is_said():
    volume = Volume(np.full((20, 20, 400), 5.0, dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    mask = mask_of(RegionGrower(), volume, ((10, 10, 200), True))
    assert np.ptp(np.flatnonzero(mask.any(axis=(0, 1)))) * 4.0 <= 304
    step = (Click((10, 10, 200), positive=True),)
    state = RegionGrower().advance(volume, None, None, [step], Stopwatch())
    assert "leaks up to 150 mm" in state.warnings[0]


@pytest.mark.parametrize(
    ("value", "at", "grower", "said"),
    [
        (0.0, 0.0, RegionGrower(), "no uptake"),
        (0.02, 0.0, RegionGrower(), "hardly any uptake (SUV 0.02)"),
        (0.02, 5.0, RegionGrower("percent", 0.41), "did you mean 41 %"),
        (0.02, 5.0, RegionGrower(), None),
    ],
)
def test_clicks_and_thresholds_that_nobody_means_are_said(value, at, grower, said):
    values = np.full((20, 20, 20), value, np.float32)
    values[8:12, 8:12, 8:12] += at
    step = (Click((10, 10, 10), True),)
    state = grower.advance(Volume(values, np.diag([4.0, 4, 4, 1]), "SUVbw"), None, None, [step], Stopwatch())
    assert [said] == [said for text in state.warnings if said in text] if said else not state.warnings
