"""Organ maps of studies, as they are on the disk now."""

import os

import numpy as np
import pytest

from infer_tasks.organ_maps import OrganMaps
from lib.pet import Volume, write_mask

VOLUME = Volume(np.zeros((8, 8, 8), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "organs").mkdir()
    return tmp_path / "organs"


def write(path, voxels):
    grid = np.zeros(VOLUME.shape, np.uint8)
    grid[:voxels, 0, 0] = 1
    write_mask(path, grid, VOLUME.affine)
    os.utime(path, ns=(voxels, voxels))  # whatever the clock's resolution


def test_a_map_is_read_once(tmp_path, folder):
    write(folder / "p.nii.gz", 2)
    maps = OrganMaps(tmp_path)
    assert maps.get("p", VOLUME) is maps.get("p", VOLUME) is not None


def test_a_folder_in_which_a_file_was_rewritten_is_read_again(tmp_path, folder):
    (folder / "p").mkdir()
    write(folder / "p/liver.nii.gz", 2)
    maps, seen = OrganMaps(tmp_path), (folder / "p").stat().st_mtime_ns
    assert maps.get("p", VOLUME).mask("liver").count == 2
    write(folder / "p/liver.nii.gz", 5)
    os.utime(folder / "p", ns=(seen, seen))
    assert maps.get("p", VOLUME).mask("liver").count == 5


def test_a_map_whose_names_beside_it_changed_is_read_again(tmp_path, folder):
    write(folder / "p.nii.gz", 2)
    maps = OrganMaps(tmp_path)
    assert maps.get("p", VOLUME).names == {1: "spleen"}
    (folder / "p.csv").write_text("1,liver\n")
    assert maps.get("p", VOLUME).names == {1: "liver"}
    (folder / "p.csv").write_text("1,heart\n")
    assert maps.get("p", VOLUME).names == {1: "heart"}
