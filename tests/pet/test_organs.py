"""Organ maps as TotalSegmentator and others write them, and the sites of lesions in a real torso."""

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_seg import segmentation
from dicom_series import write_series

from infer_tasks.organ_maps import OrganMaps
from lib.pet import Crop, Volume, VolumeError, write_mask
from lib.pet.organ_map import OrganMap, organ_table, organ_text, site_of
from lib.pet.organs import read_organ_map

# A PET grid over the torso: LPS axes, other voxels, another origin.
PET = np.array([[-4.07, 0, 0, 190], [0, -4.07, 0, 320], [0, 0, 3, 90], [0, 0, 0, 1.0]])
PET_SHAPE = (100, 90, 120)
AFFINE = np.diag([4.0, 4, 4, 1])
BOX = Volume(np.zeros((20, 20, 20), np.float32), AFFINE, "SUVbw")


@pytest.fixture(scope="module")
def torso(shared):
    path = shared / "data" / "torso-anatomy" / "organs.nii.gz"
    if not path.is_file():
        pytest.skip("no ../shared/data/torso-anatomy")
    return path


@pytest.fixture(scope="module")
def pet():
    return Volume(np.zeros(PET_SHAPE, np.float32), PET, "SUVbw")


@pytest.fixture(scope="module")
def organs(torso, pet):
    return read_organ_map(torso, pet)


def ball(volume, centre, radius_mm):
    """A lesion around a place in mm."""
    places = np.indices(volume.shape).reshape(3, -1).T @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inside = ((places - centre) ** 2).sum(1) <= radius_mm**2
    return Crop.from_grid(inside.reshape(volume.shape))


def middle(torso, label):
    """The place, RAS mm, of the voxel of an organ that is nearest to its centroid."""
    image = nibabel.load(torso)
    voxels = np.argwhere(np.asarray(image.dataobj) == label)
    voxel = voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()]
    return image.affine[:3, :3] @ voxel + image.affine[:3, 3]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (14, "in the lower lobe of the right lung"),
        (10, "in the upper lobe of the left lung"),
        (5, "in the liver (right)"),
        (3, "in the left kidney"),
        (29, "in the L3 vertebra"),
        (21, "in the urinary bladder"),
        (77, "in the left hip bone"),
    ],
)
def test_a_lesion_planted_in_an_organ_is_named_after_it(organs, pet, torso, label, text):
    site = organs.site(ball(pet, middle(torso, label), 6))
    assert site.text == text
    assert site.relation == "in"
    assert site.name == organ_table()[label][0]


def test_a_lesion_beside_the_bladder_is_named_right(organs, pet):
    bladder = organs.mask("urinary_bladder")
    # Above the bladder's top, in what is no organ of the map, nearer to it than to anything else.
    found = 0
    for direction in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)):
        along = [int(np.sign(part)) for part in direction]
        edge = np.argwhere(bladder.array) + bladder.start
        place = edge[(edge @ along).argmax()] + np.multiply(along, 2)
        lesion = Crop(tuple(place), np.ones((1, 1, 1), np.bool_))
        if organs.labels[tuple(place)] == 0:
            site = organs.site(lesion)
            assert (site.name, site.relation) == ("urinary_bladder", "beside")
            assert site.text.startswith("beside the urinary bladder")
            found += 1
    assert found


def test_a_lesion_that_reaches_into_an_organ_a_little_is_beside_it(organs, pet):
    bladder = organs.mask("urinary_bladder")
    top = np.argwhere(bladder.array) + bladder.start
    place = top[top[:, 2].argmax()]
    lesion = Crop(tuple(place), np.ones((1, 1, 5), np.bool_))
    assert np.count_nonzero(organs.labels[lesion.slices] == 21) == 1
    assert organs.site(lesion).relation == "beside"


def test_the_side_is_the_patient_s_whatever_the_grid(torso):
    image = nibabel.load(torso)
    for signs in ((1, 1, 1), (-1, 1, 1), (-1, -1, -1)):
        flip = np.diag([*signs, 1.0])
        flip[:3, 3] = [(size - 1) if sign < 0 else 0 for sign, size in zip(signs, image.shape, strict=True)]
        volume = Volume(np.zeros(image.shape, np.float32), image.affine @ flip, "SUVbw")
        organs = read_organ_map(torso, volume)
        assert organs.site(organs.mask("liver")).side == "right"
        assert organs.site(organs.mask("spleen")).side == "left"
        assert organs.site(organs.mask("vertebrae_L4")).side is None


