import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lib.store import StoreError
from scripts import Commands
from scripts import test as checks
from scripts.__main__ import app

ROOT = Path(__file__).resolve().parents[2]


def run_raising(error):
    """A command line like SegPET's, with one command that raises."""
    commands = typer.Typer(cls=Commands)

    @commands.callback()
    def root() -> None: ...

    @commands.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(commands, ["fail"])


def test_bad_input_is_one_sentence_and_exit_status_2():
    result = run_raising(StoreError("A study needs a name that is not empty."))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "A study needs a name that is not empty.\n"


def test_a_file_that_cannot_be_opened_is_one_sentence_and_exit_status_2():
    result = run_raising(FileNotFoundError(2, "No such file or directory", "mask.nii.gz"))
    assert (result.exit_code, result.stderr) == (2, "mask.nii.gz: No such file or directory.\n")


def test_a_full_disk_is_one_sentence_and_exit_status_2():
    result = run_raising(OSError(28, "No space left on device"))
    assert (result.exit_code, result.stderr) == (2, "A file could not be written: No space left on device.\n")


@pytest.mark.parametrize("error", [ValueError("shapes (2,) (3,)"), OSError("no file at all"), KeyError("x")])
def test_a_fault_of_the_program_keeps_its_trace(error):
    assert run_raising(error).exception is error


def test_help_loads_nothing_heavy():
    code = "import sys, scripts.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "monai", "monailabel", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "fastapi"}
    assert heavy & set(loaded.stdout.split()) == set()


@pytest.mark.parametrize("command", [info.name or info.callback.__name__ for info in app.registered_commands])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and f"Usage: root {command} " in result.stdout


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"segpet {project['version']}\n")


@pytest.fixture
def ran(monkeypatch):
    """Modules that `segpet test` ran, with the exit status each shall have (0 where none is set)."""
    statuses = {"pip": (1, "monailabel 0.8.5 requires bcrypt, which is not installed.\n")}
    asked = []

    def run(command, **options):
        assert command[:2] == [sys.executable, "-m"] and options["cwd"] == ROOT
        asked.append(command[2:])
        status, out = statuses.get(command[2], (0, ""))
        return subprocess.CompletedProcess(command, status, out)

    monkeypatch.setattr(checks.subprocess, "run", run)
    return statuses, asked


def test_the_checks_run_in_order_and_pytest_gets_what_is_left(ran):
    result = CliRunner().invoke(app, ["test", "-k", "a name", "tests/store", "--co"])
    assert result.exit_code == 0
    assert ran[1] == [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["pip", "check"],
        ["pytest", "-k", "a name", "tests/store", "--co"],
    ]
    assert "$ mypy" in result.stdout


def test_two_workers_share_the_whole_suite(ran):
    assert CliRunner().invoke(app, ["test"]).exit_code == 0
    assert ran[1][-1][:3] == ["pytest", "-n", "2"]


@pytest.mark.parametrize("fails", ["ruff", "mypy", "pytest"])
def test_all_checks_run_when_one_fails_and_the_exit_status_says_so(ran, fails):
    statuses, asked = ran
    statuses[fails] = (3, "")
    result = CliRunner().invoke(app, ["test"])
    assert result.exit_code == 1 and fails in result.stderr
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("status", "out", "passes"),
    [
        (0, "No broken requirements found.\n", True),
        (1, "monailabel 0.8.5 requires bcrypt, which is not installed.\n", True),
        (1, "monailabel 0.8.5 requires x.\nnibabel 5.4.2 requires y, which is not installed.\n", False),
        (1, "", False),  # pip itself broke
    ],
)
def test_only_what_monailabel_lacks_may_be_missing(ran, status, out, passes):
    ran[0]["pip"] = (status, out)
    result = CliRunner().invoke(app, ["test"])
    assert (result.exit_code == 0) == passes
    assert ("nibabel 5.4.2 requires y" in result.stdout) == ("nibabel" in out)
