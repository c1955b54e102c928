"""A ball in a quiet body, and what tests of looks at several spacings ask of it."""

import numpy as np

from lib.interaction import Prompts
from lib.pet import Volume

SHAPE, MIDDLE = (64, 64, 64), (32, 32, 32)
NEAR_MM, AROUND_MM = 128.0, 256.0  # 32 voxels of 4 and of 8 mm


def volume_with(radius, value=2.0):
    """A ball about the middle, so many voxels of 4 mm in radius."""
    distance = np.linalg.norm(np.indices(SHAPE) - np.reshape(MIDDLE, (3, 1, 1, 1)), axis=0)
    values = np.where(distance <= radius, value, 0.1).astype(np.float32)
    return Volume(values, np.diag([4.0] * 3 + [1.0]), "SUVbw")


def clicked(engine, volume, positive=(MIDDLE,), negative=(), before=()):
    """What an engine makes of clicks on one object."""
    return engine.update(volume, before, Prompts({"lesion": tuple(positive)}, tuple(negative)))


def edges(update):
    """How long the regions are that were looked at, mm."""
    return {region["edge_mm"] for region in update.regions}
