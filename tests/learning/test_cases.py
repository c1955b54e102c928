"""Cases as they lie on disk."""

import json

import nibabel
import numpy as np
import pytest
from dicom_series import write_series

from lib.learning.cases import CaseError, find_cases, hidden_images, missing_values, read_case, seeds_of
from lib.learning.studies import labelled_studies, studies_of
from lib.pet import VolumeError, read_volume

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])


def save(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 5, (8, 9, 10)).astype(np.float32)


@pytest.fixture
def mask():
    mask = np.zeros((8, 9, 10), np.uint8)
    mask[1:3, 1:3, 1:3] = mask[5:7, 5:7, 5:8] = 1
    return mask


def in_folders(folder, name, image, mask):
    save(folder / name / "PET_image.nii.gz", image)
    save(folder / name / "PET_mask.nii.gz", mask)


def as_nnunet(folder, name, image, mask):
    save(folder / "imagesTr" / f"{name}_0000.nii.gz", image)
    save(folder / "labelsTr" / f"{name}.nii.gz", mask)


def as_monai_label(folder, name, image, mask):
    save(folder / f"{name}.nii.gz", image)
    save(folder / "labels" / "final" / f"{name}.nii.gz", mask)


@pytest.mark.parametrize("layout", [in_folders, as_nnunet, as_monai_label])
def test_every_layout_gives_the_same_cases(layout, tmp_path, image, mask):
    for name in ("b.2", "a_1"):
        layout(tmp_path, name, image, mask)
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["a_1", "b.2"]
    case = read_case(cases[0], unit="SUVbw")
    assert case.volume.unit == "SUVbw"
    np.testing.assert_array_equal(case.volume.array, image)
    assert [lesion.count for lesion in case.objects] == [12, 8]
    np.testing.assert_array_equal(case.truth.to_grid(mask.shape), mask == 1)


def test_lesions_of_a_class_map_are_its_parts_and_classes_are_told(tmp_path, image, mask):
    label = mask + 2 * (np.indices(mask.shape)[0] == 7).astype(mask.dtype) * (mask == 0)
    as_monai_label(tmp_path, "case", image, label)
    files = find_cases(tmp_path)[0]
    case = read_case(files)
    assert sorted(lesion.count for lesion in case.objects)[:2] == [8, 12]
    assert "values 1, 2, and all count as lesions" in case.warnings[0]
    chosen = read_case(files, values=[1])
    assert ([lesion.count for lesion in chosen.objects], chosen.warnings) == ([12, 8], ())
    assert len(read_case(files, instances="values").objects) == 2


def test_a_series_in_a_studies_folder_is_a_case(tmp_path):
    stored = np.full((6, 8, 10), 100, np.int16)
    stored[2:4, 3:5, 4:6] = 900
    write_series(tmp_path / "series", stored)
    volume = read_volume(tmp_path / "series")
    save(
        tmp_path / "labels/final/series.nii.gz",
        (volume.array > volume.array.mean()).astype(np.uint8),
        volume.affine,
    )
    (files,) = find_cases(tmp_path)
    assert files.name == "series" and files.image.is_dir()
    assert [lesion.count for lesion in read_case(files).objects] == [8]


def test_a_folder_may_hold_several_masks(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, mask)
    save(tmp_path / "case" / "organs.nii.gz", 3 * mask)
    assert read_case(find_cases(tmp_path, "organs.nii.gz")[0]).values == (3, 3)
    with pytest.raises(CaseError, match=r"NAME/none\.nii"):
        find_cases(tmp_path, "none.nii")


def test_an_image_that_nobody_outlined_is_no_case(tmp_path, image, mask):
    as_monai_label(tmp_path, "done", image, mask)
    save(tmp_path / "open.nii.gz", image)
    assert [case.name for case in find_cases(tmp_path)] == ["done"]


def test_images_of_one_name_are_one_case_the_one_that_the_server_shows(tmp_path, image, mask):
    as_monai_label(tmp_path, "a", image, mask)
    (tmp_path / "a").mkdir()
    for name in ("a.NII", "a.nii", "a.nrrd", "b.nii", "b.nii.gz"):
        (tmp_path / name).touch()
    assert [files.image.name for files in find_cases(tmp_path)] == ["a.nrrd"]
    assert [study.image.name for study in labelled_studies(tmp_path, None)] == ["a.nrrd"]
    assert [path.name for _, path, _ in studies_of(tmp_path)] == ["a.nrrd", "b.nii.gz"]
    assert {path.name for path in hidden_images(tmp_path)} == {"a", "a.NII", "a.nii", "a.nii.gz"}
    (tmp_path / "a.nrrd").unlink()
    (tmp_path / "a.nii.gz").unlink()
    (tmp_path / "a.nii").unlink()
    assert find_cases(tmp_path)[0].image.name == "a"


