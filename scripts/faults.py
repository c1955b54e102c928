"""`segpet faults`: kill a server again and again while people work, and look what is left."""

import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scripts import app
from scripts.outputs import check_output_folder


@app.command()
def faults(
    kills: Annotated[int, typer.Option(min=1, max=10_000, help="How often the server is killed.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of what is done and when it is killed.")] = 0,
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Have weights trained too, and kill trainings.")
    ] = True,
    folder: Annotated[
        Path | None,
        typer.Option(help="A new folder for studies and store, which stay; else one of a moment."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Kill -9 a server at random points of clicks, saves, promotions and trainings, and start it again.

    Three annotators (two of them at one study) and whoever leads the team work over HTTP on digital patients,
    in a folder of its own: yours are not touched. After each kill the store is looked over as `segpet doctor`
    does, the server is started again, and what it had acknowledged is compared with what is there: sessions,
    journals, label versions, impressions, weights, the champion. Takes 3 to 6 s a kill; exit status 1 where
    anything acknowledged is missing or anything is damaged.

    `segpet faults --kills 20`
    """
    from scripts.faulting.run import FaultRun

    if folder:
        check_output_folder(folder)
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        typer.echo("Starting the server ...", err=True)
        run = FaultRun(place, seed, train)
        try:
            with typer.progressbar(length=kills, label="Killing", file=sys.stderr) as bar:
                result = run.run(kills, lambda done: bar.update(1 if done else 0))
        finally:
            run.close()
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2))
    else:
        typer.echo(f"{kills} kills (seed {seed}). Unanswered at the kills: {_listed(result.kills)}.")
        typer.echo(f"Acknowledged requests: {_listed(result.acknowledged)}.")
        typer.echo(
            f"Trainings killed: {_listed(result.trainings_killed) or 'none'}; versions of weights trained: "
            f"{result.trained}. "
            f"Label versions: {result.versions}; lines in journals: {result.events}."
        )
        typer.echo(f"Left behind by kills, harmless: {_listed(result.left) or 'nothing'}.")
        mean = sum(result.restarts) / len(result.restarts)
        typer.echo(f"Back after {mean:.1f} s on average, {max(result.restarts):.1f} s at most.")
        for line in result.broken:
            typer.echo(f"BROKEN  {line}")
        if not result.broken:
            typer.echo("Nothing that was acknowledged is missing; no file is half-written.")
    raise typer.Exit(1 if result.broken else 0)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
