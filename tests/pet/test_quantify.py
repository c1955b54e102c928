import numpy as np
import pytest

from lib.pet import Crop, PatientNumbers, Volume, VolumeError, quantify, summarise
from lib.pet.preflight import Preflight
from lib.pet.quantify import summarise_apart, unit_warning

AFFINE = np.array([[-2, 0, 0, 9], [0, 0, 5, 9], [0, 4, 0, 9], [0, 0, 0, 1.0]])  # 40 mm3 a voxel


@pytest.fixture
def array():
    return np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def whole(shape):
    return Crop((0, 0, 0), np.ones(shape, np.bool_))


def test_a_lesion_is_measured(array):
    crop = Crop((1, 2, 3), np.array([[[True, False, True]], [[False, False, True]]]))
    values = np.array([array[1, 2, 3], array[1, 2, 5], array[2, 2, 5]])
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), crop)
    assert numbers.max == values.max()
    assert numbers.mean == pytest.approx(values.mean())
    assert numbers.sd == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 3))
    assert numbers.volume_ml == pytest.approx(0.12)
    assert numbers.tlg_g == pytest.approx(values.mean() * 0.12)
    assert numbers.centroid == pytest.approx((4 / 3, 2, 13 / 3))
    # x = 9 - 2 i, y = 9 + 5 k, z = 9 + 4 j
    assert numbers.centroid_mm == pytest.approx((9 - 8 / 3, 9 + 65 / 3, 17))
    assert (numbers.voxels, numbers.unit) == (3, "SUVbw")


def test_the_whole_volume_is_a_lesion_too(array):
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), Crop.from_grid(np.ones(array.shape)))
    assert (numbers.max, numbers.mean, numbers.voxels) == (119, 59.5, 120)


def test_negative_values_are_values(array):
    numbers = quantify(Volume(-1 - array, AFFINE, "SUVbw"), whole((1, 1, 2)))
    assert (numbers.max, numbers.mean) == (-1, -1.5)
    assert numbers.thresholds_ml == {"suv_4": 0, "suv_2.5": 0}  # 41 % of a negative maximum means nothing


def test_voxels_without_a_value_are_left_out(array):
    array[1, 2, 3] = np.nan
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), Crop((1, 2, 3), np.ones((1, 1, 3), np.bool_)))
    assert (numbers.max, numbers.voxels) == (array[1, 2, 5], 2)
    assert numbers.mean == pytest.approx((array[1, 2, 4] + array[1, 2, 5]) / 2)
    assert numbers.volume_ml == pytest.approx(0.08)
    assert numbers.centroid == (1, 2, 4.5)
    assert numbers.feret_mm == pytest.approx(np.linalg.norm([2, 4, 2 * 5]))


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
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), crop)
    assert (numbers.volume_ml, numbers.voxels, numbers.thresholds_ml) == (0, 0, {})
    rest = (numbers.max, numbers.mean, numbers.peak, numbers.sd, numbers.tlg_g, numbers.feret_mm)
    assert {*rest, numbers.centroid, numbers.centroid_mm} == {None}


def test_the_mean_of_many_voxels_is_exact():
    volume = Volume(np.full((200, 200, 100), 0.1, np.float32), AFFINE, "SUVbw")
    numbers = quantify(volume, whole(volume.shape))
    assert numbers.mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert numbers.sd == pytest.approx(0, abs=1e-12)


def test_thresholds_are_volumes_inside_the_mask_and_include_their_value():
    array = np.array([2.4, 2.5, 3.9, 4.0, 4.1, 10.0, 20.0], np.float32).reshape(7, 1, 1)
    crop = Crop((0, 0, 0), np.ones((6, 1, 1), np.bool_))  # the hottest voxel lies outside
    numbers = quantify(Volume(array, AFFINE, "SUVbw"), crop)
    assert numbers.thresholds_ml == pytest.approx({"suv_4": 0.12, "suv_2.5": 0.2, "41_percent": 0.08})
    numbers = quantify(Volume(array, AFFINE, "Bq/ml"), crop)
    assert numbers.thresholds_ml == pytest.approx({"41_percent": 0.08})


def test_only_suv_is_called_suv(array):
    crop = whole((1, 1, 2))
    both = {
        "volume_ml": pytest.approx(0.08),
        "thresholds_ml": {"41_percent": pytest.approx(0.04)},
        "feret_mm": pytest.approx(np.linalg.norm([2, 4, 10])),
        "centroid": [0, 0, 0.5],
        "centroid_mm": [9, 11.5, 9],
        "voxels": 2,
    }
    suv = quantify(Volume(array, AFFINE, "SUVbw"), crop)
    assert suv.peak is not None
    expected = {"suv_max": 1, "suv_mean": 0.5, "suv_peak": suv.peak, "suv_sd": 0.5, "unit": "SUVbw"}
    sums = {"mtv_ml": pytest.approx(0.08), "tlg_g": pytest.approx(0.04)}
    above = {"thresholds_ml": {"suv_4": 0, "suv_2.5": 0, **both["thresholds_ml"]}}
    assert suv.as_dict() == both | expected | sums | above
    for unit in ("Bq/ml", "unknown"):
        numbers = quantify(Volume(array, AFFINE, unit), crop).as_dict()
        assert numbers == both | {"max": 1, "mean": 0.5, "peak": suv.peak, "sd": 0.5, "unit": unit}


