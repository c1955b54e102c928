import numpy as np
import pytest

from lib.pet import Crop, Volume
from lib.pet.organ_map import OrganMap
from lib.pet.references import (
    Reference,
    aorta_reference,
    deauville,
    liver_reference,
)

SPACING = (4.0, 4.0, 3.0)
AFFINE = np.diag([-4.0, -4.0, 3.0, 1.0])  # i runs to the patient's left


@pytest.fixture
def study():
    """A liver of two lobes and an aorta, each value a little noisy; the left lobe is the hotter one."""
    labels = np.zeros((50, 40, 40), np.uint8)
    labels[5:20, 10:30, 10:30] = 5
    labels[20:32, 14:26, 16:26] = 5
    labels[38:45, 20:27, 2:38] = 52
    random = np.random.default_rng(0)
    array = random.normal(1, 0.05, labels.shape)
    array[labels == 5] += 1.0
    array[20:32][labels[20:32] == 5] += 3
    array[labels == 52] += 0.6
    organs = OrganMap(labels, {5: "liver", 52: "aorta"}, AFFINE)
    return Volume(array.astype(np.float32), AFFINE, "SUVbw"), organs


def test_the_liver_s_reference_is_a_sphere_of_3_cm_in_the_right_lobe(study):
    volume, organs = study
    reference = liver_reference(volume, organs)
    inside = np.argwhere(reference.region.array) + reference.region.start
    assert (organs.labels[tuple(inside.T)] == 5).all()
    assert inside[:, 0].max() < 20  # none in the left lobe
    assert reference.region.count * volume.voxel_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.08)
    extent = (inside.max(0) - inside.min(0)) * SPACING
    assert (extent <= 30).all() and (extent > 30 - 2 * np.array(SPACING)).all()
    assert reference.mean == pytest.approx(2, abs=0.02) and reference.sd == pytest.approx(0.05, abs=0.01)
    assert reference.percist_limit == pytest.approx(1.5 * reference.mean + 2 * reference.sd)


def test_the_right_lobe_is_the_patient_s_right(study):
    volume, organs = study
    mirrored = np.diag([4.0, -4.0, 3.0, 1.0])
    other = OrganMap(organs.labels, organs.names, mirrored)
    reference = liver_reference(Volume(volume.array, mirrored, "SUVbw"), other)
    # Mirrored, the thin lobe is the right one: it holds no sphere of 3 cm within it beyond the centroid.
    assert reference is None or reference.region.start[0] > 10


def test_lesions_in_the_liver_are_left_out(study):
    volume, organs = study
    before = liver_reference(volume, organs)
    array = volume.array.copy()
    lesion = Crop(before.region.start, np.ones((3, 3, 3), np.bool_))
    array[lesion.slices] = 20
    hot = Volume(array, AFFINE, "SUVbw")
    after = liver_reference(hot, organs, [lesion])
    assert after is None or after.max < 10
    assert liver_reference(hot, organs).max == 20


def test_the_blood_pool_lies_inside_the_aorta_s_wall(study):
    volume, organs = study
    reference = aorta_reference(volume, organs)
    assert reference.mean == pytest.approx(1.6, abs=0.02)
    start, stop = np.array(reference.region.start), np.array(reference.region.stop)
    assert ((start - (37, 19, 1)) * SPACING >= 5).all() and (((46, 28, 39) - stop) * SPACING >= 5).all()
    assert reference.percist_limit == pytest.approx(2 * reference.mean + 2 * reference.sd)


def test_what_the_map_does_not_have_is_no_reference(study):
    volume, organs = study
    spleen = OrganMap(organs.labels, {5: "spleen"}, AFFINE)
    everything = Crop((0, 0, 0), np.ones(volume.shape, np.bool_))
    for measure in (liver_reference, aorta_reference):
        assert measure(volume, spleen) is None
        assert measure(volume, organs, [everything]) is None


def test_a_liver_too_small_for_the_sphere_is_no_reference(study):
    volume, _ = study
    labels = np.zeros(volume.shape, np.uint8)
    labels[10:16, 10:16, 10:16] = 5
    assert liver_reference(volume, OrganMap(labels, {5: "liver"}, AFFINE)) is None


def test_voxels_without_a_value_are_left_out_of_a_reference(study):
    volume, organs = study
    array = volume.array.copy()
    array[:, :, 20] = np.nan
    assert liver_reference(Volume(array, AFFINE, "SUVbw"), organs).mean == pytest.approx(2, abs=0.02)
    assert aorta_reference(Volume(np.full_like(array, np.nan), AFFINE, "SUVbw"), organs) is None


def reference(organ, highest):
    return Reference(organ, highest - 0.3, 0.1, highest, Crop.empty(), "SUVbw")


@pytest.mark.parametrize(
    ("suv_max", "score"), [(None, 1), (0.5, 2), (1.5, 2), (1.51, 3), (2.5, 3), (2.51, 4), (5.0, 4), (5.01, 5)]
)
def test_deauville_s_score_compares_with_mediastinum_and_liver(suv_max, score):
    assert deauville(suv_max, reference("aorta", 1.5), reference("liver", 2.5)) == score


@pytest.mark.parametrize(("suv_max", "score"), [(1.9, 2), (2.0, 3), (2.3, 4), (4.1, 5)])
def test_a_mediastinum_hotter_than_the_liver_does_not_divide(suv_max, score):
    assert deauville(suv_max, reference("aorta", 2.5), reference("liver", 2.0)) == score
