"""The pictures of the manual, taken of the real thing; only with SEGPET_PICTURES=1."""

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from serving import ROOT, Server, save_image, sts_pet

from lib.pet import Phantom, make_phantom
from lib.pet.phantom.dicom_series import write_dicom

#: Study, seed and tracer.
PATIENTS = (("fdg-57", 57, "FDG"), ("psma-39", 39, "PSMA"), ("dotatate-60", 60, "DOTATATE"))
LABELS = "lesion,liver,spleen,kidney_left,kidney_right,heart,urinary_bladder"
IMAGES = ROOT / "docs/images"
SIZE = {"width": 1366, "height": 768}


@pytest.fixture(scope="module")
def patients() -> dict[str, Phantom]:
    return {name: make_phantom(seed, tracer=tracer) for name, seed, tracer in PATIENTS}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory, patients) -> Iterator[Server]:
    """Digital patients as DICOM, with organ maps, and real PET where there is some; the bundled weights."""
    folder = tmp_path_factory.mktemp("clinic")
    studies = folder / "studies"
    (studies / "organs").mkdir(parents=True)
    for name, phantom in patients.items():
        write_dicom(phantom, studies / name, name.upper())
        write_organs(studies / "organs" / name, phantom)
    sts_pet(studies, "STS_001", "STS_007", "STS_013")
    server = Server(folder, labels=LABELS, unit="SUVbw")
    try:
        yield server.start()
    finally:
        server.stop()


def write_organs(folder: Path, phantom: Phantom) -> None:
    """Write one mask an organ."""
    folder.mkdir()
    for number, name in phantom.names.items():
        organ = phantom.organs == number
        if organ.any():
            save_image(folder / f"{name}.nii.gz", organ.astype("uint8"), phantom.volume.affine)


def middle(mask: np.ndarray, affine: np.ndarray) -> list[float]:
    """Return the point (LPS mm) of the voxel furthest inside of a mask."""
    index = np.unravel_index(np.argmax(ndimage.distance_transform_edt(mask)), mask.shape)
    x, y, z = (affine @ [*index, 1])[:3]
    return [-x, -y, z]


def take(viewer, name: str) -> None:
    """Save what the page shows, without the mouse over anything."""
    viewer.page.mouse.move(5, 400)
    viewer.page.wait_for_timeout(2500)
    viewer.page.screenshot(path=IMAGES / f"{name}.png")


def test_the_work_list(viewer, clinic):
    browser = viewer(clinic, viewport=SIZE)
    browser.page.goto(browser.url)
    browser.page.locator("tbody tr").filter(has_text="FDG-57").click()
    browser.page.get_by_role("button", name="SegPET").wait_for()
    take(browser, "work-list")


def test_annotation_and_the_table_of_lesions(viewer, clinic, patients):
    browser = viewer(clinic, viewport=SIZE).open("fdg-57")
    phantom = patients["fdg-57"]
    for finding in phantom.findings[:5]:
        point = middle(phantom.lesions == finding.number, phantom.volume.affine)
        browser.page.keyboard.press("n")
        browser.show(point)
        browser.click(point, "segpet-coronal")
        if finding.number > 1:
            browser.press("Enter")
    browser.page.click(".segpet-objects tr[data-number='1']")
    browser.painted()
    take(browser, "annotation")
    browser.press("s")
    browser.press("Control+s")
    box = browser.page.locator("#viewerLayoutResizableRightPanel").bounding_box()
    browser.page.mouse.move(5, 400)
    browser.painted()
    browser.page.screenshot(path=IMAGES / "lesion-table.png", clip=box)


def test_real_pet(viewer, clinic):
    outline = ROOT.parent / "shared/data/sts-pet/STS_007/PET_mask.nii.gz"
    if not outline.is_file():
        pytest.skip("no ../shared/data/sts-pet beside the repository")
    read = nibabel.load(outline)
    point = middle(read.get_fdata() > 0, read.affine)
    browser = viewer(clinic, viewport=SIZE).open("STS_007")
    browser.show(point)
    browser.click(point)
    browser.show(browser.objects()[0]["clicks"][0]["point"])
    take(browser, "real-pet")