def test_a_lesion_beyond_the_volume_is_refused(array):
    beyond = Crop((3, 4, 5), np.ones((1, 1, 2), np.bool_))
    volume = Volume(array, AFFINE, "SUVbw")
    with pytest.raises(VolumeError, match="beyond a grid"):
        quantify(volume, beyond)
    with pytest.raises(VolumeError, match="beyond a grid"):
        summarise(volume, {1: beyond})


def test_numbers_that_are_no_suv_are_said_to_be_none_and_why(array):
    assert unit_warning(Volume(array, AFFINE, "SUVbw")) is None
    assert "does not state" in unit_warning(Volume(array, AFFINE, "unknown"))
    preflight = Preflight("Bq/ml", "the header", why_not={"SUVbw": "There is no weight."})
    warning = unit_warning(Volume(array, AFFINE, "Bq/ml", preflight))
    assert warning == "The numbers are no SUV: this image's values are Bq/ml. There is no weight."


def test_a_ball_has_the_volume_and_glycolysis_of_a_ball():
    size, spacing, radius = 60, np.array([1.5, 2.0, 2.5]), 25.0
    squares = np.ix_(*(((np.arange(size) - size / 2) * step) ** 2 for step in spacing))
    inside = squares[0] + squares[1] + squares[2] <= radius**2
    volume = Volume(np.where(inside, 6.0, 1.0), np.diag([*spacing, 1.0]), "SUVbw")
    numbers = quantify(volume, Crop.from_grid(inside))
    millilitres = 4 / 3 * np.pi * radius**3 / 1000
    assert numbers.volume_ml == pytest.approx(millilitres, rel=0.01)
    assert numbers.tlg_g == pytest.approx(6 * millilitres, rel=0.01)
    assert numbers.peak == pytest.approx(6)  # the sphere of 1 cm3 fits in
    assert 2 * radius - spacing.max() < numbers.feret_mm < 2 * radius + np.linalg.norm(spacing)
    assert numbers.centroid_mm == pytest.approx(size / 2 * spacing)


@pytest.mark.parametrize("unit", ["SUVbw", "Bq/ml"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_lesions_apart_are_summed_from_their_numbers_alone(unit, count):
    values = np.random.default_rng(3).random((9, 9, 9), np.float32)
    values[4, 4, 4] = np.nan
    volume = Volume(values, np.diag([2.0, 3.0, 4.0, 1.0]), unit)
    blocks = ((0, 3), (3, 6), (6, 9))[:count]
    crops = {n: Crop((a, a, a), np.ones((b - a,) * 3, dtype=bool)) for n, (a, b) in enumerate(blocks)}
    crops[9] = Crop.empty()
    apart = summarise_apart(volume, [quantify(volume, crop) for crop in crops.values()])
    for name, expected in vars(summarise(volume, crops)).items():
        own = getattr(apart, name)
        assert own == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected), name


def test_a_patient_s_lesions_are_summed_and_their_overlap_counts_once(array):
    volume = Volume(array, AFFINE, "SUVbw")
    first = Crop((0, 0, 0), np.ones((1, 1, 3), np.bool_))  # 0, 1, 2
    second = Crop((0, 0, 2), np.ones((1, 1, 2), np.bool_))  # 2, 3
    third = Crop((3, 4, 5), np.ones((1, 1, 1), np.bool_))  # 119
    total = summarise(volume, {1: first, 2: second, 7: third, 8: Crop.empty()})
    assert total == PatientNumbers(
        count=3,
        volume_ml=pytest.approx(0.2),
        tlg_g=pytest.approx((0 + 1 + 2 + 3 + 119) * 0.04),
        dmax_mm=pytest.approx(np.linalg.norm([3 * 2, 4 * 4, 4 * 5])),  # from (0, 0, 1) to (3, 4, 5)
        unit="SUVbw",
    )
    parts = [quantify(volume, crop) for crop in (first, third)]
    apart = summarise(volume, {1: first, 2: third})
    assert apart.volume_ml == pytest.approx(sum(part.volume_ml for part in parts))
    assert apart.tlg_g == pytest.approx(sum(part.tlg_g for part in parts))


def test_a_patient_with_one_lesion_or_none_has_no_dmax(array):
    volume = Volume(array, AFFINE, "SUVbw")
    one = summarise(volume, {4: whole((1, 1, 1))})
    assert (one.count, one.dmax_mm) == (1, None)
    assert summarise(volume, {}).as_dict() == {
        "count": 0,
        "tmtv_ml": 0,
        "total_tlg_g": 0,
        "dmax_mm": None,
        "unit": "SUVbw",
    }


def test_a_patient_s_sums_are_called_after_suv_only_where_they_are(array):
    numbers = summarise(Volume(array, AFFINE, "Bq/ml"), {1: whole((1, 1, 2))}).as_dict()
    assert numbers == {"count": 1, "volume_ml": pytest.approx(0.08), "dmax_mm": None, "unit": "Bq/ml"}
