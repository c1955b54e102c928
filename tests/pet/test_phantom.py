"""Phantoms as a whole: seeded, varied, with the difficulty that is claimed."""

import numpy as np
import pytest
from scipy import ndimage

from lib.pet import Crop, VolumeError, make_phantom, quantify
from lib.pet.organ_map import OrganMap
from lib.pet.phantom import KINDS, SCANNER_VOXELS_MM, Lesion
from lib.pet.phantom.shown import as_shown
from lib.pet.references import liver_reference

TRACERS = ("FDG", "PSMA", "DOTATATE")
SEEDS = range(6)
FIELD, VOXEL = (64, 48, 108), (6, 6, 6)  # a whole trunk, coarse


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed, tracer=TRACERS[seed % 3]) for seed in SEEDS]


@pytest.fixture(scope="module")
def whole():
    """A whole body of each sex."""
    return {sex: make_phantom(4, (75, 60, 260), (8, 8, 8), sex=sex, arms="down") for sex in "FM"}


def middle(phantom, name):
    """RAS mm of an organ's centre."""
    number = next(number for number, one in phantom.names.items() if one == name)
    index = np.argwhere(phantom.organs == number).mean(axis=0)
    return (phantom.volume.affine @ [*index, 1])[:3]


def test_a_seed_gives_the_same_bytes(phantoms):
    again = make_phantom(1, tracer="PSMA")
    assert again.volume.digest == phantoms[1].volume.digest
    for name in ("labels", "lesions", "organs"):
        assert np.array_equal(getattr(again, name), getattr(phantoms[1], name))
    assert again.findings == phantoms[1].findings


def test_seeds_give_different_bodies(phantoms):
    assert len({phantom.volume.digest for phantom in phantoms}) == len(SEEDS)
    assert len({phantom.organs.tobytes() for phantom in phantoms}) == len(SEEDS)
    assert len({phantom.patient for phantom in phantoms}) == len(SEEDS)


def test_another_tracer_shows_the_same_body_and_lesions(phantoms):
    other = make_phantom(0, tracer="DOTATATE")
    assert other.patient == phantoms[0].patient
    assert np.array_equal(other.labels, phantoms[0].labels)
    assert other.volume.digest != phantoms[0].volume.digest


def test_every_map_has_the_grid_and_type_promised(phantoms):
    for phantom in phantoms:
        shapes = {phantom.labels.shape, phantom.lesions.shape, phantom.organs.shape, phantom.volume.shape}
        assert shapes == {(96, 96, 160)}
        assert (phantom.labels.dtype, phantom.lesions.dtype) == (np.uint8, np.uint16)
        assert phantom.volume.unit == "SUVbw" and phantom.volume.spacing == (4, 4, 4)
        assert phantom.volume.array.min() >= 0
        assert set(np.unique(phantom.labels)) == {0, *phantom.names}
        assert {phantom.names[1], phantom.names[255]} == {"liver", "lesion"}
        assert np.array_equal(phantom.labels == 255, phantom.lesions > 0)
        assert np.array_equal(phantom.organs[phantom.lesions == 0], phantom.labels[phantom.lesions == 0])


def test_both_sexes_have_more_than_20_organs_and_their_own(whole):
    his, hers = (set(whole[sex].names.values()) for sex in "MF")
    for names in (his, hers):
        soft = {name for name in names if not name.startswith(("vertebrae", "rib"))}
        assert len(soft) >= 40
    assert {"prostate", "testis_left"} <= his - hers
    assert {"uterus", "ovary_left", "breast_right"} <= hers - his


def test_organs_lie_where_people_have_them(whole):
    for phantom in whole.values():
        for right in ("liver", "gallbladder", "kidney_right", "rib_right_5", "lung_middle_lobe_right"):
            assert middle(phantom, right)[0] > 10
        for left in ("spleen", "kidney_left", "stomach", "heart", "femur_left"):
            assert middle(phantom, left)[0] < -10
        ladder = ["tibia_left", "urinary_bladder", "kidney_left", "liver", "heart", "thyroid_gland", "brain"]
        heights = [middle(phantom, name)[2] for name in ladder]
        assert heights == sorted(heights)
        assert middle(phantom, "heart")[1] > middle(phantom, "vertebrae_T8")[1]
        assert middle(phantom, "vertebrae_L3")[1] > middle(phantom, "autochthon_left")[1]


