"""What every test gets: our own packages first on the path, fixed seeds, the data beside the repository."""

import os
import random
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers that each took all cores would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

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
    """Put the tests in the browser first, which take longest: no worker begins them when others are done."""
    items.sort(key=lambda item: BROWSER not in item.path.parents)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Give a worker the whole of a file, or of the tests in the browser: those that share a server."""
    return Together(config, log)


class Together(LoadScopeScheduling):
    """What a worker is given at once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/browser" if file.startswith("tests/browser/") else file


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run on a CI machine when a test was skipped: there, everything must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):  # a worker has none
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line("\nCI is set: a skipped test is a failure.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
