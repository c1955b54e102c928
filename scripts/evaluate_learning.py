"""`segpet evaluate learning`: what labels are worth, in simulated campaigns."""

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError
from scripts.chosen_weights import chosen_weights
from scripts.evaluate import evaluate
from scripts.outputs import check_output_folder

if TYPE_CHECKING:
    from lib.learning.campaign import Campaign, Result, Strategy
    from lib.learning.cases import CaseFiles
    from lib.learning.studies import Source
    from lib.network.checkpoints import Network

#: Seeds of a new tracer's phantoms: those to label, and those to measure on.
_TO_LABEL, _TO_MEASURE = 7000, 7500
_LESIONS = 8
_RESULTS = "results.jsonl"


@evaluate.command()
def learning(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for results.jsonl, summary.json, table.md, curves.svg."),
    ],
    cases: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of cases, as `segpet evaluate segmentation` takes it; each crop is set into a body. "
            "Without one, phantoms of --tracer."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Weights to begin with: a file or a name; the best ones if not given.")
    ] = None,
    tracer: Annotated[
        str | None, typer.Option(help="New tracer of the phantoms; DOTATATE if not given. Not with cases.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(help="Strategies to compare.")
    ] = "random,uncertain,mixed",
    labels: Annotated[str, typer.Option(help="Numbers of labels after which it is trained.")] = "5,10,20",
    test: Annotated[int, typer.Option(min=1, help="Studies that are never labelled.")] = 6,
    seeds: Annotated[int, typer.Option(min=1, help="Campaigns of each strategy.")] = 3,
    corrupt: Annotated[
        float | None,
        typer.Option(
            min=0, max=1,
            help="Make this share of the labels wrong (eroded, dilated, shifted, missing), and compare plain "
            "training with confident learning instead of strategies.",
        ),
    ] = None,
    mode: Annotated[str, typer.Option(help="decoder, lora or full.")] = "decoder",
    epochs: Annotated[int, typer.Option(min=1, help="Of every training.")] = 8,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    regions: Annotated[int, typer.Option(min=1, help="Regions of each object.")] = 8,
    phantoms: Annotated[
        int, typer.Option(min=0, help="Phantoms of old tracers to learn from, and as many to measure on.")
    ] = 4,
) -> None:  # fmt: skip
    """Let studies be labelled one after another, train on them, and measure what it was worth.

    Labels are the truth that your cases have. After each number of labels the base is fine-tuned anew, and
    measured on studies that nobody labelled and on phantoms of FDG and PSMA. Every campaign is on disk when
    it is done: the same command goes on after a stop.

    `segpet evaluate learning cases/ --strategies random,uncertain -o campaign/`
    """
    from lib.learning.campaign import run
    from lib.learning.campaign_report import plot, summarise_campaigns, table
    from lib.network import load_network
    from lib.store import write_atomic

    if cases and tracer is not None:
        raise InputError("--tracer is that of phantoms: give cases or --tracer.")
    tracer = tracer or "DOTATATE"
    check_output_folder(output)
    budgets, network = _numbers(labels), load_network(chosen_weights(base, "name some with --base"))
    found = _found(cases) if cases else None
    studied = _checksum(found) if found else f"{tracer} phantoms"
    settings = {
        "cases": studied, "base": network.digest, "labels": labels, "test": test,
        "corrupt": corrupt, "mode": mode, "epochs": epochs, "rate": rate, "regions": regions,
        "phantoms": phantoms,
    }  # fmt: skip
    campaigns = _campaigns(
        found, network, tracer, strategies, budgets, test, seeds, corrupt, mode, epochs, rate, regions,
        phantoms, output,
    )  # fmt: skip
    first = next(campaigns)  # refuses what it cannot do before anything is written
    done = _done(output, settings)
    for name, strategy, seed, campaign in itertools.chain([first], campaigns):
        if any((one.strategy, one.seed) == (name, seed) for one in done):
            continue
        # Of the same wrong labels, plain and confident training make different things.
        known = [one for one in done if corrupt is None or not one.labels]
        results = run(campaign, name, strategy, seed, lambda text: typer.echo(text, err=True), known)
        done += [replace(one, chosen=tuple(one.chosen)) for one in results]
        write_atomic(output / _RESULTS, "".join(json.dumps(one.as_dict()) + "\n" for one in done))
        summary = {"settings": settings, "strategies": summarise_campaigns(done)}
        write_atomic(output / "summary.json", json.dumps(summary, indent=2) + "\n")
        write_atomic(output / "table.md", table(done))
        write_atomic(output / "curves.svg", plot(done, "Dice after 1 click"))
    sys.stdout.write(table(done))