def test_organs_have_volumes_as_people_have_them():
    phantom = make_phantom(2, (75, 60, 140), (6, 6, 6), height_m=1.75)
    expected = {"liver": 1500, "spleen": 180, "kidney_left": 150, "heart": 600, "urinary_bladder": 130}
    for name, volume in expected.items():
        number = next(number for number, one in phantom.names.items() if one == name)
        found = np.count_nonzero(phantom.organs == number) * phantom.volume.voxel_ml
        assert volume / 2 < found < 2 * volume, name


def test_size_and_posture_are_as_asked_for():
    shape, spacing = (75, 60, 260), (8, 8, 8)
    thin, fat = (
        make_phantom(1, shape, spacing, height_m=1.7, weight_kg=kg, arms="up", lesions=0) for kg in (52, 115)
    )
    tall = make_phantom(1, shape, spacing, height_m=2.0, weight_kg=90, arms="down", lesions=0)

    def body(phantom):
        return phantom.volume.array > 0.1

    assert np.count_nonzero(body(fat)) > 1.3 * np.count_nonzero(body(thin))
    assert middle(tall, "brain")[2] > middle(thin, "brain")[2] + 200
    arm = [name for name in tall.names.values() if name == "humerus_left"]
    assert arm and middle(tall, "humerus_left")[2] < middle(tall, "thyroid_gland")[2]
    assert middle(thin, "humerus_left")[2] > middle(thin, "thyroid_gland")[2]


def test_the_liver_s_coefficient_of_variation_is_8_to_15_per_cent(phantoms):
    for phantom in phantoms:
        liver = ndimage.binary_erosion(phantom.labels == 1, iterations=2)
        values = phantom.volume.array[liver]
        assert values.std() / values.mean() == pytest.approx(phantom.liver_cv, rel=0.1)
        organs = OrganMap(phantom.organs, phantom.names, phantom.volume.affine)
        sphere = liver_reference(phantom.volume, organs, [Crop.from_grid(phantom.lesions > 0)])
        for reference in (values.std() / values.mean(), sphere.sd / sphere.mean):
            assert 0.08 <= reference <= 0.15


def test_the_liver_s_noise_is_as_stated_on_any_scanner_s_voxels():
    for spacing in SCANNER_VOXELS_MM[:3]:
        shape = tuple(round(length / step) for length, step in zip((340, 260, 300), spacing, strict=True))
        phantom = make_phantom(8, shape, spacing, lesions=0)
        liver = ndimage.binary_erosion(phantom.labels == 1, iterations=round(10 / np.mean(spacing)))
        values = phantom.volume.array[liver]
        assert 0.08 <= values.std() / values.mean() <= 0.15


def test_noise_of_neighbours_is_correlated_and_that_of_others_is_not(phantoms):
    for phantom in phantoms:
        i, j, k = np.rint(np.argwhere(phantom.labels == 1).mean(axis=0)).astype(int)
        noise = phantom.volume.array[i - 8 : i + 8, j - 8 : j + 8, k - 8 : k + 8]
        inside = phantom.labels[i - 8 : i + 8, j - 8 : j + 8, k - 8 : k + 8] == 1
        noise = np.where(inside, noise - noise[inside].mean(), 0)

        def correlation(shift, noise=noise):
            return np.sum(noise[shift:] * noise[:-shift]) / np.sum(noise**2)

        assert correlation(1) > 0.25
        assert abs(correlation(6)) < 0.25


def test_the_blur_is_what_is_stated_and_4_to_7_mm():
    """A small lesion, less the same image without it: its variance is the ball's and the blur's together."""
    field = {"shape": (150, 100, 180), "spacing": (2, 2, 2), "kinds": ["bone"], "largest_mm": 9}
    for seed in (1, 2):
        with_one, without = (make_phantom(seed, lesions=count, **field) for count in (1, 0))
        assert 4 <= with_one.fwhm_mm == without.fwhm_mm <= 7
        difference = with_one.volume.array - without.volume.array
        middle = np.argwhere(with_one.lesions == 1).mean(axis=0)
        offsets = 2 * (np.indices(difference.shape) - middle.reshape(3, 1, 1, 1))
        near = np.linalg.norm(offsets, axis=0) < 11
        weights = difference[near]
        centre = np.average(offsets[:, near], axis=1, weights=weights)
        variance = np.average((offsets[:, near] - centre[:, None]) ** 2, axis=1, weights=weights).mean()
        ball = (
            0.92 * with_one.findings[0].diameter_mm
        ) ** 2 / 20  # its half axes are 85 to 100 % of the longest
        assert 2.355 * np.sqrt(variance - ball) == pytest.approx(with_one.fwhm_mm, rel=0.15)


