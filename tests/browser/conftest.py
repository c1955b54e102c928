"""One Chromium and one server for all tests of the viewer; each test has its own browser context."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/apps"))

from dicom_series import write_series  # noqa: E402
from serving import Server, save_image, sts_pet  # noqa: E402
from viewer import Viewer  # noqa: E402

from apps.segpet.viewer_package import ViewerError, fetch_viewer  # noqa: E402
from lib.pet import Phantom, make_phantom  # noqa: E402

#: Pictures of the manual are taken only when asked for: tests leave the tree clean.
collect_ignore = [] if os.environ.get("SEGPET_PICTURES") == "1" else ["test_pictures.py"]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-dev-shm-usage --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
)
#: The first is large enough for its inside to be compared pixel by pixel.
LESIONS = {"lesions": 3, "kinds": ["sphere"], "largest_mm": 90.0}
#: What the browser says of its own, and OHIF of itself, that is no fault of a page of ours.
KNOWN_ERRORS = (
    "status of 429 (Too Many Requests)",  # the panel asks again
    "status of 507 (Insufficient Storage)",  # the panel keeps the click
    "status of 409 (Conflict)",  # what was refused is a sentence in the panel as well
    "net::ERR_INTERNET_DISCONNECTED",  # so is a server that does not answer
    "getRenderer",  # cornerstone, on leaving the mode: it takes down a viewport twice
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[object]:
    """Debian's Chromium, which draws in software."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: apt-get install npm")
    playwright_api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[test]'")
    try:
        fetch_viewer(print)
    except ViewerError as error:
        pytest.skip(str(error))
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def phantom() -> Phantom:
    return make_phantom(3, (48, 48, 80), (8.0, 8.0, 8.0), **LESIONS)


@pytest.fixture(scope="package")
def odd() -> Phantom:
    """The same patient in a grid that is turned, with its axes in another order."""
    return make_phantom(3, (48, 48, 80), (8.0, 8.0, 8.0), **LESIONS, orientation="odd")


@pytest.fixture(scope="package")
def server(tmp_path_factory, phantom, odd) -> Iterator[Server]:
    """Phantoms straight, odd, and as DICOM from the head down with a CT; real PET where there is some."""
    folder = tmp_path_factory.mktemp("browser")
    studies = folder / "studies"
    studies.mkdir()
    for name, drawn in (
        ("straight", phantom),
        ("odd", odd),
        ("second", phantom),
        ("third", phantom),
        ("fourth", phantom),
        ("read twice", phantom),
    ):
        save_study(studies / name, drawn.volume.array, drawn.volume.affine)
    write_pet_ct(studies / "downwards", phantom)
    sts_pet(studies, "STS_001")
    if (studies / "STS_001.nii.gz").exists():
        (studies / "STS_001.json").write_text(json.dumps({"Units": "g/mL"}))
    server = Server(folder, model="none", labels="lesion,liver,spleen")
    try:
        yield server.start()
    finally:
        server.stop()


def save_study(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI study that says that it holds SUV of FDG."""
    save_image(path.with_suffix(".nii.gz"), array, affine)
    sidecar = {"Units": "g/mL", "TracerName": "FDG", "TracerRadionuclide": "F18"}
    path.with_suffix(".json").write_text(json.dumps(sidecar))


def write_pet_ct(folder: Path, phantom: Phantom) -> None:
    """Write a phantom as a DICOM series of descending slices, and a CT on the same grid."""
    # RAS i, j, k of a straight phantom go to the left, back and up; here slices go down and rows forward.
    values = phantom.volume.array[:, ::-1, ::-1]
    first = phantom.volume.affine @ [0, values.shape[1] - 1, values.shape[2] - 1, 1]
    where = {
        "spacing": phantom.volume.spacing,
        "origin": (-first[0], -first[1], first[2]),
        "orientation": (1, 0, 0, 0, -1, 0),
    }
    slope = float(f"{values.max() / 30000:.8g}")

    def pet(k: int, dataset) -> None:
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "2.25.1001", "2.25.1002"
        dataset.SeriesDescription, dataset.CorrectedImage = "PET", ["ATTN", "DECY"]
        dataset.InstanceNumber = k + 1

    def ct(k: int, dataset) -> None:
        pet(k, dataset)
        dataset.Modality, dataset.SeriesDescription = "CT", "CT"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        dataset.RescaleType = "HU"
        for name in ("Units", "SeriesType", "CorrectedImage"):
            delattr(dataset, name)

    write_series(
        folder, np.rint(values / slope).astype(np.int16), slopes=[slope] * values.shape[2], edit=pet, **where
    )
    body = np.where(values > 0.05, 30, -1000) + np.where(values > 2, 60, 0)
    write_series(folder, body.astype(np.int16), edit=ct, **where)


@pytest.fixture
def viewer(chromium, server, request) -> Iterator[Callable[..., Viewer]]:
    """Opens viewers, each a browser of its own; at the end none may have said an error or asked elsewhere."""
    opened: list[Viewer] = []

    def make(of: Server = server, **context: object) -> Viewer:
        opened.append(Viewer(chromium, of, **context))
        return opened[-1]

    yield make
    faults = []
    for one in opened:
        faults += [text for text in one.errors if not any(known in text for known in KNOWN_ERRORS)]
        faults += [f"asked elsewhere: {url}" for url in one.elsewhere]
        one.close()
    assert not faults, faults
