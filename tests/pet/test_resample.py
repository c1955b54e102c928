import numpy as np
import pytest

from lib.pet import Volume, VolumeError
from lib.pet.resample import nearest_labels, same_grid, share_outside

AFFINE = np.array([[-4.0, 0, 0, 50], [0, -4, 0, 60], [0, 0, 3, -20], [0, 0, 0, 1]])


def volume_of(shape, affine):
    return Volume(np.zeros(shape, np.float32), affine, "SUVbw")


def by_hand(labels, affine, volume):
    """The definition, voxel by voxel."""
    expected = np.zeros(volume.shape, labels.dtype)
    for index in np.ndindex(volume.shape):
        at = np.linalg.inv(affine) @ volume.affine @ [*index, 1]
        nearest = np.floor(at[:3] + 0.5).astype(int)
        if (nearest >= 0).all() and (nearest < labels.shape).all():
            expected[index] = labels[tuple(nearest)]
    return expected


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 400, (9, 11, 13)).astype(np.uint16)


@pytest.mark.parametrize("turn", ["flipped", "finer", "turned", "oblique"])
def test_each_voxel_gets_the_label_of_the_nearest_one(labels, turn):
    affine = {
        "flipped": np.array([[0, 4.0, 0, 20], [0, 0, -4, 55], [3, 0, 0, -17], [0, 0, 0, 1]]),
        "finer": np.array([[1.7, 0, 0, 15], [0, 1.9, 0, 22], [0, 0, 2.3, -25], [0, 0, 0, 1]]),
        "turned": np.array([[0, 0, -1.7, 45], [2.3, 0, 0, 20], [0, -5.1, 0, 25], [0, 0, 0, 1]]),
        "oblique": AFFINE
        @ np.array(
            [
                [-np.cos(0.3), np.sin(0.3), 0.1, np.pi],
                [np.sin(0.3), np.cos(0.3), 0.07, np.e],
                [0.1, 0, np.sqrt(0.9), -1 / 3],
                [0, 0, 0, 1],
            ]
        ),
    }[turn]
    volume = volume_of((12, 10, 14), affine)
    moved = nearest_labels(labels, AFFINE, volume)
    assert moved.dtype == labels.dtype
    assert np.array_equal(moved, by_hand(labels, AFFINE, volume))
    assert 0 < np.count_nonzero(moved) < moved.size


def test_a_flipped_grid_keeps_every_voxel(labels):
    flipped = AFFINE @ np.array([[-1, 0, 0, 8], [0, 1, 0, 0], [0, 0, -1, 12], [0, 0, 0, 1.0]])
    assert np.array_equal(
        nearest_labels(labels, AFFINE, volume_of(labels.shape, flipped)), labels[::-1, :, ::-1]
    )


def test_the_same_grid_is_not_copied(labels):
    nearly = AFFINE.copy()
    nearly[:3] *= 1 + 1e-6
    assert nearest_labels(labels, AFFINE, volume_of(labels.shape, nearly)) is labels


def test_grids_are_the_same_only_within_a_hundredth_of_a_millimetre():
    volume = volume_of((200, 200, 300), AFFINE)
    assert same_grid(volume.shape, AFFINE, volume)
    assert not same_grid((200, 200, 299), AFFINE, volume)
    shifted, stretched = AFFINE.copy(), AFFINE.copy()
    shifted[0, 3] += 0.02
    stretched[2, 2] += 0.001  # 0.3 mm at the other end
    assert not same_grid(volume.shape, shifted, volume)
    assert not same_grid(volume.shape, stretched, volume)


def test_labels_elsewhere_are_refused(labels):
    elsewhere = AFFINE.copy()
    elsewhere[2, 3] += 500
    with pytest.raises(VolumeError, match="do not overlap"):
        nearest_labels(labels, elsewhere, volume_of(labels.shape, AFFINE))
    assert not nearest_labels(np.zeros_like(labels), elsewhere, volume_of(labels.shape, AFFINE)).any()


@pytest.mark.parametrize(("moved", "share"), [(0, 0.0), (3, 0.3), (10, 1.0), (-5, 0.5)])
def test_the_share_outside_is_that_of_voxel_centres(moved, share):
    volume = volume_of((10, 10, 10), AFFINE)
    affine = AFFINE @ np.block([[np.eye(3), np.array([[moved], [0], [0]])], [np.zeros(3), 1]])
    assert share_outside(np.ones((10, 10, 10), np.uint8), affine, volume) == pytest.approx(share)
    assert share_outside(np.zeros((10, 10, 10), np.uint8), affine, volume) == 0
