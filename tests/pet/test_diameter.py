import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from lib.pet import Crop
from lib.pet.diameter import feret_diameter, largest_distance

SPACING = np.array([2.0, 3.0, 5.0])
AFFINE = np.diag([*SPACING, 1.0])


def corners(mask):
    """The corners of all voxels, one by one."""
    steps = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    return (np.argwhere(mask)[:, None] + steps).reshape(-1, 3)


@pytest.mark.parametrize("size", [(1, 1, 1), (4, 1, 1), (1, 5, 3), (7, 6, 5)])
def test_a_cuboid_has_its_diagonal(size):
    diameter = feret_diameter(Crop((3, 1, 4), np.ones(size, np.bool_)), AFFINE)
    assert diameter == pytest.approx(np.linalg.norm(size * SPACING))


def test_a_ball_has_its_diameter_within_a_voxel_s_diagonal():
    squares = np.ix_(*((np.arange(-30, 31) * step) ** 2 for step in SPACING))
    ball = squares[0] + squares[1] + squares[2] <= 40**2
    diameter = feret_diameter(Crop.from_grid(ball), AFFINE)
    assert 80 <= diameter <= 80 + np.linalg.norm(SPACING)


def test_it_is_the_largest_distance_between_any_two_corners():
    random = np.random.default_rng(5)
    for density in (0.01, 0.1, 0.5):
        mask = random.random((9, 7, 8)) < density
        mask[4, 4, 4] = True
        expected = pdist(corners(mask) * SPACING).max()
        assert feret_diameter(Crop.from_grid(mask), AFFINE) == pytest.approx(expected)


def test_it_follows_an_oblique_affine():
    mask = np.zeros((4, 5, 6), np.bool_)
    mask[0, 0, 0] = mask[3, 4, 5] = mask[0, 4, 2] = True
    angle = np.deg2rad(33)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shear = np.eye(3) + np.eye(3, k=1) * 0.3
    affine = np.eye(4)
    affine[:3, :3] = turn @ shear * SPACING
    expected = pdist(corners(mask) @ affine[:3, :3].T).max()
    assert feret_diameter(Crop.from_grid(mask), affine) == pytest.approx(expected)


def test_no_voxel_has_no_diameter():
    assert feret_diameter(Crop.empty(), AFFINE) is None
    assert feret_diameter(Crop((0, 0, 0), np.zeros((2, 2, 2), np.bool_)), AFFINE) is None


def test_the_largest_distance_is_found_among_many_points():
    points = np.random.default_rng(1).normal(size=(1300, 3))
    points[20], points[1250] = (50, 0, 0), (-50, 0, 0)
    assert largest_distance(points) == 100
    assert largest_distance(points[:1]) == 0
