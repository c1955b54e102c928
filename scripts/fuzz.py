"""`segpet fuzz`: what a server does with requests that no viewer sends."""

import os
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import InputError, app
from scripts.serve import running_server

if TYPE_CHECKING:
    from scripts.fuzzing.attacker import Attacker
    from scripts.fuzzing.openapi import Known
    from scripts.fuzzing.world import World

#: From here on schemathesis tries the limits of every value too; below there is no time for it.
_THOROUGH_MINUTES = 2


@app.command()
def fuzz(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long; half of it each way.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed makes the same requests.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder, also where all is well.")] = False,
) -> None:
    """Attack a server of its own with strange requests, and see that nothing breaks.

    For developers: it starts the real server with digital patients in a scratch folder, and lets loose on it
    schemathesis (requests made from the server's OpenAPI; replies held against it), then forms, files, paths
    and frames that no viewer sends. Claims: no status 500, no request without an answer within a minute, no
    file read or changed outside the studies' labels and the state folder, saved versions untouched, and the
    same click gives the same mask afterwards. What is wrong is printed with a command that repeats it; the
    exit status is then 1.

    `segpet fuzz --minutes 10 --seed 7`
    """
    try:
        from apps.segpet.viewer_package import ViewerError, fetch_viewer
        from scripts.fuzzing import openapi, world
        from scripts.fuzzing.attacker import Attacker

        __import__("schemathesis")
        fetch_viewer(typer.echo)  # its pages are attacked too; without them the server says 503 for a page
    except ImportError as error:
        raise InputError("schemathesis is missing: run `segpet test` once, which installs it.") from error
    except ViewerError as error:
        raise InputError(str(error)) from error
    folder = Path(tempfile.mkdtemp(prefix="segpet-fuzz-")).resolve()
    typer.echo(f"Drawing digital patients in {folder} ...")
    place = world.make_world(folder)
    with _server(place) as url:
        known = openapi.know(url)
        attacker = Attacker(known, place.client, seed)
        mask = _first_click(attacker)
        _save(attacker, mask)
        before, versions = place.seen(), place.versions()
        typer.echo(f"schemathesis, {30 * minutes:.0f} s ...")
        conforms = openapi.attack(known, place.client, 30 * minutes, seed, minutes >= _THOROUGH_MINUTES)
        typer.echo(f"Strange requests, {30 * minutes:.0f} s ...")
        attacker.attack(30 * minutes)
        faults = [*attacker.faults, *_aftermath(place, attacker, mask)]
        faults += [f"touched: {path}" for path in world.changed(before, place.seen())]
        kept = place.versions()
        faults += [
            f"a saved version changed: {path}" for path in versions if kept.get(path) != versions[path]
        ]
        memory = _peak_mb()
    _report(attacker, memory)
    for fault in faults:
        typer.echo(f"WRONG: {fault}", err=True)
    if faults or not conforms:
        typer.echo(f"Found with seed {seed}; all of it is in {folder}, server.log among it.", err=True)
        raise typer.Exit(1)
    typer.echo("Nothing broke, and nothing outside was touched.")
    if not keep:
        shutil.rmtree(folder)


@contextmanager
def _server(place: "World") -> Iterator[str]:
    """Run a server that finds home and temporary files in the scratch world."""
    own = dict(os.environ)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"state": place.state, "labels": "lesion,liver"}
    os.environ.update(place.environment())
    try:
        with running_server(place.studies, port, options, place.folder / "server.log") as url:
            os.environ.clear()
            os.environ.update(own)
            yield url
    finally:
        os.environ.clear()
        os.environ.update(own)


def _first_click(attacker: "Attacker") -> bytes:
    """Return the mask of one click, by a client that has not clicked before; proposals are left aside."""
    from scripts.fuzzing.routes import Asked

    known: Known = attacker.known
    told = f'{{"lesion": [{known.clicks[0]}], "client_id": "c{time.monotonic_ns()}", "reset_state": true}}'
    target = f"/infer/segpet?image={known.names['image'][0]}&output=image"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return attacker.send(Asked("POST", target, form, f"params={told}".encode()), "click").body


def _save(attacker: "Attacker", mask: bytes) -> None:
    """Save a label, so that there is something to lose."""
    import requests

    known = attacker.known
    for image in known.names["image"][:1]:
        reply = requests.put(
            f"{known.url}/datastore/label?image={image}", files={"label": ("mask.nrrd", mask)}, timeout=60
        )
        reply.raise_for_status()


def _aftermath(place: "World", attacker: "Attacker", mask: bytes) -> list[str]:
    """Return what is wrong with the server after all that."""
    faults = []
    seen = len(attacker.faults)
    if _first_click(attacker) != mask:
        faults.append("the same click gives another mask than before")
    faults += attacker.faults[seen:]
    if "Traceback" in (place.folder / "server.log").read_text(errors="replace"):
        faults.append("the server's log holds a stack trace")
    return faults


def _peak_mb() -> float:
    """Return the most memory that a child of this process has held, in MB; 0 where it cannot be told."""
    import psutil

    peaks = [0.0]
    for child in psutil.Process().children():
        status = Path(f"/proc/{child.pid}/status")
        if status.is_file():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            peaks.append(int(lines.get("VmHWM", "0 kB").split()[0]) / 1024)
    return max(peaks)


def _report(attacker: "Attacker", memory: float) -> None:
    """Say what was sent, and how it was answered."""
    kinds = sorted({kind for kind, _ in attacker.replies})
    for kind in kinds:
        counts = Counter({status: n for (of, status), n in attacker.replies.items() if of == kind})
        told = ", ".join(f"{n} x {status}" for status, n in sorted(counts.items()))
        typer.echo(f"  {kind}: {told}")
    typer.echo(
        f"The slowest took {attacker.slowest[0]:.1f} s ({attacker.slowest[1]}); "
        f"the server held {memory:.0f} MB at most."
    )