def test_volumes_on_the_pet_s_grid_are_those_of_the_map(organs, pet, torso):
    image = nibabel.load(torso)
    labels = np.asarray(image.dataobj)
    for label in (1, 2, 5, 21):
        expected = np.count_nonzero(labels == label) * 0.027
        assert organs.mask(organ_table()[label][0]).count * pet.voxel_ml == pytest.approx(expected, rel=0.03)


def test_nothing_near_has_no_site(organs, pet):
    corner = Crop((0, 0, 0), np.ones((2, 2, 2), np.bool_))
    assert organs.site(corner) is None
    assert site_of(organs, corner) == "no organ of the map within 15 mm"
    assert organs.site(Crop.empty()) is None
    assert site_of(None, corner) == "no organ map: sites are not named"


def test_the_nearest_organ_wins_and_none_beyond_fifteen_millimetres():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[:, :, 2], labels[:, :, 12] = 1, 2
    organs = OrganMap(labels, {1: "near", 2: "far"}, AFFINE)
    at = [organs.site(Crop((9, 9, k), np.ones((1, 1, 1), np.bool_))) for k in (2, 5, 7, 17)]
    assert [(site and site.name, site and site.relation) for site in at] == [
        ("near", "in"),
        ("near", "beside"),  # 12 mm from one, 28 mm from the other
        (None, None),  # 20 mm from both
        (None, None),
    ]


def test_a_mask_is_the_union_of_the_organs_named():
    labels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    organs = OrganMap(
        labels, {1: "kidney_left", 2: "kidney_right", 3: "kidney_cyst_left", 4: "liver"}, AFFINE
    )
    assert organs.mask("kidney_left", "liver").count == 2
    assert organs.mask("kidney_*").count == 3
    assert organs.mask("kidney").count == 0


def test_names_become_words():
    assert organ_text("lung_middle_lobe_right") == "middle lobe of the right lung"
    assert organ_text("rib_left_2") == "left 2nd rib"
    assert organ_text("parotid_gland_left") == "left parotid gland"
    assert organ_text("Uterus") == "Uterus"
    assert len(organ_table()) == 117
    assert all(text for _, text in organ_table().values())


class TestNames:
    """Where the names of a multi-label file come from."""

    @pytest.fixture
    def file(self, tmp_path):
        labels = np.zeros((20, 20, 20), np.uint8)
        labels[5:9, 5:9, 5:9] = 5
        write_mask(tmp_path / "map.nii.gz", labels, AFFINE)
        return tmp_path / "map.nii.gz"

    def test_a_file_that_does_not_name_them_is_taken_as_totalsegmentator_s(self, file):
        organs = read_organ_map(file, BOX)
        assert organs.names == {5: "liver"}
        assert "TotalSegmentator v2" in organs.warnings[0]

    def test_a_table_beside_it_names_them(self, file):
        (file.parent / "labels.csv").write_text("id,name\n5,pancreas\n")
        assert read_organ_map(file, BOX).names == {5: "pancreas"}
        (file.parent / "map.csv").write_text("5, spleen, red\n")
        organs = read_organ_map(file, BOX)
        assert (organs.names, organs.warnings) == ({5: "spleen"}, ())

    def test_the_file_s_own_names_win_over_a_table_beside_it_but_not_over_one_given(self, file):
        image = nibabel.load(file)
        xml = '<CaretExtension><Label Key="5" Red="1.0" Alpha="1"><![CDATA[heart]]></Label></CaretExtension>'
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode()))
        nibabel.save(image, file)
        (file.parent / "labels.csv").write_text("5,pancreas\n")
        assert read_organ_map(file, BOX).names == {5: "heart"}
        assert read_organ_map(file, BOX, file.parent / "labels.csv").names == {5: "pancreas"}

    def test_labels_without_a_name_are_said(self, file):
        (file.parent / "labels.csv").write_text("6,pancreas\n")
        organs = read_organ_map(file, BOX)
        assert organs.names == {} and "no names for its labels 5" in organs.warnings[0]
        assert organs.site(Crop((6, 6, 6), np.ones((1, 1, 1), np.bool_))).text == "in the label 5"

    @pytest.mark.parametrize("content", [b"", b"id,name\n", b"liver,5\nspleen,6\n", b"5\n", b"\xff\xfe5,x\n"])
    def test_another_table_is_refused(self, file, content):
        (file.parent / "t.csv").write_bytes(content)
        with pytest.raises(VolumeError, match=r"t\.csv is no table of labels"):
            read_organ_map(file, BOX, file.parent / "t.csv")

    def test_a_table_that_is_not_there_is_refused(self, file):
        with pytest.raises(VolumeError, match=r"no table of labels u\.csv"):
            read_organ_map(file, BOX, file.parent / "u.csv")


