import numpy as np
import pytest
from structure_set import write

from lib.pet import Volume, VolumeError, read_mask, read_volume
from lib.pet.contours import read_structure_set
from lib.pet.resample import nearest_labels

#: LPS: columns of 2 mm from x = 10, rows of 4 mm from y = -8, slices of 3 mm from z = 100.
AFFINE = np.array([[-2.0, 0, 0, -10], [0, -4, 0, 8], [0, 0, 3, 100], [0, 0, 0, 1]])


@pytest.fixture
def volume():
    return Volume(np.zeros((20, 16, 12), np.float32), AFFINE, "SUVbw")


def lps(*corners):
    """LPS mm of voxel indices (i, j, k)."""
    return [value for i, j, k in corners for value in (10 + 2 * i, -8 + 4 * j, 100 + 3 * k)]


def square(low, high, k):
    """A square from one (i, j) to another, in slice k."""
    return lps((low[0], low[1], k), (high[0], low[1], k), (high[0], high[1], k), (low[0], high[1], k))


@pytest.mark.parametrize("patient", ["STS_001", "STS_003", "STS_005"])
def test_shared_structure_sets_are_the_shared_masks(shared, patient):
    volume = read_volume(shared / f"data/sts-pet-dicom/{patient}/image")
    masks = read_structure_set(shared / f"data/sts-pet-dicom/{patient}/mask/RS.dcm", volume)
    labels, affine = read_mask(shared / f"data/sts-pet/{patient}/PET_mask.nii.gz")
    truth = nearest_labels(labels, affine, volume) > 0
    (mask,) = (mask.to_grid(volume.shape) for mask in masks.values())
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) >= 0.98


def test_voxels_whose_centre_lies_in_the_contour_are_in(tmp_path, volume):
    file = write(tmp_path / "rs.dcm", [("GTV", [square((2.6, 3.4), (7.4, 9.6), 5)])])
    mask = read_structure_set(file, volume)["GTV"]
    assert mask.start == (3, 4, 5) and mask.stop == (8, 10, 6) and mask.array.all()


def test_neighbours_that_share_an_edge_share_no_voxel(tmp_path, volume):
    contours = [square((2, 2), (6, 8), 4)], [square((6, 2), (10, 8), 4)]
    file = write(tmp_path / "rs.dcm", [("one", contours[0]), ("other", contours[1])])
    one, other = read_structure_set(file, volume).values()
    assert one.count == other.count == 4 * 6
    assert not (one.to_grid(volume.shape) & other.to_grid(volume.shape)).any()


def test_a_contour_within_another_is_a_hole(tmp_path, volume):
    file = write(
        tmp_path / "rs.dcm",
        [("ring", [square((1.5, 1.5), (9.5, 9.5), 4), square((3.5, 3.5), (6.5, 6.5), 4)])],
    )
    mask = read_structure_set(file, volume)["ring"]
    assert mask.count == 8 * 8 - 3 * 3 and not mask.contains((5, 5, 4))


def test_planes_need_not_be_the_slices(tmp_path, volume):
    planes = [square((1.5, 1.5), (4.5, 4.5), k) for k in np.arange(2.2, 8, 1.5)]  # 2.2, 3.7, 5.2, 6.7
    mask = read_structure_set(write(tmp_path / "rs.dcm", [("GTV", planes)]), volume)["GTV"]
    assert mask.start[2] == 2 and mask.stop[2] == 8 and mask.array.all()


def test_slices_between_two_separate_parts_stay_empty(tmp_path, volume):
    planes = [square((1.5, 1.5), (4.5, 4.5), k) for k in (1, 2, 3, 8, 9)]
    mask = read_structure_set(write(tmp_path / "rs.dcm", [("GTV", planes)]), volume)["GTV"]
    assert mask.to_grid(volume.shape).any(axis=(0, 1)).nonzero()[0].tolist() == [1, 2, 3, 8, 9]


def slices_of(tmp_path, volume, *regions):
    """The slices that the first of some regions has, each a list of the planes in which it has a square."""
    contours = [[square((1.5, 1.5), (4.5, 4.5), k) for k in planes] for planes in regions]
    file = write(tmp_path / "rs.dcm", [(f"GTV {n}", one) for n, one in enumerate(contours)])
    mask = read_structure_set(file, volume)["GTV 0"].to_grid(volume.shape)
    assert set(mask.sum(axis=(0, 1)).tolist()) <= {0, 9}
    return mask.any(axis=(0, 1)).nonzero()[0].tolist()


