"""Crops in larger bodies: nothing of the target lost, nothing of the box left."""

import numpy as np
import pytest

from lib.learning.cases import find_cases, read_case
from lib.learning.embedding import embed_in_body
from lib.pet import Volume, VolumeError, read_mask, read_volume


def crop_around_a_ball(level=0.5, noise=0.05, target=6.0, spacing=(4.0, 4.0, 3.0), margin=50.0, radius=15.0):
    """A ball in quiet tissue with an even margin on all sides, as the shared patients are cropped."""
    random = np.random.default_rng(0)
    axes = [np.arange(-margin - radius, margin + radius + step, step) for step in spacing]
    i, j, k = np.ix_(*axes)
    ball = i**2 + j**2 + k**2 <= radius**2
    image = level + noise * random.standard_normal(ball.shape)
    image[ball] = target
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (10, 20, 30)
    return Volume(image.astype(np.float32), affine, "SUVbw"), ball


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def ellipsoid_of_the_box(shape):
    """The guess of someone who knows how crops are made, and does not look at the image."""
    i, j, k = np.ix_(*(np.linspace(-1, 1, size) for size in shape))
    return i**2 + j**2 + k**2 <= 0.64


@pytest.mark.parametrize("seed", range(5))
def test_the_target_keeps_its_voxels_its_values_and_its_place(seed):
    volume, mask = crop_around_a_ball()
    body, target = embed_in_body(volume, mask, np.random.default_rng(seed))
    assert body.shape == target.shape
    assert all(now > before for now, before in zip(body.shape, volume.shape, strict=True))
    assert (body.unit, body.spacing) == (volume.unit, volume.spacing)
    np.testing.assert_allclose(body.array[target], volume.array[mask], rtol=1e-6)
    before, now = (np.argwhere(voxels)[0] for voxels in (mask, target))
    np.testing.assert_allclose(body.affine @ [*now, 1], volume.affine @ [*before, 1], atol=1e-9)


def test_the_body_has_the_level_and_the_noise_of_the_quiet_tissue():
    volume, mask = crop_around_a_ball(level=0.7, noise=0.06)
    # What a scanner's blur leaves of the noise is what the body must show.
    from scipy.ndimage import gaussian_filter

    blurred = Volume(gaussian_filter(volume.array, 0.6), volume.affine, volume.unit)
    body, target = embed_in_body(blurred, mask, np.random.default_rng(0))
    corner = body.array[:12, :12, :12]
    assert not target[:12, :12, :12].any()
    assert np.median(body.array[~target]) == pytest.approx(0.7, rel=0.1)
    rough = corner - gaussian_filter(corner, 2)
    own = blurred.array[:10, :10, :10]
    assert rough.std() == pytest.approx((own - gaussian_filter(own, 2)).std(), rel=0.4)


def test_no_step_is_left_at_the_seam():
    # Half of the crop is an organ of SUV 4.5: 4 above the body that begins where the crop ends.
    volume, mask = crop_around_a_ball(noise=0.0)
    image = volume.array.copy()
    image[:, : volume.shape[1] // 2][~mask[:, : volume.shape[1] // 2]] = 4.5
    body, target = embed_in_body(Volume(image, volume.affine, "SUVbw"), mask, np.random.default_rng(3))
    _, j, _ = np.argwhere(target).min(axis=0)
    ahead_of_target = np.diff(body.array, axis=1)[:, : j - 1]
    # A cosine over 15 mm rises by at most pi / 2 x 4 / 15 of it within a voxel of 4 mm.
    assert np.ptp(body.array[:, :j]) > 3.5
    assert np.abs(ahead_of_target).max() < 4 * np.pi / 2 * 4 / 15 * 1.1


def test_a_seed_gives_the_same_body_always():
    volume, mask = crop_around_a_ball()
    once, again, other = (embed_in_body(volume, mask, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once[0].digest == again[0].digest
    assert once[0].digest != other[0].digest


def test_air_beside_a_limb_goes_on_beyond_the_crop():
    volume, mask = crop_around_a_ball()
    image = volume.array.copy()
    image[: volume.shape[0] // 4] = 0
    body, _ = embed_in_body(Volume(image, volume.affine, "SUVbw"), mask, np.random.default_rng(1))
    assert body.array[:3].max() < 0.1
    assert np.median(body.array[-3:]) == pytest.approx(0.5, rel=0.2)


def test_a_crop_without_margin_loses_no_voxel():
    mask = np.ones((6, 6, 6), bool)
    volume = Volume(np.full(mask.shape, 3, np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    assert embed_in_body(volume, mask, np.random.default_rng(0))[1].sum() == 216


def test_a_crop_without_target_is_set_into_a_body_too():
    volume, mask = crop_around_a_ball()
    body, target = embed_in_body(volume, mask & False, np.random.default_rng(0))
    assert not target.any()
    assert body.array.max() > 0.5


def test_a_mask_of_another_grid_is_refused():
    volume, mask = crop_around_a_ball()
    with pytest.raises(VolumeError, match="must be equal"):
        embed_in_body(volume, mask[1:], np.random.default_rng(0))


def test_the_box_of_the_shared_patients_tells_the_target_before_but_not_after(shared):
    before, after = [], []
    for files in find_cases(shared / "data" / "sts-pet")[::3]:
        mask = read_mask(files.mask)[0] > 0
        assert mask.shape == read_volume(files.image).shape
        before.append(dice(ellipsoid_around(mask), mask))
        case = read_case(files, "SUVbw", embed=5)
        after.append(dice(ellipsoid_of_the_box(case.volume.shape), case.truth.to_grid(case.volume.shape)))
    assert np.mean(before) > 0.6
    assert np.mean(after) < 0.3


def ellipsoid_around(mask):
    """The ellipsoid that leaves an even margin of 50 mm, or about 11 voxels, of the box."""
    i, j, k = np.ix_(*(np.arange(size) - (size - 1) / 2 for size in mask.shape))
    a, b, c = (max(1.0, size / 2 - margin) for size, margin in zip(mask.shape, (10, 10, 15), strict=True))
    return (i / a) ** 2 + (j / b) ** 2 + (k / c) ** 2 <= 1
