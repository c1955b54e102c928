import os
import threading

import nibabel
import numpy as np
import pytest

from infer_tasks import volumes as module
from infer_tasks.volumes import Volumes
from lib.pet import VolumeError


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read."""
    names, read = [], module.read_volume

    def counted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(module, "read_volume", counted)
    return names


def image(folder, name="a.nii", value=1.0, size=10):
    path = folder / name
    nibabel.save(nibabel.Nifti1Image(np.full((size,) * 3, value, np.float32), np.eye(4)), path)
    return path


def test_an_image_is_read_once(tmp_path, reads):
    path, volumes = image(tmp_path), Volumes()
    assert volumes.get(path) is volumes.get(path)
    assert reads == ["a.nii"]


def test_an_image_that_changed_is_read_again(tmp_path, reads):
    path, volumes = image(tmp_path), Volumes()
    volumes.get(path)
    image(tmp_path, value=2.0)
    os.utime(path, ns=(1, 1))  # whatever the clock's resolution
    assert volumes.get(path).array.max() == 2


def test_an_image_whose_sidecar_changed_is_read_again(tmp_path):
    path, volumes = image(tmp_path), Volumes()
    assert volumes.get(path).unit == "unknown"
    (tmp_path / "a.json").write_text('{"Units": "Bq/mL"}')
    assert volumes.get(path).unit == "Bq/ml"
    (tmp_path / "a.json").write_text('{"Units": "g/mL"}')
    assert volumes.get(path).unit == "SUVbw"
    (tmp_path / "a.json").unlink()
    assert volumes.get(path).unit == "unknown"


def test_many_threads_read_an_image_once(tmp_path, reads):
    path, volumes = image(tmp_path, size=100), Volumes()
    threads = [threading.Thread(target=volumes.get, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == ["a.nii"]


def test_memory_is_bounded_and_the_least_recently_used_goes(tmp_path, reads):
    a, b, c = (image(tmp_path, f"{name}.nii") for name in "abc")
    volumes = Volumes(limit_bytes=2 * 4000)
    for path in (a, b, a, c, a, b):
        volumes.get(path)
    assert reads == ["a.nii", "b.nii", "c.nii", "b.nii"]


def test_an_image_larger_than_the_bound_is_read_every_time(tmp_path, reads):
    path, volumes = image(tmp_path), Volumes(limit_bytes=100)
    assert volumes.get(path).shape == volumes.get(path).shape == (10, 10, 10)
    assert len(reads) == 2


def test_the_unit_is_for_images_that_do_not_say_theirs(tmp_path):
    silent, says = image(tmp_path, "silent.nii"), image(tmp_path, "says.nii")
    (tmp_path / "says.json").write_text('{"Units": "Bq/mL"}')
    volumes = Volumes(unit="SUVbw")
    assert volumes.get(silent).unit == "SUVbw"
    assert volumes.get(says).unit == "Bq/ml"
    assert Volumes().get(silent).unit == "unknown"


def test_a_preloaded_image_is_there_for_the_first_click(tmp_path, reads):
    path, volumes = image(tmp_path), Volumes()
    volumes.preload(path)
    volumes.get(path)
    assert reads == ["a.nii"]


def test_a_broken_image_is_told_to_who_clicks_not_to_who_preloads(tmp_path):
    path, volumes = tmp_path / "broken.nii", Volumes()
    path.write_bytes(b"broken")
    volumes.preload(path)
    with pytest.raises(VolumeError, match="cannot be read"):
        volumes.get(path)


def test_an_image_that_is_gone_is_told(tmp_path):
    with pytest.raises(VolumeError, match="no longer there"):
        Volumes().get(tmp_path / "gone.nii")
