"""The lattice against TorchIO, and against itself over all orientations."""

import itertools

import numpy as np
import pytest
import torch
import torchio as tio

from lib.interaction.lattice import Lattice
from lib.pet import Volume


def affine_of(
    spacing, rotation=(0.0, 0.0, 0.0), order=(0, 1, 2), signs=(1, 1, 1), origin=(-31.0, 17.0, 250.0)
):
    """Voxel -> RAS+ mm: axes permuted and flipped, then turned by Euler angles (radians)."""
    axes = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        axes[axis, column] = sign
    for axis, angle in enumerate(rotation):
        turn = np.eye(3)
        a, b = [x for x in range(3) if x != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        axes = turn @ axes
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def random_volume(shape=(31, 24, 40), spacing=(4.07, 3.3, 2.0), seed=3, **affine):
    values = np.random.default_rng(seed).gamma(2.0, 1.0, shape).astype(np.float32)
    return Volume(values, affine_of(spacing, **affine), "SUVbw")


ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.mark.parametrize(
    ("affine", "spacing"),
    [
        ({}, (4.07, 3.3, 2.0)),
        ({"rotation": (0.2, -0.35, 0.1)}, (4.07, 3.3, 2.0)),
        ({"rotation": (0.1, 0.2, -0.3), "order": (2, 0, 1), "signs": (-1, 1, -1)}, (1.0, 5.0, 3.0)),
        ({"order": (1, 0, 2), "signs": (-1, -1, 1)}, (3.0, 3.0, 3.0)),
        ({"rotation": (0.5, 0.0, 0.4), "signs": (-1, -1, 1)}, (0.8, 0.8, 6.0)),
    ],
)
@pytest.mark.parametrize("size", [32, 128])
def test_a_region_equals_torchios_resample_canonical_crop_and_z_score(affine, spacing, size):
    volume = random_volume(spacing=spacing, **affine)
    click = (20, 10, 28)
    lattice = Lattice(volume, 1.5, size)
    start = lattice.cube_at(click)

    subject = tio.Subject(
        pet=tio.ScalarImage(tensor=torch.from_numpy(volume.array.copy())[None], affine=volume.affine)
    )
    resampled = tio.ToCanonical()(tio.Resample(1.5)(subject))
    assert tuple(lattice.shape) == resampled.pet.spatial_shape
    target = torch.zeros((1, *resampled.pet.spatial_shape))
    target[(0, *np.clip(np.add(start, size // 2), 0, np.subtract(target.shape[1:], 1)))] = 1
    resampled.add_image(tio.LabelMap(tensor=target, affine=resampled.pet.affine), "target")
    expected = tio.CropOrPad(size, mask_name="target")(resampled).pet.data[0]

    cube = lattice.cut(start)
    assert float((cube - expected).abs().max()) < 1e-4
    z = tio.ZNormalization.znorm(expected[None], expected[None] > 0)
    ours = (cube - cube[cube > 0].mean()) / cube[cube > 0].std()
    assert float((ours - z[0]).abs().max()) < 1e-4


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_one_voxel_target_lies_in_the_middle_of_its_region_in_every_orientation(order, signs):
    values = np.zeros((20, 23, 26), dtype=np.float32)
    click = (6, 15, 9)
    values[click] = 1.0
    volume = Volume(values, affine_of((4.0, 3.0, 5.0), order=order, signs=signs), "SUVbw")
    lattice = Lattice(volume, 1.5, 32)
    start = lattice.cube_at(click)
    cube = lattice.cut(start).numpy()
    hottest = np.argwhere(cube == cube.max())
    # One voxel of 4 x 3 x 5 mm may be hottest at two lattice voxels that lie evenly about its centre.
    assert np.abs(hottest - 16).max() <= 1

    logits = torch.full((8, 8, 8), -1.0)
    logits[4, 4, 4] = logits[3, 3, 3] = logits[3, 4, 4] = logits[4, 3, 4] = logits[4, 4, 3] = 3.0
    logits[3, 3, 4] = logits[3, 4, 3] = logits[4, 3, 3] = 3.0
    first, box = lattice.to_source(logits, start)
    assert box[tuple(np.subtract(click, first))] == box.max()


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_lattice_axes_are_right_anterior_superior(order, signs):
    volume = random_volume(shape=(12, 14, 16), order=order, signs=signs)
    lattice = Lattice(volume, 1.5, 16)
    corner = lattice.from_source((0, 0, 0))
    for axis in range(3):
        index = [0, 0, 0]
        index[axis] = 1
        moved = lattice.from_source(tuple(index)) - corner
        world = volume.affine[:3, axis]
        assert moved[np.argmax(np.abs(moved))] * world[np.argmax(np.abs(world))] > 0
        assert np.argmax(np.abs(moved)) == np.argmax(np.abs(world))
        assert np.abs(moved).max() * 1.5 == pytest.approx(volume.spacing[axis])


def test_logits_come_back_as_trilinear_upsampling_gives_them_on_the_lattice_itself():
    volume = random_volume(shape=(64, 64, 64), spacing=(1.5, 1.5, 1.5))
    lattice = Lattice(volume, 1.5, 64)
    logits = torch.randn((16, 16, 16), generator=torch.Generator().manual_seed(0))
    first, box = lattice.to_source(logits, (0, 0, 0))
    upsampled = torch.nn.functional.interpolate(logits[None, None], size=64, mode="trilinear")[0, 0].numpy()
    assert first == (0, 0, 0)
    np.testing.assert_allclose(box, upsampled, atol=1e-5)


def test_outside_the_image_a_region_is_zero_and_has_no_source_voxels():
    lattice = Lattice(random_volume(), 1.5, 16)
    assert not lattice.cut((10_000, 0, 0)).any()
    _, box = lattice.to_source(torch.ones((4, 4, 4)), (10_000, 0, 0))
    assert box.size == 0


def test_voxels_without_a_value_count_as_zero():
    volume = random_volume()
    values = volume.array.copy()
    values[:, :, 20:] = np.nan
    cube = Lattice(Volume(values, volume.affine, "SUVbw"), 1.5, 32).cut((10, 10, 20))
    assert torch.isfinite(cube).all()


def test_a_single_slice_stays_a_single_slice():
    lattice = Lattice(random_volume(shape=(30, 30, 1)), 1.5, 32)
    assert lattice.shape[2] == 1
    assert lattice.cut(lattice.cube_at((15, 15, 0))).any()


@pytest.mark.parametrize("spacing", [(5.0, 5.0, 5.0), (5.00000017, 4.99999979, 4.99999979)])
def test_a_spacing_that_a_header_rounds_gives_the_same_lattice(spacing):
    lattice = Lattice(random_volume(shape=(42, 42, 48), spacing=spacing), 1.5, 32)
    assert tuple(lattice.shape) == (140, 140, 160)


def test_logits_are_handed_to_another_lattice_by_where_they_lie():
    volume = random_volume()
    far, near = Lattice(volume, 8.0, 8), Lattice(volume, 4.0, 8)
    index = (12, 9, 20)
    start, at = far.cube_at(index), near.cube_at(index)

    def places(lattice, first):
        axes = [lattice.spacing * (np.arange(8) + first[a] - (lattice.shape[a] - 1) / 2) for a in range(3)]
        return torch.from_numpy(sum(np.meshgrid(*axes, indexing="ij"))).float()

    handed = far.handed(places(far, start), start, near, at)
    torch.testing.assert_close(handed, places(near, at), atol=1e-3, rtol=0)
    beyond = far.handed(places(far, start), start, near, (at[0] + 64, at[1], at[2]))
    assert not beyond.any()
