import numpy as np
import pytest

from lib.pet import UNITS, Volume, VolumeError

OBLIQUE = np.array([[2, 0.5, 0, 7], [-0.5, 3, 0, 8], [0, 0, -4, 9], [0, 0, 0, 1.0]])


@pytest.fixture
def array():
    return np.random.default_rng(2).normal(size=(3, 4, 5)).astype(np.float32)


def test_a_volume_cannot_be_changed(array):
    volume = Volume(array, np.eye(4), "SUVbw")
    for part in (volume.array, volume.affine):
        with pytest.raises(ValueError, match="read-only"):
            part[0, 0] = 1
    with pytest.raises(AttributeError):
        volume.unit = "Bq/ml"


def test_a_volume_keeps_memory_and_order_and_leaves_its_source_writable(array):
    for source in (array, np.asfortranarray(array)):
        volume = Volume(source, np.eye(4), "SUVbw")
        assert np.shares_memory(volume.array, source)
        assert volume.array.strides == source.strides
        assert source.flags.writeable


def test_spacing_and_voxel_volume_come_from_the_affine(array):
    volume = Volume(array, OBLIQUE, "SUVbw")
    assert volume.shape == (3, 4, 5)
    assert volume.spacing == pytest.approx((np.sqrt(4.25), np.sqrt(9.25), 4))
    assert volume.voxel_ml == pytest.approx(6.25 * 4 / 1000)


def test_nan_stays_and_infinity_becomes_nan_in_a_copy(array):
    array[0, 0, 0], array[1, 1, 1], array[2, 2, 2] = np.nan, np.inf, -np.inf
    volume = Volume(array, np.eye(4), "SUVbw")
    assert np.argwhere(np.isnan(volume.array)).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert np.isinf(array).sum() == 2


def test_the_digest_does_not_depend_on_memory_order_or_the_sign_of_zero_in_the_affine(array):
    digest = Volume(array, np.eye(4), "SUVbw").digest
    assert len(digest) == 64
    assert (
        Volume(np.asfortranarray(array), np.where(np.eye(4) == 0, -0.0, np.eye(4)), "SUVbw").digest == digest
    )


def test_the_digest_depends_on_each_part(array):
    other = array.copy()
    other[2, 3, 4] = np.nextafter(other[2, 3, 4], 1)
    shifted = np.eye(4)
    shifted[0, 3] = 1e-6
    digests = {
        Volume(array, np.eye(4), "SUVbw").digest,
        Volume(other, np.eye(4), "SUVbw").digest,
        Volume(array, shifted, "SUVbw").digest,
        Volume(array, np.eye(4), "unknown").digest,
        Volume(array.reshape(5, 4, 3, order="F"), np.eye(4), "SUVbw").digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64, np.bool_, ">f4"])
def test_every_real_type_becomes_float32(array, dtype):
    volume = Volume(array.astype(dtype), np.eye(4), "unknown")
    assert volume.array.dtype == np.dtype(np.float32)
    assert np.allclose(volume.array, array.astype(dtype))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 2), (4,), ()])
def test_another_number_of_axes_is_refused(shape):
    with pytest.raises(VolumeError, match=f"has {len(shape)}"):
        Volume(np.zeros(shape, np.float32), np.eye(4), "SUVbw")


def test_an_empty_axis_is_refused():
    with pytest.raises(VolumeError, match="empty"):
        Volume(np.zeros((4, 0, 4), np.float32), np.eye(4), "SUVbw")


@pytest.mark.parametrize("dtype", [np.complex64, "S1", "datetime64[s]", [("R", "u1"), ("G", "u1")]])
def test_values_that_are_no_real_numbers_are_refused(dtype):
    with pytest.raises(VolumeError, match="real numbers"):
        Volume(np.zeros((2, 2, 2), dtype), np.eye(4), "SUVbw")


@pytest.mark.parametrize(
    "affine",
    [
        np.eye(3),
        np.diag([1, 1, 0, 1]),
        np.diag([1, 1, np.nan, 1]),
        np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.diag([1, 1, 1, 2]),
    ],
    ids=["3x3", "no length", "nan", "parallel", "last row"],
)
def test_an_affine_that_is_none_is_refused(array, affine):
    with pytest.raises(VolumeError, match="affine"):
        Volume(array, affine, "SUVbw")


def test_tiny_voxels_are_accepted(array):
    assert Volume(array, np.diag([1e-3, 1e-3, 1e-3, 1]), "SUVbw").voxel_ml == pytest.approx(1e-12)


def test_another_unit_is_refused(array):
    assert [Volume(array, np.eye(4), unit).unit for unit in UNITS] == ["SUVbw", "Bq/ml", "unknown"]
    with pytest.raises(VolumeError, match="SUVbw, Bq/ml, unknown"):
        Volume(array, np.eye(4), "kBq/ml")
