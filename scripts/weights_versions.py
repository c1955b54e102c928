"""`segpet weights promote`, `rollback` and `rule`: which of the weights trained here answer, and when."""

import json
import sys
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError
from scripts.weights import AsJson, weights

if TYPE_CHECKING:
    from lib.store import Audit, Models

Studies = Annotated[Path, typer.Argument(help="The folder that `segpet serve` serves.")]
State = Annotated[
    Path | None, typer.Option(help="State folder; .segpet/NAME beside the studies folder if not given.")
]


class Trainer(StrEnum):
    """Whose versions: of the network's weights, or of the language model's adapters."""

    segpet = "segpet"
    impression = "impression"


Whose = Annotated[
    Trainer, typer.Option(help="segpet: versions of the network; impression: the language model's adapters.")
]


@weights.command()
def promote(
    studies: Studies,
    version: Annotated[int, typer.Argument(help="Its number, see `segpet weights list STUDIES`.")],
    trainer: Whose = Trainer.segpet,
    state: State = None,
) -> None:
    """Let a trained version answer, whatever the rule says; a running server takes it without a restart.

    `segpet weights promote /data/pet 3`
    """
    from lib.store import operator

    promoted = models_of(studies, state, trainer).promote(version)
    audit_of(studies, state).append("promotion", operator(), trainer=trainer.value, version=version)
    typer.echo(f"{promoted.name} ({promoted.digest[:12]}) is the champion now.")


@weights.command()
def rollback(studies: Studies, trainer: Whose = Trainer.segpet, state: State = None) -> None:
    """Let the weights that answered before the present champion answer again.

    `segpet weights rollback /data/pet`
    """
    from lib.store import operator

    champion = models_of(studies, state, trainer).rollback()
    audit_of(studies, state).append("rollback", operator(), trainer=trainer.value)
    now = f"{champion.name} ({champion.digest[:12]}) is" if champion else "The server's own weights are"
    typer.echo(f"{now} the champion again.")


@weights.command()
def rule(
    studies: Studies,
    state: State = None,
    confidence: Annotated[
        float | None, typer.Option(help="Of the interval in which the gain must lie above --gain.")
    ] = None,
    gain: Annotated[float | None, typer.Option(help="Dice that must surely be gained.")] = None,
    clicks: Annotated[
        int | None, typer.Option(help="After how many clicks Dice counts: 1, 3 or 5; -1: the mean over them.")
    ] = None,
    loss: Annotated[
        float | None, typer.Option(help="Dice that may be lost on phantoms of what was known.")
    ] = None,
    fewest: Annotated[int | None, typer.Option(help="Frozen patients that there must be.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show, or with options change, when newly trained weights become the champion.

    `segpet weights rule /data/pet --confidence 0.9 --clicks 1`
    """
    from lib.learning.promotion import read_rule, write_rule

    folder = models_of(studies, state).folder
    asked: dict[str, Any] = {"confidence": confidence, "gain": gain, "loss": loss, "fewest": fewest}
    asked = {name: value for name, value in asked.items() if value is not None}
    if clicks is not None:
        asked["clicks"] = None if clicks == -1 else clicks
    now = read_rule(folder)
    if asked:
        now = replace(now, **asked)
        write_rule(folder, now)
    if as_json:
        typer.echo(json.dumps(asdict(now), indent=2))
        return
    when = "in the mean over clicks" if now.clicks is None else f"after click {now.clicks}"
    typer.echo(
        f"New weights are promoted if on at least {now.fewest} frozen patients the "
        f"{now.percent} interval of their gain in Dice {when} lies above {now.gain:g}, "
        f"and at most {now.loss:g} is lost on phantoms of what was known."
    )


def models_of(studies: Path, state: Path | None, trainer: Trainer = Trainer.segpet) -> "Models":
    """Return the model registry of a studies folder; InputError where there is no such folder."""
    from lib.store import Models, open_state

    if state is None and not studies.is_dir():
        raise InputError(f"There is no folder {studies}: name the one that `segpet serve` serves.")
    folder = "adapters" if trainer is Trainer.impression else "models"
    return Models(open_state(str(studies), state).folder(folder))


def audit_of(studies: Path, state: Path | None) -> "Audit":
    """Return the audit log of a studies folder."""
    from lib.store import Audit, open_state

    return Audit(open_state(str(studies), state).folder("audit"))


def list_versions(studies: Path, state: Path | None, as_json: bool) -> None:
    """Print the versions of weights that were trained on the labels of a studies folder."""
    from lib.store import StoreError

    models, versions = models_of(studies, state), []
    for number in models.numbers():
        try:
            versions.append(models.version(number))
        except StoreError:
            typer.echo(f"Version {number} is damaged: `segpet doctor` tells more.", err=True)
    champion = next(reversed(models.champions()), None)
    if as_json:
        rows = [
            {
                "version": one.number, "name": one.name, "path": str(one.path), "sha256": one.digest,
                "time": one.time, "champion": one.number == champion, "card": one.card,
            }
            for one in versions
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=2))
        return
    answers = f"version-{champion}" if champion else "the weights that the server is started with"
    if not versions:
        typer.echo(f"No weights were trained on these studies yet; what answers: {answers}.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    clicks = sorted({number for one in versions for number in _scores(one.card, "after")}, key=int)
    heads = [f"Dice after {number}" for number in clicks]
    table = Table(
        "",
        "version",
        "trained",
        "mode",
        "tracer",
        "learnt from",
        "measured on",
        *heads,
        "decision",
        "SHA-256",
        box=box.SIMPLE,
    )
    for one in versions:
        before, after = _scores(one.card, "before"), _scores(one.card, "after")
        data = one.card.get("data", {})
        changes = [f"{before.get(n, float('nan')):.3f} -> {after.get(n, float('nan')):.3f}" for n in clicks]
        counts = [str(len(data.get(part, ()))) for part in ("training", "validation")]
        told = [str(one.card.get(key) or "-") for key in ("mode", "tracer")]
        decision = str(one.card.get("short") or "-")
        mark = "*" if one.number == champion else ""
        table.add_row(
            mark, str(one.number), one.time[:16], *told, *counts, *changes, decision, one.digest[:12]
        )
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    typer.echo(f"* the champion: {answers}. `segpet weights promote` and `rollback` change it.")


def _scores(card: dict[str, Any], when: str) -> dict[str, float]:
    """Return the mean Dice on the frozen set by number of clicks."""
    by_clicks: dict[str, list[float]] = {}
    for study in card.get("validation", {}).get(when, {}).values():
        for number, value in study.items():
            by_clicks.setdefault(number, []).append(value)
    return {number: sum(values) / len(values) for number, values in by_clicks.items()}