def _campaigns(
    cases: "list[CaseFiles] | None",
    network: "Network",
    tracer: str,
    strategies: str,
    budgets: list[int],
    test: int,
    seeds: int,
    corrupt: float | None,
    mode: str,
    epochs: int,
    rate: float | None,
    regions: int,
    phantoms: int,
    output: Path,
) -> "Iterator[tuple[str, Strategy, int, Campaign]]":
    """Yield the campaigns: every strategy of a seed before the next seed, so that a stop leaves pairs."""
    from lib.learning.campaign import Campaign, at_random
    from lib.learning.phantom_studies import rehearsed, retained, watched
    from lib.learning.simulated_studies import with_wrong_labels
    from lib.learning.tuning_recipe import FineTuning

    recipe = FineTuning(mode=mode, epochs=epochs, rate=rate)  # type: ignore[arg-type]
    chosen = _strategies(strategies)
    for seed in range(seeds):
        pool, measured = _studies(cases, tracer, max(budgets), test, seed)
        campaign = Campaign(
            network, pool, measured, retained(phantoms), rehearsed(phantoms), watched(phantoms), budgets,
            recipe, output, regions,
        )  # fmt: skip
        if corrupt is None:
            for name, strategy in chosen.items():
                yield name, strategy, seed, campaign
            continue
        wrong = with_wrong_labels(pool[: max(budgets)], corrupt, seed)  # all are labelled: the share is exact
        for name in ("plain", "confident"):
            arm = replace(campaign, pool=wrong, recipe=replace(recipe, confident=name == "confident"))
            yield name, at_random, seed, arm


def _studies(
    cases: "list[CaseFiles] | None", tracer: str, count: int, test: int, seed: int
) -> "tuple[list[Source], list[Source]]":
    """Return the studies to label and those to measure on; of cases each seed has another split."""
    import numpy as np

    from lib.learning.phantom_studies import PhantomStudy
    from lib.learning.simulated_studies import EmbeddedStudy

    if cases is None:
        if 2 * count > _TO_MEASURE - _TO_LABEL:
            most = (_TO_MEASURE - _TO_LABEL) // 2
            raise InputError(f"There are phantoms for {most} labels: ask for fewer.")
        first = 1000 * seed
        pool: list[Any] = [PhantomStudy(tracer, _TO_LABEL + first + n, _LESIONS, 0) for n in range(2 * count)]
        return pool, [PhantomStudy(tracer, _TO_MEASURE + first + n, _LESIONS, 0) for n in range(test)]
    if len(cases) < count + test:
        raise InputError(
            f"{len(cases)} cases are too few for {count} labels and {test} to measure on: ask for fewer."
        )
    studies: list[Any] = [EmbeddedStudy(files, 7) for files in cases]
    order = np.random.default_rng(seed).permutation(len(studies)).tolist()
    mixed = [studies[place] for place in order]
    return mixed[:-test], mixed[-test:]


def _found(folder: Path) -> "list[CaseFiles]":
    """Return the cases of a folder; CaseError where the values of one are no SUV."""
    from lib.learning.cases import check_suv, find_cases
    from lib.pet import read_volume

    cases = find_cases(folder)
    for files in cases:
        check_suv(files.name, read_volume(files.image))
    return cases


def _checksum(cases: "list[CaseFiles]") -> str:
    """Return what tells one folder of cases from another: their names, sizes and times."""
    from lib.pet.sidecar import with_sidecar

    told = [
        (files.name, *((part.stat().st_size, part.stat().st_mtime_ns) for part in parts))
        for files in cases
        for parts in [(*with_sidecar(files.image), files.mask)]
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _strategies(text: str) -> "dict[str, Strategy]":
    from lib.learning.campaign import strategies

    all_of_them = strategies()
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in all_of_them]:
        raise InputError(f"There is no strategy {unknown[0]}; there are {', '.join(all_of_them)}.")
    return {name: all_of_them[name] for name in names}


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise InputError(f"'{text}' is no list of numbers: give whole numbers as 5,10,20.") from error
    if numbers[0] < 1:
        raise InputError("Numbers of labels must be 1 or more.")
    return numbers


def _done(folder: Path, settings: dict[str, Any]) -> "list[Result]":
    """Return the results in a folder, to go on from.

    Raises:
        InputError: they are damaged, or of other settings.
    """
    from lib.learning.campaign import Result
    from lib.store import write_atomic

    file, told, done = folder / _RESULTS, folder / "settings.json", []
    if file.exists():
        try:
            same = json.loads(told.read_text()) == settings
            done = [Result(**json.loads(line)) for line in file.read_text().splitlines()]
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"The results in {folder} are damaged: name another folder.") from error
        if not same:
            raise InputError(f"{folder} holds results of other settings: name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(told, json.dumps(settings, indent=2) + "\n")
    return done