@pytest.fixture
def two_channels(tmp_path, image, mask):
    """nnU-Net's layout with CT first, and a way to name the channels."""
    as_nnunet(tmp_path, "case", image * 0, mask)
    save(tmp_path / "imagesTr" / "case_0001.nii.gz", image)

    def named(*names):
        channels = {str(number): name for number, name in enumerate(names)}
        (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": channels}))
        return tmp_path

    return named


@pytest.mark.parametrize("name", ["PET (SUV)", "FDG-PET", "SUVbw", "pt", "PET/CT"])
def test_the_pet_channel_of_nnunet_is_the_one_that_says_so(two_channels, image, name):
    (files,) = find_cases(two_channels("CT", name))
    assert files.channel == 1
    np.testing.assert_array_equal(read_case(files).volume.array, image)


@pytest.mark.parametrize(
    ("names", "said"),
    [(["CT", "CT"], "none of them"), (["PET", "SUV"], "2 of them"), (["CT", "carpet"], "none of them")],
)
def test_of_several_channels_none_is_guessed(two_channels, names, said):
    with pytest.raises(CaseError, match=f"2 channels, and dataset.json calls {said}"):
        find_cases(two_channels(*names))


def test_several_channels_that_nobody_names_are_refused_in_training_too(two_channels):
    folder = two_channels()
    (folder / "dataset.json").unlink()
    with pytest.raises(CaseError, match="2 channels"):
        labelled_studies(folder, None)


def test_the_only_channel_is_taken_whatever_its_name(tmp_path, image, mask):
    as_nnunet(tmp_path, "case_0001", image, mask)
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}}))
    (files,) = find_cases(tmp_path)
    assert (files.name, files.channel) == ("case_0001", 0)


def test_values_of_an_instance_map_are_lesions_of_their_own(tmp_path, image):
    instances = np.zeros(image.shape, np.uint8)
    instances[1:3, 1:3, 1:3], instances[3:5, 1:3, 1:3], instances[6, 6, 6] = 1, 2, 9
    in_folders(tmp_path, "case", image, instances)
    files = find_cases(tmp_path)[0]
    assert [lesion.count for lesion in read_case(files).objects] == [8, 8, 1]
    assert read_case(files, values=[2, 9]).values == (2, 9)
    assert [lesion.count for lesion in read_case(files, values=[2, 9]).objects] == [8, 1]
    assert [lesion.count for lesion in read_case(files, values=[2]).objects] == [8]


def test_a_negative_study_is_a_case_without_lesions(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, 0 * mask)
    case = read_case(find_cases(tmp_path)[0])
    assert case.objects == ()
    assert not case.truth.any()


def test_a_body_belongs_to_the_seed_and_the_name_alone(tmp_path, image, mask):
    for name in ("a", "b"):
        in_folders(tmp_path, name, image, mask)
    a, b = find_cases(tmp_path)
    once, again, other = (read_case(a, embed=1), read_case(a, embed=1), read_case(a, embed=2))
    assert once.volume.digest == again.volume.digest
    assert once.volume.digest != other.volume.digest
    assert once.volume.digest != read_case(b, embed=1).volume.digest
    assert once.truth.count == mask.sum()
    assert len(once.objects) == 2


def test_what_is_no_folder_of_cases_is_refused(tmp_path, image):
    with pytest.raises(CaseError, match="There is no folder"):
        find_cases(tmp_path / "none")
    save(tmp_path / "lonely.nii.gz", image)
    with pytest.raises(CaseError, match="no case"):
        find_cases(tmp_path)


def test_a_description_that_is_none_is_refused(tmp_path, image, mask):
    as_nnunet(tmp_path, "case", image, mask)
    (tmp_path / "dataset.json").write_text("[1]")
    with pytest.raises(CaseError, match=r"dataset\.json"):
        find_cases(tmp_path)