@pytest.mark.parametrize(
    "regions",
    [
        [(1, 9)],  # 24 mm apart: no scanner's slices
        [(1, 2, 6, 9)],
        [(1, 4), (5, 6, 7)],  # another region tells how far planes are apart
        [(4,)],
    ],
)
def test_gaps_between_parts_are_no_spacing_of_planes(tmp_path, volume, regions):
    assert slices_of(tmp_path, volume, *regions) == list(regions[0])


@pytest.mark.parametrize("decimals", [1, 2, 4])
@pytest.mark.parametrize("apart", [0.3, 0.75, 1, 1.25, 5 / 3, 2, 2.5, 3])
def test_slices_between_neighbouring_planes_are_filled(tmp_path, volume, apart, decimals):
    planes = np.round(3 * np.arange(2.17, 9, apart), decimals) / 3
    filled = slices_of(tmp_path, volume, planes)
    assert filled == list(range(filled[0], filled[-1] + 1))
    reach = max(1, apart) / 2
    assert abs(filled[0] - (planes[0] - reach)) <= 1 and abs(filled[-1] - (planes[-1] + reach)) <= 1


def test_planes_half_way_between_slices_fill_as_many_slices(tmp_path, volume):
    assert slices_of(tmp_path, volume, (2.5, 3.5, 4.5)) == [2, 3, 4]
    assert slices_of(tmp_path, volume, (2, 4, 6)) == [1, 2, 3, 4, 5, 6]


def test_a_region_drawn_on_every_other_plane_has_no_holes(tmp_path, volume):
    assert slices_of(tmp_path, volume, (2.1, 4.1, 6.1), (5.1, 6.1, 7.1)) == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("k", [4.005, 4.015, 4.125, 3.995])
def test_contours_of_one_plane_belong_together_whatever_their_rounding(tmp_path, volume, k):
    outer, inner = square((1.5, 1.5), (9.5, 9.5), k - 1e-4), square((3.5, 3.5), (6.5, 6.5), k + 1e-4)
    beside = square((11.5, 1.5), (13.5, 3.5), k)
    mask = read_structure_set(write(tmp_path / "rs.dcm", [("ring", [outer, inner, beside])]), volume)["ring"]
    assert mask.count == 8 * 8 - 3 * 3 + 2 * 2


def test_sagittal_contours_are_read_as_well(tmp_path, volume):
    points = [(6, 2.5, 1.5), (6, 7.5, 1.5), (6, 7.5, 4.5), (6, 2.5, 4.5)]
    mask = read_structure_set(write(tmp_path / "rs.dcm", [("GTV", [lps(*points)])]), volume)["GTV"]
    assert mask.start == (6, 3, 2) and mask.array.shape == (1, 5, 3) and mask.array.all()


def test_regions_of_one_name_are_told_apart(tmp_path, volume):
    file = write(
        tmp_path / "rs.dcm", [("node", [square((1, 1), (4, 4), 2)]), ("node", [square((6, 6), (9, 9), 2)])]
    )
    assert list(read_structure_set(file, volume)) == ["node", "node 2"]


@pytest.mark.parametrize(
    ("contour", "kind", "why"),
    [
        (lps((1, 1, 1), (5, 1, 2), (5, 5, 4), (1, 5, 6)), "CLOSED_PLANAR", "oblique"),
        (square((100, 100), (110, 110), 4), "CLOSED_PLANAR", "another study"),
        (lps((1, 1, 1)), "POINT", "no closed contour"),
    ],
)
def test_what_cannot_be_a_mask_is_refused_with_the_reason(tmp_path, volume, contour, kind, why):
    file = write(tmp_path / "rs.dcm", [("GTV", [contour])], kind)
    with pytest.raises(VolumeError, match=why):
        read_structure_set(file, volume)


def test_a_damaged_file_is_refused(tmp_path, volume):
    file = write(tmp_path / "rs.dcm", [("GTV", [square((1, 1), (5, 5), 4)])])
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(VolumeError, match="damaged"):
        read_structure_set(file, volume)
