import numpy as np
import pytest

from lib.pet import Crop, LesionNumbers, Volume, VolumeError, quantify

AFFINE = np.array([[-2, 0, 0, 9], [0, 0, 5, 9], [0, 4, 0, 9], [0, 0, 0, 1.0]])  # 40 mm3 a voxel


@pytest.fixture
def array():
    return np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def test_a_lesion_is_measured(array):
    crop = Crop((1, 2, 3), np.array([[[True, False, True]], [[False, False, True]]]))
    values = [array[1, 2, 3], array[1, 2, 5], array[2, 2, 5]]
    assert quantify(Volume(array, AFFINE, "SUVbw"), crop) == LesionNumbers(
        max=max(values),
        mean=pytest.approx(sum(values) / 3),
        volume_ml=pytest.approx(0.12),
        voxels=3,
        unit="SUVbw",
    )


def test_the_whole_volume_is_a_lesion_too(array):
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), Crop.from_grid(np.ones(array.shape)))
    assert (numbers.max, numbers.mean, numbers.voxels) == (119, 59.5, 120)


def test_negative_values_are_values(array):
    numbers = quantify(Volume(-1 - array, AFFINE, "SUVbw"), Crop((0, 0, 0), np.ones((1, 1, 2), np.bool_)))
    assert (numbers.max, numbers.mean) == (-1, -1.5)


def test_voxels_without_a_value_are_left_out(array):
    array[1, 2, 3] = np.nan
    crop = Crop((1, 2, 3), np.ones((1, 1, 3), np.bool_))
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), crop)
    assert (numbers.max, numbers.voxels) == (array[1, 2, 5], 2)
    assert numbers.mean == pytest.approx((array[1, 2, 4] + array[1, 2, 5]) / 2)
    assert numbers.volume_ml == pytest.approx(0.08)


@pytest.mark.parametrize(
    "crop",
    [
        Crop.empty(),
        Crop((1, 1, 1), np.zeros((2, 2, 2), np.bool_)),
        Crop((0, 0, 0), np.ones((1, 1, 1), np.bool_)),
    ],
    ids=["empty", "no voxel", "no value"],
)
def test_nothing_measures_nothing(array, crop):
    array[0, 0, 0] = np.nan
    assert quantify(Volume(array, AFFINE, "Bq/ml"), crop) == LesionNumbers(None, None, 0.0, 0, "Bq/ml")


def test_the_mean_of_many_voxels_is_exact():
    volume = Volume(np.full((200, 200, 100), 0.1, np.float32), AFFINE, "SUVbw")
    numbers = quantify(volume, Crop((0, 0, 0), np.ones(volume.shape, np.bool_)))
    assert numbers.mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_only_suv_is_called_suv(array):
    crop = Crop((0, 0, 0), np.ones((1, 1, 2), np.bool_))
    assert quantify(Volume(array, AFFINE, "SUVbw"), crop).as_dict() == {
        "suv_max": 1.0,
        "suv_mean": 0.5,
        "volume_ml": pytest.approx(0.08),
        "unit": "SUVbw",
    }
    for unit in ("Bq/ml", "unknown"):
        numbers = quantify(Volume(array, AFFINE, unit), crop).as_dict()
        assert numbers == {"max": 1.0, "mean": 0.5, "volume_ml": pytest.approx(0.08), "unit": unit}


def test_a_lesion_beyond_the_volume_is_refused(array):
    with pytest.raises(VolumeError, match="beyond a grid"):
        quantify(Volume(array, AFFINE, "SUVbw"), Crop((3, 4, 5), np.ones((1, 1, 2), np.bool_)))
