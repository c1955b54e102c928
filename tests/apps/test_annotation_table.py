"""The rows of the panel's table: colours that differ, and numbers that cannot be so."""

import itertools

import numpy as np

from apps.segpet.annotation.colors import object_color
from apps.segpet.annotation.table import table
from infer_tasks.annotated import Item, Method, Snapshot
from lib.interaction import AnnotatedObject
from lib.interaction.painting import Bits
from lib.interaction.scene import Scene
from lib.pet import Crop, Volume

LABELS = ("background", "lesion", "node metastasis", "liver")


def warnings_of(values, mask):
    """The warnings of each row, where each value of the mask is an object."""
    volume = Volume(values.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    masks = {number: Crop((0, 0, 0), mask == number).tight() for number in np.unique(mask[mask > 0]).tolist()}
    objects = {number: AnnotatedObject.new(number, "lesion", (0, 0, 0)) for number in masks}
    items = {
        number: Item(objects[number], Method("segpet"), Bits.of(crop), warnings=("the first",))
        for number, crop in masks.items()
    }
    now, scene = Snapshot(items), Scene(objects.values(), masks, LABELS)
    return {row["number"]: row["warnings"] for row in table(volume, now, scene, LABELS, None)["objects"]}


def test_what_cannot_be_measured_or_cannot_be_suv_is_told_at_its_object():
    values, mask = np.full((8, 8, 8), 2.0), np.zeros((8, 8, 8), dtype=int)
    mask[1:3, 1:3, 1], mask[5:7, 1:3, 1], mask[1:3, 5:7, 1] = 1, 2, 3
    values[1, 1, 1], values[5:7, 1:3, 1] = np.nan, 8000.0
    told = warnings_of(values, mask)
    assert told[3] == ["The first"]
    assert "1 of the mask's 4 voxels have no value" in told[1][1]
    assert "SUVmax 8000 cannot be" in told[2][1]


def test_neighbours_differ_and_so_do_the_first_twenty_lesions():
    colors = [object_color(number, "lesion", LABELS) for number in range(1, 256)]
    assert all(0 <= part <= 255 for color in colors for part in color)
    assert all(one != other for one, other in itertools.pairwise(colors))
    assert len({tuple(color) for color in colors[:21]}) == 21


def test_organs_have_the_colour_of_their_label():
    assert object_color(1, "liver", LABELS) == object_color(9, "liver", LABELS)
