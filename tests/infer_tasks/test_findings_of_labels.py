"""Findings of a saved label go by the organ map and the tracer as they are now."""

import nibabel
import numpy as np
import pytest

from infer_tasks.impressions import Impressions
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.workspace import Workspace
from lib.pet import write_mask
from lib.store import Models, StateFolder

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture
def image(tmp_path):
    """A study of one hot cube."""
    values = np.full((20, 20, 20), 0.5, np.float32)
    values[4:8, 4:8, 4:8] = 8
    path = tmp_path / "studies/p.nii.gz"
    path.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
    return path


@pytest.fixture
def impressions(tmp_path, image):
    """Those of a server on which the cube is saved as a lesion."""
    workspace = Workspace(StateFolder(tmp_path / "state"), ("background", "lesion"), "SUVbw")
    lesion = (nibabel.load(image).get_fdata() > 4).astype(np.uint8)
    write_mask(tmp_path / "mask.nii.gz", lesion, AFFINE)
    one = {"id": 1, "label": "lesion", "uid": "1.2", "status": "accepted", "anchor": None, "steps": []}
    file = tmp_path / "mask.nii.gz"
    workspace.versions.save("p", file, {"objects": [one]}, "reader", "final", file)
    return Impressions(workspace, OrganMaps(image.parent), None, Models(tmp_path / "adapters"))


def test_an_organ_map_that_comes_after_the_first_look_names_sites(image, impressions):
    assert "liver" not in impressions.findings("p", image, "en")
    liver = np.zeros((20, 20, 20), np.uint8)
    liver[2:12, 2:12, 2:12] = 1
    (image.parent / "organs/p").mkdir(parents=True)
    write_mask(image.parent / "organs/p/liver.nii.gz", liver, AFFINE)
    assert "liver" in impressions.findings("p", image, "en")


def test_a_tracer_that_the_sidecar_names_otherwise_counts_at_once(image, impressions):
    for tracer in ("FDG", "PSMA-11"):
        image.with_name("p.json").write_text(f'{{"Units": "g/mL", "TracerName": "{tracer}"}}')
        assert impressions.measured("p", image).table["tracer"] == tracer