def test_lesions_are_3_to_8_and_separate_the_largest_first(phantoms):
    for phantom in phantoms:
        count = len(phantom.findings)
        assert 3 <= count <= 8 and phantom.lesions.max() == count
        assert ndimage.label(phantom.lesions > 0, np.ones((3, 3, 3)))[1] == count
        volumes = np.bincount(phantom.lesions.ravel())[1:] * phantom.volume.voxel_ml
        assert list(volumes) == sorted(volumes, reverse=True)
        assert volumes == pytest.approx([one.volume_ml for one in phantom.findings])
        assert [one.number for one in phantom.findings] == list(range(1, count + 1))


def test_lesions_are_6_to_80_mm_long_and_1_5_to_10_times_their_background():
    findings = [one for seed in range(6) for one in make_phantom(seed, FIELD, VOXEL, lesions=18).findings]
    longest = [one.diameter_mm for one in findings]
    assert 6 <= min(longest) < 9 and 55 < max(longest) <= 80
    contrasts = [one.contrast for one in findings]
    assert 1.5 <= min(contrasts) < 2.5 and 8 < max(contrasts) <= 10


def test_a_lesion_s_image_shows_the_contrast_stated():
    phantom = make_phantom(3, (90, 70, 120), (4, 4, 4), kinds=["sphere"], lesions=8)
    clean = [one for one in phantom.findings if one.diameter_mm > 25]
    assert clean
    for one in clean:
        numbers = quantify(phantom.volume, Crop.from_grid(phantom.lesions == one.number))
        assert numbers.mean == pytest.approx(one.suv, rel=0.25)


def test_a_lesion_s_contrast_in_the_image_is_over_the_body_around_it_and_nothing_else():
    body = np.zeros((30, 30, 30), dtype=bool)
    body[:, :, 5:] = True
    image, instances = body.astype(np.float32), np.zeros(body.shape, dtype=np.uint16)
    for number, at, level in ((1, 10, 4.0), (2, 15, 9.0)):
        instances[12:15, 12:15, at : at + 3], image[12:15, 12:15, at : at + 3] = number, level
    image[11, 13, 11] = 50  # spills over
    painted = [Lesion(number, "necrotic", "", 9, 1, 4, 8, core) for number, core in ((1, 10.0), (2, 9.9))]
    spacing = np.full(3, 4.0)
    one, two = as_shown(painted, instances, image, body, spacing, fwhm_mm=5.0)
    assert (one.image_contrast, two.image_contrast) == pytest.approx((4, 9))
    assert (one.core_resolved, two.core_resolved) == (True, False)
    (alone,) = as_shown(painted[:1], instances % 2, image, instances == 1, spacing, fwhm_mm=5.0)
    assert alone.image_contrast is None


def test_every_kind_of_lesion_occurs():
    findings = [one for seed in range(4) for one in make_phantom(seed, FIELD, VOXEL, lesions=18).findings]
    assert {one.kind for one in findings} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "organ"),
    [("beside_bladder", "urinary_bladder"), ("beside_heart", "heart"), ("beside_kidney", "kidney_*")],
)
def test_a_lesion_beside_an_organ_is_near_it_and_not_in_it(kind, organ):
    phantom = make_phantom(5, lesions=2, kinds=[kind])
    near = OrganMap(phantom.organs, phantom.names, phantom.volume.affine).mask(organ)
    distance = ndimage.distance_transform_edt(~near.to_grid(phantom.organs.shape), sampling=4)
    for one in phantom.findings:
        assert one.kind == kind
        assert 0 < distance[phantom.lesions == one.number].min() <= 14


