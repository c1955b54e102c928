"""Pictures of masks: what is where, in every orientation."""

import itertools

import numpy as np
import pytest

from lib.pet import Crop, Volume
from lib.pet.picture import CLICK, COLOURS, INK, draw


def affine(order, signs, spacing=(4.0, 4.0, 4.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[axis, column] = sign * spacing[column]
    return matrix


def hot_voxel(order, signs):
    """A volume of 30 x 30 x 30 voxels, hot in the patient's right, anterior, superior part, and its mask."""
    values = np.full((30, 30, 30), 0.5, dtype=np.float32)
    where = {0: 6, 1: 23, 2: 23}  # low along R is the patient's left to right axis turned: 6 of 30 is left
    index = [where[axis] if sign > 0 else 29 - where[axis] for axis, sign in zip(order, signs, strict=True)]
    box = tuple(slice(at - 2, at + 3) for at in index)
    values[box] = 9.0
    return Volume(values, affine(order, signs), "SUVbw"), Crop.from_grid(values > 5)


@pytest.mark.parametrize(
    ("order", "signs"),
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)),
)
def test_every_orientation_gives_the_same_picture(order, signs):
    volume, mask = hot_voxel(order, signs)
    expected = draw(*((lambda v, m: (v, [m]))(*hot_voxel((0, 1, 2), (1, 1, 1)))))
    assert np.array_equal(np.array(draw(volume, [mask])), np.array(expected))


def test_the_patients_left_is_on_the_right_and_superior_is_up():
    volume, mask = hot_voxel((0, 1, 2), (1, 1, 1))
    picture = np.array(draw(volume, [mask], upper=9.0)).astype(int)
    panel = (picture.shape[1] - 3 * 8) // 4
    projection = picture[:, -panel:]
    rows, columns = np.nonzero((projection == COLOURS[0]).all(axis=-1))
    # R+ 6 of 30 lies towards the patient's left, S+ 23 of 30 towards the head.
    assert columns.mean() > 0.7 * panel
    assert rows.mean() < 0.35 * picture.shape[0]


def test_a_picture_without_objects_or_contrast_is_drawn():
    flat = Volume(np.zeros((5, 6, 2), dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "unknown")
    picture = draw(flat, [Crop.empty()])
    assert set(np.unique(np.array(picture))) <= set(range(INK[0], 256))  # the planes' names, nothing darker
    assert (np.array(picture)[-5:] == 255).all()


@pytest.mark.parametrize(("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1))])
def test_a_click_is_marked_where_it_is(order, signs):
    volume, mask = hot_voxel(order, signs)
    at = np.argwhere(mask.to_grid(volume.shape)).mean(axis=0).round().astype(int)
    picture = np.array(draw(volume, [mask], clicks=[at]))
    green = (picture == CLICK).all(axis=-1)
    panel = (picture.shape[1] - 3 * 8) // 4
    assert all(green[:, start : start + panel].any() for start in range(0, picture.shape[1], panel + 8))
    rows, columns = np.nonzero(green[:, -panel:])
    orange = (picture == COLOURS[0]).all(axis=-1)[:, -panel:]
    assert np.mean(rows) == pytest.approx(np.nonzero(orange)[0].mean(), abs=2)
    assert np.mean(columns) == pytest.approx(np.nonzero(orange)[1].mean(), abs=2)