def test_a_folder_has_a_file_for_each_organ(tmp_path):
    for name, start in (("liver", 2), ("kidney_left", 10), ("aorta", 40)):
        organ = np.zeros((40, 40, 60), np.uint8)
        organ[start : start + 6, 10:16, 10:16] = 1
        affine = np.diag([2.0, 2, 2, 1])
        affine[0, 3] = 500 if name == "aorta" else 0  # beyond the PET's field of view
        write_mask(tmp_path / f"{name}.nii.gz", organ, affine)
    organs = read_organ_map(tmp_path, BOX)
    assert sorted(organs.names.values()) == ["kidney_left", "liver"]
    assert organs.mask("liver").start == (1, 5, 5) and organs.mask("liver").count == 27


def test_a_dicom_seg_is_an_organ_map_too(tmp_path):
    labels, affine = segmentation(tmp_path)
    volume = Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    for path in (tmp_path / "seg.dcm", tmp_path):
        organs = read_organ_map(path, volume)
        assert organs.names == {1: "liver", 2: "kidney_left"}
        assert np.array_equal(organs.labels, labels)


def test_a_seg_of_another_patient_is_no_organ_map_of_a_dicom_study(tmp_path):
    (tmp_path / "map").mkdir()
    labels, affine = segmentation(tmp_path / "map")
    volume = Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    write_series(tmp_path / "study", np.ones((4, 4, 3), np.int16))
    (warning,) = read_organ_map(tmp_path / "map", volume, study=tmp_path / "study").warnings
    assert "another frame of reference" in warning  # as of a CT that was registered
    seg = pydicom.dcmread(tmp_path / "map/seg.dcm")
    seg.PatientID = "SOMEBODY-1"
    seg.save_as(tmp_path / "map/seg.dcm")
    with pytest.raises(VolumeError, match="another patient") as refused:
        read_organ_map(tmp_path / "map", volume, study=tmp_path / "study")
    assert "SOMEBODY" not in str(refused.value)
    (tmp_path / "organs").mkdir()
    (tmp_path / "map").rename(tmp_path / "organs/study")
    assert OrganMaps(tmp_path).get("study", volume) is None


@pytest.mark.parametrize(
    "name", ["absent.nii.gz", "text.txt", "cut.dcm", "empty", "zeros.nii.gz", "far.nii.gz"]
)
def test_what_is_no_organ_map_of_this_study_is_refused(tmp_path, name):
    (tmp_path / "text.txt").write_text("no image")
    segmentation(tmp_path)
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "seg.dcm").read_bytes()[:900])
    (tmp_path / "empty").mkdir()
    labels = np.zeros((5, 5, 5), np.uint8)
    write_mask(tmp_path / "zeros.nii.gz", labels, AFFINE)
    labels[2, 2, 2] = 1
    far = AFFINE.copy()
    far[0, 3] = 900
    write_mask(tmp_path / "far.nii.gz", labels, far)
    with pytest.raises(VolumeError) as error:
        read_organ_map(tmp_path / name, BOX)
    expected = {"absent": "There is no", "zeros": "holds no organ", "far": "do not overlap"}
    assert expected.get(name.partition(".")[0], "is no organ map") in str(error.value)


def test_two_segs_in_a_folder_are_refused(tmp_path):
    segmentation(tmp_path)
    (tmp_path / "again.dcm").write_bytes((tmp_path / "seg.dcm").read_bytes())
    with pytest.raises(VolumeError, match="not 2 of them"):
        read_organ_map(tmp_path, BOX)