def test_bone_lesions_are_in_bones():
    phantom = make_phantom(6, lesions=5, kinds=["bone"])
    organs = OrganMap(phantom.organs, phantom.names, phantom.volume.affine)
    bones = organs.mask(
        "vertebrae_*", "hip_*", "sacrum", "femur_*", "rib_*", "sternum", "scapula_*", "humerus_*"
    )
    grid = bones.to_grid(phantom.organs.shape)
    for number in range(1, 6):
        assert grid[phantom.lesions == number].mean() > 0.4


def test_a_necrotic_lesion_is_cold_in_its_middle():
    phantom = make_phantom(2, lesions=6, kinds=["necrotic"])
    large = [one for one in phantom.findings if one.diameter_mm > 40]
    smooth = ndimage.uniform_filter(phantom.volume.array, 2)
    for one in large:
        lesion = phantom.lesions == one.number
        depth = ndimage.distance_transform_edt(lesion, sampling=4)
        assert smooth[depth >= 8].min() < 0.75 * one.suv
    assert large, "another seed is needed"


def test_many_lesions_find_room():
    assert len(make_phantom(1, (80, 60, 180), (6, 6, 6), lesions=200).findings) == 200


def test_a_field_of_a_single_voxel_is_an_image_too():
    assert np.isfinite(make_phantom(0, (1, 1, 1), lesions=0).volume.array).all()


def test_a_very_large_target_can_be_asked_for():
    phantom = make_phantom(1, (90, 70, 220), (6, 6, 6), largest_mm=265)
    filled = np.argwhere(phantom.lesions == 1)
    assert phantom.findings[0].kind == "giant"
    assert (np.ptp(filled, axis=0) + 1).max() * 6 == pytest.approx(265, abs=25)
    assert phantom.findings[0].volume_ml > 800


def test_a_field_at_odd_angles_shows_the_same_body_in_any_order_of_axes():
    straight = make_phantom(4, lesions=0)
    shapes = set()
    for seed in range(5):
        odd = make_phantom(seed, (64, 52, 100), (6, 6, 6), lesions=0, orientation="odd")
        shapes.add(odd.volume.shape)
        directions = odd.volume.affine[:3, :3] / odd.volume.spacing
        assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-9)
        assert 0.001 < np.sort(np.abs(directions), axis=None)[:6].max() < 0.35
        assert sorted(odd.volume.shape) == [52, 64, 100]
        assert middle(odd, "liver")[0] > 10 > -10 > middle(odd, "spleen")[0]
        assert middle(odd, "urinary_bladder")[2] < middle(odd, "heart")[2]
    assert len(shapes) > 1
    assert np.allclose(np.abs(straight.volume.affine[:3, :3]), 4 * np.eye(3))


def test_a_study_may_be_negative():
    phantom = make_phantom(0, lesions=0)
    assert phantom.findings == () and not phantom.lesions.any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seed": -1}, "seed must be 0 or more"),
        ({"seed": 1 << 63}, "below 2"),
        ({"shape": (10, 10, 10), "lesions": 8}, "of 8 lesions found room in 150 tries"),
        ({"shape": (10, 10, 10), "lesions": 20}, "in 450 tries"),
        ({"shape": (10, 10)}, "three numbers of voxels"),
        ({"shape": (4000, 4000, 4000)}, "500 million voxels"),
        ({"shape": (10**400, 4, 4)}, "500 million voxels"),
        ({"spacing": (4, 4, 0)}, "spacings of 0.5 to 20 mm"),
        ({"spacing": (4, float("nan"), 4)}, "spacings of 0.5 to 20 mm"),
        ({"kinds": ["oval"]}, "of the kinds sphere"),
        ({"kinds": []}, "of the kinds sphere"),
        ({"lesions": -1}, "0 to 500 lesions"),
        ({"largest_mm": 3}, "6 to 400 mm"),
        ({"sex": "X"}, "sex must be F or M"),
        ({"height_m": 175}, "height must be 1.2 to 2.2 m"),
        ({"height_m": 0}, "height must be 1.2 to 2.2 m"),
        ({"height_m": 1.75, "weight_kg": 300}, "42.9 to 153.1 kg at 1.75 m, a body mass index"),
        ({"weight_kg": 0}, "body mass index"),
        ({"arms": "crossed"}, "arms must be up or down"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(VolumeError, match=sentence):
        make_phantom(**{"seed": 0, **arguments})
