import numpy as np
import pytest
from dicom_seg import segmentation

from lib.pet import Volume, VolumeError, write_mask
from lib.pet.outlines import read_outlines

AFFINE = np.diag([-2.0, -2, 3, 1])


@pytest.fixture
def volume():
    return Volume(np.zeros((12, 12, 8), np.float32), AFFINE, "SUVbw")


def mask_file(folder, values):
    grid = np.zeros((12, 12, 8), np.uint8)
    for value, box in values:
        grid[box] = value
    write_mask(folder / "mask.nii.gz", grid, AFFINE)
    return folder / "mask.nii.gz"


def test_segments_of_a_seg_are_outlines(tmp_path):
    labels, affine = segmentation(tmp_path)
    outlines = read_outlines(
        tmp_path / "seg.dcm", Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    )
    assert [outline.name for outline in outlines] == ["Liver", "Organ 2"]
    for number, outline in enumerate(outlines, start=1):
        assert np.array_equal(outline.mask.to_grid(labels.shape), labels == number)


def test_a_seg_on_another_grid_is_resampled(tmp_path):
    labels, affine = segmentation(tmp_path)
    half = Volume(
        np.zeros(tuple(n // 2 for n in labels.shape), np.float32), affine @ np.diag([2, 2, 2, 1]), "SUVbw"
    )
    liver = read_outlines(tmp_path / "seg.dcm", half)[0]
    assert np.array_equal(liver.mask.to_grid(half.shape), (labels == 1)[::2, ::2, ::2][: half.shape[0]])


def test_a_seg_of_another_place_is_refused(tmp_path):
    labels, affine = segmentation(tmp_path)
    far = affine.copy()
    far[:3, 3] += 5000
    with pytest.raises(VolumeError, match="another study"):
        read_outlines(tmp_path / "seg.dcm", Volume(np.zeros(labels.shape, np.float32), far, "SUVbw"))


def test_values_of_a_mask_are_outlines_by_their_names(tmp_path, volume):
    file = mask_file(tmp_path, [(1, np.s_[1:3, 1:3, 1:3]), (7, np.s_[6:9, 6:9, 2:4])])
    (tmp_path / "names.csv").write_text("7,GTV\n", encoding="utf-8")
    outlines = read_outlines(file, volume, tmp_path / "names.csv")
    assert [(one.name, one.mask.count) for one in outlines] == [("1", 8), ("GTV", 18)]


def test_parts_of_a_mask_with_one_value_are_outlines(tmp_path, volume):
    file = mask_file(tmp_path, [(1, np.s_[1:3, 1:3, 1:3]), (1, np.s_[6:9, 6:9, 2:4])])
    assert [one.mask.count for one in read_outlines(file, volume)] == [18, 8]


def test_an_empty_mask_has_no_outline(tmp_path, volume):
    assert read_outlines(mask_file(tmp_path, []), volume) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [("absent.dcm", "no file or folder"), ("text.dcm", "cannot be read"), ("two", "holds 2 files")],
)
def test_what_holds_no_outlines_is_refused(tmp_path, volume, name, why):
    (tmp_path / "text.dcm").write_text("no DICOM")
    (tmp_path / "two").mkdir()
    for number in (1, 2):
        (tmp_path / f"two/{number}.dcm").write_text("")
    with pytest.raises(VolumeError, match=why):
        read_outlines(tmp_path / name, volume)
