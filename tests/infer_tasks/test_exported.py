"""Which objects of a saved label findings and exports tell of."""

import numpy as np
import pytest

from infer_tasks.exported import exported_objects, numbers
from lib.pet import Volume, write_mask
from lib.store import LabelVersions


@pytest.fixture
def volume():
    """Two hot cubes on a warm background."""
    values = np.full((20, 20, 20), 0.5, np.float32)
    values[2:6, 2:6, 2:6] = values[12:16, 12:16, 12:16] = 8
    return Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


def saved(folder, volume, status, *of_objects):
    """A label of that status with the two cubes as objects of those statuses."""
    grid = np.zeros(volume.shape, np.uint16)
    grid[2:6, 2:6, 2:6], grid[12:16, 12:16, 12:16] = 1, 2
    write_mask(folder / "instances.nii.gz", grid, volume.affine)
    objects = [
        {"id": number, "label": "lesion", "uid": f"1.{number}", "status": of, "anchor": None, "steps": []}
        for number, of in enumerate(of_objects, start=1)
    ]
    versions, file = LabelVersions(folder / "labels"), folder / "instances.nii.gz"
    number = versions.save("p", file, {"objects": objects}, "reader", status, file)
    return versions.get("p", number)


def test_a_draft_s_proposals_are_no_lesions(tmp_path, volume):
    draft = saved(tmp_path, volume, "draft", "proposed", "draft")
    found = exported_objects(draft, volume)
    assert [one.id for one in found] == [2]
    assert numbers(found, volume, None)["patient"]["count"] == 1


@pytest.mark.parametrize("status", ["submitted", "reviewed", "final"])
def test_who_saves_a_label_as_more_than_a_draft_stands_for_its_proposals(tmp_path, volume, status):
    label = saved(tmp_path, volume, status, "proposed", "accepted")
    assert [one.id for one in exported_objects(label, volume)] == [1, 2]
