"""`segpet doctor`: whether this machine and a team's store are sound, what is wrong, and repairing it."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError, app
from scripts.test import misfits

if TYPE_CHECKING:
    from lib.store.checkup import Finding

_LEAST_FREE = 1 << 30
_OLDEST, _NEWEST = (3, 11), (3, 12)


@dataclass(frozen=True)
class Check:
    """Something of the machine that was looked at: whether it is as it should be, and what to do if not."""

    what: str
    sound: bool
    told: str


@app.command()
def doctor(
    studies: Annotated[
        str | None,
        typer.Argument(help="The folder, or the DICOMweb URL, that `segpet serve --studies` serves."),
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Its state folder, where `serve` was given one.")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be; what is taken away goes to quarantine/.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check Python, the disk and the weights; of STUDIES all that was saved: journals, labels, weights.

    Says in plain words what is wrong, and what `--repair` would do about it. A repair deletes nothing: it
    moves what is damaged into `quarantine/` of the state folder. A server may run meanwhile, unless
    `--repair` is given. Exit status: 0 sound, 1 something is wrong, 2 it could not be checked.

    `segpet doctor /data/pet`
    """
    from lib.store.state import check_not_newer

    checks = list(_machine())
    findings: list[Finding] = []
    repaired: list[Finding] = []
    if studies is not None:
        folder, place = folders_of(studies, state)
        checks += _places(folder, place)
        if place.is_dir():
            if repair:
                check_not_newer(place)
            findings = found_in(folder, place)
            if repair:
                repaired, findings = _repaired(folder, place, findings)
    elif repair:
        raise InputError("There is nothing to repair: name the studies folder.")
    sound = all(check.sound for check in checks) and all(one.harmless for one in findings)
    if as_json:
        told = {
            "sound": sound,
            "checks": [asdict(check) for check in checks],
            "findings": [_as_dict(one) for one in findings],
            "repaired": [_as_dict(one) for one in repaired],
        }
        typer.echo(json.dumps(told, indent=2))
    else:
        _print(checks, findings, repaired, sound, studies)
    raise typer.Exit(0 if sound else 1)


def _machine() -> Iterator[Check]:
    """Check Python, the packages and the weights that a server would take."""
    from apps.segpet.options import BUNDLED
    from lib.network import CheckpointError
    from lib.network.checkpoints import check_weights
    from lib.network.registry import default_weights

    fits = _OLDEST <= sys.version_info[:2] <= _NEWEST
    yield Check("Python", fits, f"{sys.version.split()[0]}" + ("" if fits else "; SegPET needs 3.11 or 3.12"))
    complaints = misfits()
    yield Check("packages", not complaints, " ".join(complaints) or "fit each other")
    weights = default_weights([BUNDLED])
    if weights is None:
        yield Check("weights", True, "none; only region growing answers (`segpet weights list`)")
        return
    try:
        check_weights(weights.path)
        yield Check("weights", True, f"{weights.path.name}, whole")
    except CheckpointError as error:
        yield Check("weights", False, str(error))


def folders_of(studies: str, state: Path | None, must_exist: bool = True) -> tuple[Path, Path]:
    """Return the folder of the images and the state folder, which may not be there yet.

    Raises InputError: there is no such studies folder, or (`must_exist`) no state folder as it was given.
    """
    from apps.segpet.options import is_url
    from lib.store import default_state

    place = (state or default_state(studies)).expanduser().absolute()
    if is_url(studies):
        return place / "archive", place
    if not Path(studies).expanduser().is_dir():
        raise InputError(f"There is no folder {studies}: name the one that `segpet serve` serves.")
    if must_exist and state is not None and not place.is_dir():
        raise InputError(f"There is no state folder {state}.")
    return Path(studies).expanduser().resolve(), place


def _places(folder: Path, place: Path) -> Iterator[Check]:
    """Check the disk below the folders, and whether they may be written."""
    from lib.store.locks import is_held

    if not place.is_dir():
        yield Check("store", True, f"{place} is not there yet: nothing was saved so far")
        place = place.parent
    while not place.is_dir():
        place = place.parent
    for one in (folder, place):
        if one.is_dir():
            free = shutil.disk_usage(one).free
            enough = free >= _LEAST_FREE
            told = f"{free / 1e9:.1f} GB free at {one}"
            yield Check("disk", enough, told + ("" if enough else "; labels need some: free it"))
    for name, one in (("studies", folder), ("store", place)):
        if one.is_dir():
            may = os.access(one, os.R_OK | os.W_OK | os.X_OK)
            yield Check(name, may, f"{one}" + ("" if may else " may not be written by who runs this"))
    running = [
        name
        for name, lock in (("a server", "server.lock"), ("a training", "training/lock"))
        if is_held(place / lock)
    ]
    yield Check("running", True, " and ".join(running) or "nothing")


def found_in(folder: Path, place: Path) -> "list[Finding]":
    """Return all that is found in a studies folder and its state folder; of a newer SegPET's, that it is."""
    from lib.learning.studies import studies_of
    from lib.store import StoreError
    from lib.store.checkup import Finding, check_state, check_studies
    from lib.store.state import check_not_newer

    try:
        check_not_newer(place)
    except StoreError as error:
        return [Finding(place / "format", str(error))]
    found = list(check_state(place))
    if folder.is_dir():
        images = {name: image for name, image, _ in studies_of(folder)}
        found += check_studies(place, folder, images)
    return found


def _repaired(folder: Path, place: Path, findings: "list[Finding]") -> "tuple[list[Finding], list[Finding]]":
    """Repair, and return what was repaired and what is left."""
    from lib.store.checkup import Aside
    from lib.store.locks import hold

    if not hold(place / "server.lock"):
        raise InputError("A server is using the state folder: stop it before anything is repaired.")
    aside, done = Aside(place, folder), []
    for one in findings:
        if one.mend:
            with suppress(FileNotFoundError):  # it went with what was moved before
                one.mend(aside)
                done.append(one)
    return done, found_in(folder, place)


def _as_dict(finding: "Finding") -> dict[str, Any]:
    return {
        "path": str(finding.path),
        "what": finding.what,
        "remedy": finding.remedy,
        "harmless": finding.harmless,
    }


def _print(
    checks: list[Check],
    findings: "list[Finding]",
    repaired: "list[Finding]",
    sound: bool,
    studies: str | None,
) -> None:
    for check in checks:
        typer.echo(f"{'ok' if check.sound else '!!'}  {check.what}: {check.told}")
    for one in repaired:
        typer.echo(f"\nrepaired  {one.path}\n    {one.what}\n    {one.remedy}")
    for one in findings:
        typer.echo(f"\n{'--' if one.harmless else '!!'}  {one.path}\n    {one.what}")
        if one.remedy:
            typer.echo(f"    With --repair: {one.remedy[0].lower()}{one.remedy[1:]}")
    if studies is None:
        typer.echo("\nName a studies folder to have its store checked.")
    elif sound:
        rest = " Lines with -- cost nothing." if findings else ""
        typer.echo(f"\nSound: nothing is damaged, or missing of what the store has a record of.{rest}")
    else:
        typer.echo("\nNot sound: see the lines with !!.")
