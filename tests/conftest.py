"""What every test gets: our own packages first on the path, fixed seeds, the data beside the repository."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run on a CI machine when a test was skipped: there, everything must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line("\nCI is set: a skipped test is a failure.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