def test_a_mask_of_another_place_is_refused(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, mask)
    elsewhere = AFFINE.copy()
    elsewhere[:3, 3] = 1000
    save(tmp_path / "case" / "PET_mask.nii.gz", mask, elsewhere)
    with pytest.raises(VolumeError, match="do not overlap"):
        read_case(find_cases(tmp_path)[0])


def moved_by(voxels):
    affine = AFFINE.copy()
    affine[0, 3] += 4 * voxels
    return affine


def test_a_mask_on_the_image_s_grid_needs_no_warning(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, mask)
    assert read_case(find_cases(tmp_path)[0]).warnings == ()


@pytest.mark.parametrize(
    ("kept", "affine", "said"),
    [
        (np.s_[:-2], AFFINE, ["another grid", "covers 75 % of the image"]),
        (np.s_[:], moved_by(2), ["another grid", "covers 75 % of the image"]),
        (np.s_[1:], AFFINE, ["covers 87.5 % of the image"]),
        (np.s_[:], moved_by(-2), ["covers 75 % of the image", "20 % of it lies outside"]),
    ],
)
def test_a_mask_on_another_grid_is_taken_with_a_warning(tmp_path, image, mask, kept, affine, said):
    in_folders(tmp_path, "case", image, mask)
    save(tmp_path / "case" / "PET_mask.nii.gz", mask[kept], affine)
    (warning,) = read_case(find_cases(tmp_path)[0]).warnings
    assert all(text in warning for text in said)


def test_a_larger_grid_that_holds_the_image_is_said_to_be_another_and_no_more(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, mask)
    save(tmp_path / "case" / "PET_mask.nii.gz", np.pad(mask, ((1, 1), (0, 0), (0, 0))), moved_by(-1))
    case = read_case(find_cases(tmp_path)[0])
    assert case.warnings == (
        "The mask lies on another grid than the image; it was resampled (nearest neighbour).",
    )
    np.testing.assert_array_equal(case.truth.to_grid(mask.shape), mask == 1)


def test_a_mask_that_lies_mostly_outside_is_refused(tmp_path, image, mask):
    in_folders(tmp_path, "case", image, mask)
    save(tmp_path / "case" / "PET_mask.nii.gz", mask, moved_by(3))
    with pytest.raises(CaseError, match="60% of the mask lies outside"):
        read_case(find_cases(tmp_path)[0])


def test_values_that_no_mask_holds_are_found_before_anything_runs(tmp_path, image, mask):
    for name, value in (("a", 2), ("b", 7), ("c", 9)):
        in_folders(tmp_path, name, image, value * mask)
    (tmp_path / "c" / "PET_mask.nii.gz").write_bytes(b"no mask")
    cases = find_cases(tmp_path)
    assert missing_values(cases, [2, 7]) == []
    assert missing_values(cases, [99, 7, 9]) == [9, 99]
    assert missing_values(cases[2:], [2]) == []


@pytest.mark.parametrize(
    ("image_file", "mask_file", "organ_file"),
    [
        ("a/PET_image.nii.gz", "a/PET_mask.nii.gz", "a/organs.nii.gz"),
        ("a.nii.gz", "labels/final/a.nii.gz", "organs/a/brain.nii.gz"),
    ],
)
def test_the_organ_map_beside_a_case_leaves_normal_uptake_out_of_its_seeds(
    image_file, mask_file, organ_file, tmp_path
):
    values = np.ones((24, 24, 40), np.float32)
    values[11:14, 11:14, 9:12] = values[11:14, 11:14, 29:32] = 20
    organs, mask = np.zeros((2, *values.shape), np.uint8)
    organs[:, :, :20], mask[11:14, 11:14, 29:32] = 90, 1  # 90 is the brain in TotalSegmentator's table
    for file, array in ((image_file, values), (mask_file, mask), (organ_file, organs)):
        save(tmp_path / file, array)
    sidecar = (tmp_path / image_file).with_name(image_file.split("/")[-1].replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"TracerName": "FDG"}))
    (files,) = find_cases(tmp_path)
    assert len(seeds_of(read_case(files, "SUVbw"))) == 2
    (seed,) = seeds_of(read_case(files, "SUVbw", organs=True))
    assert seed.index[2] > 20
    assert read_case(files, "SUVbw", embed=0, organs=True).organs is None  # it fits the crop alone
