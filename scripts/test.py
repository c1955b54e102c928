"""`segpet test`: every check that a change has to pass."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts import app

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ("ruff check", "ruff format --check", "mypy")
#: Of the whole suite: while a worker waits for a server or a browser, another computes.
WORKERS = "-n 2 --no-loadscope-reorder --durations=20"


@app.command(context_settings={"ignore_unknown_options": True})
def test(
    pytest_arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Passed on to pytest: a file, -k NAME, -x, ...", show_default=False),
    ] = None,
) -> None:
    """Check this copy of SegPET: style, types, installed packages, then the tests.

    All checks run, also after one has failed; the exit status is 0 only when all passed. With CI set in the
    environment a skipped test counts as a failure. All tests are shared by two workers; with arguments for
    pytest there is one process, unless they say otherwise (-n 2).

    To run one test while working on it: `segpet test -k NAME -x`.
    """
    failed = [check for check in CHECKS if not passes(check.split())]
    if not packages_fit():
        failed.append("pip check")
    if not passes(["pytest", *(pytest_arguments or WORKERS.split())]):
        failed.append("pytest")
    if failed:
        typer.echo(f"Failed: {', '.join(failed)}.", err=True)
        raise typer.Exit(1)


def passes(module: list[str]) -> bool:
    """Run a Python module with its arguments in the repository's root; its output goes to the terminal."""
    typer.secho(f"$ {' '.join(module)}", bold=True)
    return subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=False).returncode == 0


def packages_fit() -> bool:
    """Run `pip check`, and say what it complains of."""
    typer.secho("$ pip check (but for what monailabel asks for and does not get)", bold=True)
    complaints = misfits()
    typer.echo("\n".join(complaints) or "No broken requirements found.")
    return not complaints


def misfits() -> list[str]:
    """Return the lines of `pip check` but for those on monailabel, whose requirements are partly left out."""
    command = [sys.executable, "-m", "pip", "check"]
    checked = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    if checked.returncode and not checked.stdout:
        return ["pip check failed."]
    lines = checked.stdout.splitlines() if checked.returncode else []
    return [line for line in lines if not line.startswith("monailabel ")]
