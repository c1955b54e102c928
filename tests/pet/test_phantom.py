import numpy as np
import pytest
from scipy.ndimage import label

from lib.pet import Crop, VolumeError, make_phantom, quantify

SEEDS = range(6)
ORGANS = ["liver", "spleen", "kidney_right", "kidney_left", "heart", "aorta", "bladder", "brain"]


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed) for seed in SEEDS]


def test_a_seed_gives_the_same_bytes(phantoms):
    again = make_phantom(0)
    assert again.volume.digest == phantoms[0].volume.digest
    assert np.array_equal(again.labels, phantoms[0].labels)
    assert np.array_equal(again.lesions, phantoms[0].lesions)


def test_seeds_give_different_bodies(phantoms):
    assert len({phantom.volume.digest for phantom in phantoms}) == len(SEEDS)
    assert len({phantom.lesions.tobytes() for phantom in phantoms}) == len(SEEDS)


def test_every_map_has_the_grid_and_type_promised(phantoms):
    for phantom in phantoms:
        assert phantom.volume.shape == phantom.labels.shape == phantom.lesions.shape == (96, 96, 160)
        assert phantom.volume.unit == "SUVbw"
        assert (phantom.labels.dtype, phantom.lesions.dtype) == (np.uint8, np.uint16)
        assert phantom.volume.spacing == (4, 4, 4)
        assert phantom.volume.array.min() >= 0
        assert set(np.unique(phantom.labels)) == {0, *phantom.names}
        assert list(phantom.names.values()) == [*ORGANS, "lesion"]


def test_lesions_are_3_to_8_separate_and_of_8_to_40_mm(phantoms):
    for phantom in phantoms:
        count = phantom.lesions.max()
        assert 3 <= count <= 8
        assert label(phantom.lesions > 0, np.ones((3, 3, 3)))[1] == count
        lesion = next(number for number, name in phantom.names.items() if name == "lesion")
        assert np.array_equal(phantom.labels == lesion, phantom.lesions > 0)
        for number in range(1, count + 1):
            extent = 4 * (np.ptp(np.argwhere(phantom.lesions == number), axis=0) + 1)
            assert extent.min() >= 8 - 4
            assert extent.max() <= 40 + 4


def test_lesions_of_a_small_body_are_separate_too():
    for seed in range(30):
        lesions = make_phantom(seed, shape=(48, 48, 80)).lesions
        assert label(lesions > 0, np.ones((3, 3, 3)))[1] == lesions.max()


def test_lesions_are_brighter_than_what_surrounds_them(phantoms):
    for phantom in phantoms:
        for number in range(1, phantom.lesions.max() + 1):
            numbers = quantify(phantom.volume, Crop.from_grid(phantom.lesions == number))
            assert 1.5 < numbers.mean < numbers.max < 20


def test_organs_take_up_what_fdg_does(phantoms):
    expected = {"liver": 2.2, "spleen": 1.8, "heart": 2.8, "aorta": 1.6, "brain": 7.0, "bladder": 12.0}
    for phantom in phantoms:
        for number, name in phantom.names.items():
            if name in expected:
                mean = phantom.volume.array[phantom.labels == number].mean()
                assert mean == pytest.approx(expected[name], rel=0.35)
        outside = phantom.volume.array[:5]
        assert outside.max() < 0.01


def test_the_liver_is_on_the_patients_right_and_the_brain_above_the_bladder(phantoms):
    phantom = phantoms[0]
    numbers = {name: number for number, name in phantom.names.items()}

    def middle(name):
        index = np.argwhere(phantom.labels == numbers[name]).mean(axis=0)
        return phantom.volume.affine @ [*index, 1]

    assert middle("liver")[0] > 0 > middle("spleen")[0]
    assert middle("kidney_right")[0] > 0 > middle("kidney_left")[0]
    assert middle("heart")[1] > middle("aorta")[1]
    assert middle("brain")[2] > middle("heart")[2] > middle("liver")[2] > middle("bladder")[2]


def test_noise_of_neighbours_is_correlated_and_that_of_others_is_not(phantoms):
    phantom = phantoms[0]
    liver = next(number for number, name in phantom.names.items() if name == "liver")
    i, j, k = np.rint(np.argwhere(phantom.labels == liver).mean(axis=0)).astype(int)
    noise = phantom.volume.array[i - 8 : i + 8, j - 8 : j + 8, k - 8 : k + 8]
    noise = noise - noise.mean()

    def correlation(shift):
        return np.corrcoef(noise[shift:].ravel(), noise[:-shift].ravel())[0, 1]

    assert 0.05 < noise.std() < 0.5
    assert correlation(1) > 0.3
    assert abs(correlation(5)) < 0.15


def test_another_grid_shows_a_whole_body_too():
    phantom = make_phantom(3, shape=(60, 70, 90), spacing=(5.0, 4.0, 6.0))
    assert phantom.volume.shape == (60, 70, 90)
    assert phantom.volume.spacing == (5, 4, 6)
    assert set(np.unique(phantom.labels)) == {0, *phantom.names}
    assert phantom.lesions.max() >= 3


def test_a_field_without_room_for_lesions_is_refused():
    with pytest.raises(VolumeError, match="too small"):
        make_phantom(0, shape=(10, 10, 10))
