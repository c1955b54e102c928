"""What every test gets: our own packages first on the path, fixed seeds, the data beside the repository."""

import os
import random
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # workers that each took all cores would wait for each other

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
BROWSER = ROOT / "tests/browser"
sys.path.insert(0, str(ROOT))  # MONAI Label's wheel installs a top-level package `tests`; ours comes first


@pytest.fixture(autouse=True)
def seeds():
    """The same random numbers in every test, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - MONAI and TorchIO draw from the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of specifications, parity kit and data beside the repository; where absent, a skip."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared folder beside the repository")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell workers which tests share a server, and go together; first the browser's, which take longest."""
    for item in items:
        together = BROWSER if BROWSER in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(together.relative_to(ROOT))))
    items.sort(key=lambda item: BROWSER not in item.path.parents)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run on a CI machine when a test was skipped: there, everything must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):  # a worker has none
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line("\nCI is set: a skipped test is a failure.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
