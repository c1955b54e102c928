"""`segpet next`: which studies to label next."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import InputError, app
from scripts.chosen_weights import chosen_weights

if TYPE_CHECKING:
    from lib.interaction import Engine
    from lib.store import StateFolder


class Strategy(StrEnum):
    """How to choose."""

    random = "random"
    uncertain = "uncertain"
    mixed = "mixed"


@app.command("next")
def next_studies(
    studies: Annotated[Path, typer.Argument(help="The folder that `segpet serve` serves.")],
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="random; uncertain: where the network's masks disagree most when clicks are moved; mixed: "
            "uncertain in objects or around them by turns, with chance that fades as labels come in."
        ),
    ] = Strategy.uncertain,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many studies.")] = 1,
    tracer: Annotated[str | None, typer.Option(help="Only studies of this tracer, such as FDG.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Weights to ask while there is no champion: a file or a name."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="State folder; .segpet/NAME beside the studies folder if not given."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="What the values are of files that do not say it: SUVbw or Bq/ml.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; a GPU if not given.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of chance; another each time if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores too, as JSON.")] = False,
) -> None:
    """Say which studies without a final label to label next.

    Looks at studies that are not scored yet, some seconds for each, and keeps the scores in the state folder,
    where a server finds them. Studies that somebody has open are left out.

    `segpet next /data/pet --strategy mixed --tracer FDG -n 5`
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from infer_tasks.volumes import Volumes
    from lib.learning.next_study import SCORED, StudyScores, of_tracer, ranked
    from lib.learning.studies import studies_of
    from lib.pet import VolumeError
    from lib.pet.organs import find_organ_map
    from lib.store import Leases, open_state

    if not studies.is_dir():
        raise InputError(f"There is no folder {studies}: name the one that `segpet serve` serves.")
    opened = open_state(str(studies), state)
    busy = Leases(opened.folder("leases")).all()
    listed = studies_of(studies)
    images = {name: image for name, image, is_final in listed if not is_final and name not in busy}
    labels = sum(is_final for _, _, is_final in listed)
    random = np.random.default_rng(seed)
    scored = strategy in SCORED
    engine = _engine(opened, model, device) if scored else None
    scores, volumes = StudyScores(opened.folder("scores")), Volumes(unit, limit_bytes=0)
    names, found = sorted(images), []
    with Progress(console=Console(stderr=True), transient=True) as bars:
        for place in bars.track(random.permutation(len(names)), description="looking at studies"):
            name = names[place]
            try:
                organ_map = find_organ_map(studies, name)
                score = scores.look(name, images[name], volumes.get, engine, organ_map=organ_map)
            except (VolumeError, OSError) as error:
                typer.echo(f"{name} is left out: {error}", err=True)
                continue
            found += of_tracer([score], tracer) if tracer else [score]
            if not scored and len(found) == count:
                break
    order = ranked(strategy, found, labels, random) if scored else []
    placed = set(order)
    # Of the rest nothing is known that a strategy could go by.
    order += [score.study for score in found if score.study not in placed]
    if not order:
        raise InputError("No study is left to label" + (f" of the tracer {tracer}." if tracer else "."))
    if as_json:
        told = {score.study: score for score in found}
        rows = [
            {
                "study": name,
                "tracer": told[name].tracer if name in told else None,
                "disagreement": told[name].disagreement if name in told else None,
                "entropy": dict(told[name].entropy) if name in told else {},
            }
            for name in order[:count]
        ]
        typer.echo(json.dumps({"strategy": strategy.value, "studies": rows}, indent=2))
        return
    typer.echo("\n".join(order[:count]))


def _engine(state: "StateFolder", model: str | None, device: str | None) -> "Engine":
    """Return the engine of the champion, or where there is none of the weights that were named."""
    from lib.interaction import Engine, NetworkSegmenter
    from lib.network import load_network, usable_device
    from lib.store import Models

    if champion := Models(state.folder("models")).champion():
        path = champion.path
    else:
        path = chosen_weights(model, "name some with --model, or use --strategy random")
    network = load_network(path, usable_device(device), cache=state.folder("weights"))
    return Engine(NetworkSegmenter(network))
