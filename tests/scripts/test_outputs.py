"""Where results may go."""

import os

import pytest

from scripts import InputError
from scripts.outputs import check_output_file, check_output_folder


def test_a_new_file_and_an_old_result_are_fine(tmp_path):
    (tmp_path / "image.nii").touch()
    (tmp_path / "old.csv").touch()
    for name in ("new.csv", "old.csv"):
        check_output_file(tmp_path / name, [tmp_path / "image.nii", None, tmp_path / "absent"])
    check_output_folder(tmp_path / "a/b/c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.nii", "old.csv"]


@pytest.mark.parametrize("name", ["image.nii", "./x/../image.nii", "link.nii", "hard.nii", "series/1.dcm"])
def test_what_is_read_is_not_overwritten(tmp_path, name):
    image = tmp_path / "image.nii"
    image.touch()
    (tmp_path / "x").mkdir()
    (tmp_path / "link.nii").symlink_to(image)
    (tmp_path / "hard.nii").hardlink_to(image)
    (tmp_path / "series").mkdir()
    (tmp_path / "series/1.dcm").touch()
    with pytest.raises(InputError, match="would overwrite"):
        check_output_file(tmp_path / name, [tmp_path / "series", image])


def test_a_place_that_is_none_is_refused_by_its_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"There is no folder .*/absent\."):
        check_output_file(tmp_path / "absent/m.nii", [])
    with pytest.raises(InputError, match="is a folder: name a file"):
        check_output_file(tmp_path, [])
    with pytest.raises(InputError, match="file is a file: name a folder"):
        check_output_folder(tmp_path / "file/results")


def test_a_closed_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    with pytest.raises(InputError, match=r"Cannot write m\.nii in .*: permission denied"):
        check_output_file(tmp_path / "m.nii", [])
    with pytest.raises(InputError, match="Cannot write in"):
        check_output_folder(tmp_path / "results")
