"""Training scenes: seeded, targets where the click is, and nothing that gives a target away."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lib.learning.analytic import analytic_scene
from lib.learning.bodies import LARGE, TrainingPhantom, magnified_scene, on_lattice, phantom_scene, wide_scene
from lib.learning.cases import Case, CaseError
from lib.learning.first_click import choose_click, deepest_voxel, region_offset
from lib.learning.patients import Patient, as_patient, patient_scene, read_patients
from lib.learning.scenes import Scenes
from lib.learning.textures import smooth_field
from lib.pet import Crop, Volume
from lib.pet.phantom import make_phantom

SIDE, SPACING = 32, 4.0


def tumour_case(tissue=0.5, noise=0.1, uptake=6.0, seed=0):
    """A crop of 128 mm with a ball of 12 mm radius in its middle, in tissue."""
    random = np.random.default_rng(seed)
    at = np.stack(np.indices((32, 32, 32)), -1) * 4.0
    mask = np.linalg.norm(at - 62.0, axis=-1) <= 12
    grain = ndimage.gaussian_filter(random.standard_normal(mask.shape), 0.7)
    image = tissue + noise * grain / grain.std()
    image[mask] = uptake
    volume = Volume(image.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    truth = Crop.from_grid(mask)
    return Case("crop", volume, (truth,), truth, (1,))


@pytest.fixture(scope="module")
def patient():
    return as_patient(tumour_case())


def scenes(patients=(), phantoms=(), seed=0):
    return Scenes(list(patients), list(phantoms), SIDE, SPACING, seed)


def test_a_scene_depends_on_its_seed_and_number_alone(patient):
    first, again = scenes([patient]), scenes([patient])
    for number in (3, 0, 3):
        for key, value in first[number].items():
            assert torch.equal(value, again[number][key])
    assert not torch.equal(first[0]["image"], first[1]["image"])
    assert not torch.equal(first[0]["image"], scenes([patient], seed=1)[0]["image"])


def test_every_scene_has_its_click_in_its_target(patient):
    for number in range(40):
        scene = scenes([patient])[number]
        assert {key: tuple(value.shape) for key, value in scene.items()} == {
            "image": (1, SIDE, SIDE, SIDE),
            "target": (1, SIDE, SIDE, SIDE),
            "previous": (1, SIDE, SIDE, SIDE),
            "point": (1, 3),
        }
        assert all(value.dtype == torch.float32 and value.isfinite().all() for value in scene.values())
        assert scene["target"][0][tuple(scene["point"][0].int().tolist())] == 1
        assert scene["image"].min() >= 0
        assert set(scene["target"].unique().tolist()) <= {0.0, 1.0}


def test_patients_and_synthetic_scenes_come_in_the_stated_shares(patient):
    only_drawn = [scenes()[number]["image"] for number in range(60)]
    mixed = [scenes([patient])[number]["image"] for number in range(60)]
    same = sum(torch.equal(a, b) for a, b in zip(only_drawn, mixed, strict=True))
    assert same < 60  # with patients at hand, most scenes are theirs


def test_the_level_and_noise_of_quiet_tissue_are_found():
    patient = as_patient(tumour_case(tissue=0.8, noise=0.1))
    assert patient.level == pytest.approx(0.8, abs=0.03)
    assert patient.noise == pytest.approx(0.1, rel=0.4)


def test_a_case_without_a_tumour_is_refused():
    case = tumour_case()
    with pytest.raises(CaseError, match="Nothing is outlined in crop"):
        as_patient(Case(case.name, case.volume, (), Crop.empty(), ()))


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(CaseError, match="no case"):
        read_patients(tmp_path)


def test_the_target_of_a_patient_is_not_in_the_middle_of_the_cube(patient):
    middles = []
    for seed in range(60):
        _, mask, _ = patient_scene(patient, SIDE, SPACING, np.random.default_rng(seed))
        middles.append(np.argwhere(mask).mean(axis=0) - (SIDE - 1) / 2)
    assert (np.std(middles, axis=0) > 2).all()  # voxels of 4 mm


def test_the_seam_of_a_crop_does_not_show(patient):
    """Level and noise are the same where the crop was and where it was not."""
    near, far = [], []
    for seed in range(24):
        image, mask, _ = patient_scene(patient, SIDE, SPACING, np.random.default_rng(seed))
        distance = ndimage.distance_transform_edt(~mask, sampling=(SPACING,) * 3)
        detail = np.abs(image - ndimage.gaussian_filter(image, 1.5))
        for found, where in ((near, (distance > 12) & (distance < 24)), (far, distance > 70)):
            found.append((np.median(image[where]), np.median(detail[where])))
    # Medians, because other things are drawn into the background now and then.
    near_level, near_noise = np.median(near, axis=0)
    far_level, far_noise = np.median(far, axis=0)
    assert far_level == pytest.approx(near_level, rel=0.15)
    assert 0.6 < far_noise / near_noise < 1.7


def test_the_crops_box_tells_little_about_the_target():
    """With a crop told from the body by another level, the crop's middle still misses the target's."""
    case = tumour_case(tissue=0.5, noise=0.0)
    patient = as_patient(case)
    marked = Patient(
        "marked", torch.cat((patient.values[:1] * 0 + 9.0, patient.values[1:])), patient.spacing, 0.5, 0.0
    )
    misses = []
    for seed in range(40):
        image, mask, _ = patient_scene(marked, SIDE, SPACING, np.random.default_rng(seed))
        crop = np.argwhere(image > 6.0)
        misses.append(np.abs(crop.mean(axis=0) - np.argwhere(mask).mean(axis=0)).max() * SPACING)
    assert np.mean(misses) > 8  # mm


def test_the_target_is_one_thing_where_several_are_in_the_cube():
    found = 0
    for seed in range(30):
        image, mask, click = analytic_scene(SIDE, SPACING, np.random.default_rng(seed))
        assert mask[tuple(click)] and image.dtype == np.float32
        hot = image > np.percentile(image[mask], 50)
        parts, count = ndimage.label(hot)
        found += count > 1 and not set(np.unique(parts)) <= {0, *np.unique(parts[mask])}
    assert found > 3  # hot things that are not the target


def test_drawn_targets_differ_in_size_and_some_leave_the_cube():
    masks = [analytic_scene(SIDE, SPACING, np.random.default_rng(seed))[1] for seed in range(60)]
    sizes = [mask.sum() for mask in masks]
    assert min(sizes) < 20 and max(sizes) > 3000
    inner = (slice(1, -1),) * 3
    assert 5 < sum(mask.sum() > mask[inner].sum() for mask in masks) < 50


@pytest.fixture(scope="module")
def phantom():
    return on_lattice(make_phantom(3, lesions=4), SPACING)


def test_a_phantom_keeps_its_lesions_on_the_networks_lattice(phantom):
    drawn = make_phantom(3, lesions=4)
    assert isinstance(phantom, TrainingPhantom)
    assert phantom.image.shape == phantom.organs.shape == phantom.lesions.shape
    assert phantom.lesions.max() == drawn.lesions.max()
    ml = np.bincount(phantom.lesions.ravel())[1:] * SPACING**3 / 1000
    np.testing.assert_allclose(ml, np.bincount(drawn.lesions.ravel())[1:] * drawn.volume.voxel_ml, rtol=1e-6)
    # The lattice runs to R, A, S; the phantom to L, P, S.
    np.testing.assert_array_equal(phantom.lesions, drawn.lesions[::-1, ::-1])
    np.testing.assert_allclose(phantom.image, drawn.volume.array[::-1, ::-1], rtol=1e-4, atol=1e-4)


def test_lesions_and_organs_of_phantoms_are_targets_one_at_a_time(phantom):
    sizes = {*np.bincount(phantom.lesions.ravel())[1:], *np.bincount(phantom.organs.ravel())[1:]}
    whole = []
    for seed in range(20):
        image, mask, click = phantom_scene(phantom, SIDE, np.random.default_rng(seed))
        assert image.shape == mask.shape == (SIDE,) * 3
        assert mask[tuple(click)]
        inner = mask[1:-1, 1:-1, 1:-1]
        assert mask.sum() <= max(sizes)
        whole.append(inner.sum() < mask.sum() or mask.sum() in sizes)
    assert sum(whole) >= 18  # a rib may leave the cube and come back


def test_the_deepest_voxel_of_a_box_is_its_middle():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[1:6, 2:7, 3:8] = True
    assert deepest_voxel(mask).tolist() == [3, 4, 5]


def test_first_clicks_vary_and_lie_on_the_mask():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[1:6, 2:7, 3:8] = True
    chosen = [tuple(choose_click(mask, np.random.default_rng(seed))) for seed in range(50)]
    assert all(mask[voxel] for voxel in chosen)
    assert len(set(chosen)) > 10 and chosen.count((3, 4, 5)) > 8


def test_regions_lie_as_the_engine_puts_them():
    offsets = np.array([region_offset(48, np.random.default_rng(seed)) for seed in range(200)])
    centred = (offsets == 0).all(axis=1).mean()
    assert 0.5 < centred < 0.8
    assert np.abs(offsets).max() <= 12 and np.abs(offsets).max() > 9


def test_smooth_fields_are_standardised_seeded_and_different():
    field = smooth_field(24, 2.5, np.random.default_rng(0))
    assert field.mean() == pytest.approx(0, abs=1e-3) and field.std() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(field, smooth_field(24, 2.5, np.random.default_rng(0)))
    assert not np.array_equal(field, smooth_field(24, 2.5, np.random.default_rng(1)))


def test_a_magnified_scene_shows_a_small_lesion_twice_as_large(phantom):
    small = {number: int((phantom.lesions == number).sum()) for number in phantom.small_lesion_boxes}
    assert small
    for seed in range(10):
        image, mask, click = magnified_scene(phantom, SIDE, np.random.default_rng(seed))
        assert image.shape == mask.shape == (SIDE,) * 3
        assert mask[tuple(click)]
        inner = mask[1:-1, 1:-1, 1:-1]
        assert inner.sum() < mask.sum() or mask.sum() in {8 * size for size in small.values()}
        # The uptake lies where the mask is: the magnified image is not shifted against it.
        hot = image > np.percentile(image[mask], 60)
        assert (hot & mask).any()


def test_a_wide_scene_shows_a_large_target_smaller_and_where_it_is(phantom):
    sizes = {int((labels == n).sum()) for labels, boxes in (
        (phantom.lesions, phantom.large_lesion_boxes), (phantom.organs, phantom.large_organ_boxes)
    ) for n in boxes}  # fmt: skip
    for seed in range(10):
        image, mask, click = wide_scene(phantom, SIDE, 2.0, np.random.default_rng(seed))
        assert image.shape == mask.shape == (SIDE,) * 3 and image.dtype == np.float32
        assert mask[tuple(click)]
        # An eighth of the voxels, cut where the cube ends.
        assert mask.sum() <= 1.3 * max(sizes) / 8 + 1
        hot = image >= np.percentile(image[mask], 60)
        assert (hot & mask).any()


def test_a_wide_scene_of_one_and_a_half_lies_about_the_same_middle_as_one_of_one(phantom):
    for seed in range(6):
        seen = [wide_scene(phantom, SIDE, times, np.random.default_rng(seed)) for times in (1.0, 1.5)]
        (near, _, here), (far, _, there) = seen
        assert here.tolist() == there.tolist()
        assert far[tuple(there)] == pytest.approx(near[tuple(here)], abs=0.5 * float(np.ptp(near)))


def test_large_targets_are_long(phantom):
    assert phantom.large_organ_boxes and phantom.large_organ_boxes.keys() < phantom.organ_boxes.keys()
    for boxes in (phantom.large_organ_boxes, phantom.large_lesion_boxes):
        assert all(max(part.stop - part.start for part in box) > LARGE for box in boxes.values())


def test_scenes_of_a_wide_spacing_come_from_every_origin_and_only_phantoms_lie_upright(patient, phantom):
    scenes = Scenes([patient], [phantom], SIDE, SPACING, 0, wide_spacings=(1.5 * SPACING, 2 * SPACING))
    upright = []
    for number in range(24):
        is_upright, (image, mask, click) = scenes._draw(2 * SPACING, np.random.default_rng(number))
        assert image.dtype == np.float32 and mask[tuple(click)]
        upright.append(is_upright)
    assert {True, False} == set(upright)
    without = Scenes([patient], [], SIDE, SPACING, 0, wide_spacings=(2 * SPACING,))
    assert not any(without._draw(2 * SPACING, np.random.default_rng(number))[0] for number in range(8))


def test_scenes_of_a_fine_spacing_have_small_targets_only(patient, phantom):
    mixed = Scenes([patient], [phantom], SIDE, SPACING, 0, fine_spacing=2.0)
    for number in range(20):
        _, (image, mask, click) = mixed._draw(2.0, np.random.default_rng(number))
        assert image.dtype == np.float32 and mask[tuple(click)]
        extent = np.ptp(np.argwhere(mask), axis=0) + 1
        assert extent.max() * 2.0 <= 75  # mm
