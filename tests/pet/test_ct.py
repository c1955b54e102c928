import numpy as np
import pytest
from dicom_series import UID_PREFIX, both, in_study, scan_header, tags, write_ct, write_series
from scipy.spatial.transform import Rotation

from lib.pet import find_ct, find_series, read_ct, read_volume


@pytest.fixture
def stored():
    return np.random.default_rng(2).integers(0, 30_000, (5, 6, 7)).astype(np.int16)


@pytest.mark.parametrize("turn", [None, Rotation.from_euler("xyz", (5, -4, 10), degrees=True).as_matrix()])
def test_a_ct_of_the_same_frame_of_reference_is_resampled_to_the_pet(stored, tmp_path, turn):
    write_series(tmp_path / "pet", stored, edit=both(in_study("1"), scan_header()))
    write_ct(tmp_path / "ct", lambda x, y, z: 3 * x - 2 * y + 5 * z, in_study("2"), turn=turn)
    (series,) = find_series(tmp_path)
    ct = find_ct(series)
    assert ct.uid == UID_PREFIX + "2"
    volume = read_volume(tmp_path)
    assert volume.preflight.ct
    resampled = read_ct(ct, volume)
    assert resampled.shape == volume.shape
    i, j, k = np.indices(volume.shape)
    expected = 3 * (-10 + 4.0 * i) - 2 * (-20 + 5.0 * j) + 5 * (-30 + 3.0 * k)
    inside = resampled > -1000
    assert inside.mean() > 0.8
    assert abs(resampled - expected)[inside].max() < 2


def test_outside_the_ct_there_is_air(stored, tmp_path):
    write_series(tmp_path, stored, edit=in_study("1"))
    write_ct(tmp_path, lambda x, y, z: 0 * x, in_study("2"), origin=(500, 500, 500))
    (series,) = find_series(tmp_path)
    assert (read_ct(find_ct(series), read_volume(tmp_path)) == -1024).all()


def test_no_other_ct_is_offered(stored, tmp_path):
    write_series(tmp_path / "pet", stored, edit=in_study("1"))
    write_ct(tmp_path / "pet", lambda x, y, z: x, in_study("2", frame=UID_PREFIX + "9"), shape=(4, 4, 4))
    write_ct(
        tmp_path / "pet",
        lambda x, y, z: x,
        in_study("3"),
        tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    )
    write_ct(tmp_path / "elsewhere", lambda x, y, z: x, in_study("4"), shape=(4, 4, 4))
    (series,) = find_series(tmp_path / "pet")
    assert find_ct(series) is None
    assert not read_volume(tmp_path / "pet").preflight.ct
    assert find_ct(series, tmp_path / "elsewhere").uid == UID_PREFIX + "4"
