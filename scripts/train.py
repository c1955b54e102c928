"""`segpet train`: weights from data."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts import InputError, app, named_unit
from scripts.chosen_weights import chosen_weights

train = typer.Typer(help="Train networks.", no_args_is_help=True)
app.add_typer(train, name="train")


class Mode(StrEnum):
    """Which weights change."""

    decoder = "decoder"
    lora = "lora"
    full = "full"


class Labels(StrEnum):
    """Which labels are learnt from."""

    final = "final"
    all = "all"


@train.command()
def segmentation(
    studies: Annotated[
        Path,
        typer.Argument(
            help="The folder that `segpet serve` serves, with its saved labels; or cases with masks, as "
            "`segpet evaluate segmentation` takes them."
        ),
    ],
    mode: Annotated[
        Mode,
        typer.Option(
            help="decoder: the encoder stays, its embeddings are computed once and kept; lora: adapters on "
            "the encoder too; full: everything (a GPU's work for SegAnyPET)."
        ),
    ] = Mode.decoder,
    model: Annotated[
        str | None,
        typer.Option(
            help="Weights to begin with while there is no champion: a file or a name (`segpet weights list`)."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="State folder; .segpet/NAME beside the studies folder if not given."),
    ] = None,
    labels: Annotated[
        Labels,
        typer.Option(
            help="final: labels that somebody vouches for; all: drafts and a model's own as well, doubted "
            "where several prompt sets agree on something else (confident learning)."
        ),
    ] = Labels.final,
    epochs: Annotated[int, typer.Option(min=1, help="At most; it ends where nothing gets better.")] = 20,
    rate: Annotated[
        float | None, typer.Option(help="Highest learning rate; the mode's own if not given.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Regions in memory at once.")] = 4,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches to a step.")] = 1,
    rank: Annotated[int, typer.Option(min=1, help="Of lora's adapters.")] = 8,
    phantoms: Annotated[
        int,
        typer.Option(
            min=0, help="Digital patients learnt from beside the labels, so that nothing is forgotten."
        ),
    ] = 4,
    confident: Annotated[
        bool, typer.Option("--confident/--plain", help="Doubt labels that nobody vouches for, or do not.")
    ] = True,
    unit: Annotated[
        str | None, typer.Option(help="What the values are of files that do not say it: SUVbw or Bq/ml.")
    ] = None,
    tracer: Annotated[
        str | None,
        typer.Option(
            help="Tracer of the studies, for the version's card; if not given, what all headers name."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, mps; a GPU where there is one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Fine-tune the network on your saved labels, and promote it if it got better.

    The first training keeps some patients apart, for good: on these, old and new weights are measured. New
    weights become the champion only if they are better there beyond chance and have lost nothing on digital
    phantoms; a running server then takes them. Ctrl+C keeps a checkpoint; the same command goes on from it,
    also after a crash.

    `segpet train segmentation /data/pet --unit SUVbw`
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from lib.learning.finetuning import Stopped
    from lib.learning.tuning_job import LABELS, Job, train_segmentation
    from lib.learning.tuning_recipe import FineTuning
    from lib.network import usable_device
    from lib.store import Audit, Models, open_state, operator

    unit = named_unit(unit)
    if not studies.is_dir():
        raise InputError(f"There is no folder {studies}: name the one that `segpet serve` serves.")
    base = chosen_weights(model, "name some with --model")
    recipe = FineTuning(
        mode=mode.value, epochs=epochs, rate=rate, batch=batch, accumulate=accumulate, rank=rank,
        confident=confident, seed=seed,
    )  # fmt: skip
    opened = open_state(str(studies), state)
    audit = Audit(opened.folder("audit"))
    if model and (champion := Models(opened.folder("models")).champion()):
        typer.echo(
            f"The champion, version {champion.number}, is trained: --model counts while there is none.",
            err=True,
        )
    job = Job(studies, opened, base, recipe, unit, LABELS[labels], tracer, usable_device(device), phantoms)

    is_logged = False
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[dice]}"))
    clock = TimeElapsedColumn()
    with (
        _stoppable() as stop,
        Progress(*columns, clock, console=Console(stderr=True), transient=True) as bars,
    ):
        bar = bars.add_task("reading", total=1.0, dice="")

        def show(fields: dict[str, Any]) -> None:
            nonlocal is_logged
            if not is_logged:  # what is refused before, as while another runs, has never started
                audit.append("training started", operator(), trainer="segpet")
                is_logged = True
            curve = [epoch["dice"] for epoch in fields["curve"] if epoch["dice"]]
            dice = f"Dice after 1 click {curve[0]['1']:.3f} -> {curve[-1]['1']:.3f}" if curve else ""
            name = f"epoch {fields['epoch']}" if fields["stage"] == "training" else fields["stage"]
            share = min(fields["share"], 0.999)  # the clock of a bar that was full once stands still
            bars.update(bar, completed=share, description=name, dice=dice)

        try:
            outcome = train_segmentation(job, show, stop)
        except Stopped:
            typer.echo("Stopped; the same command goes on from here.", err=True)
            raise typer.Exit(130) from None
    told = {"trainer": "segpet", "version": outcome.version.number, "promoted": outcome.promoted}
    audit.append("training ended", operator(), **told)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))  # a server keeps what is printed in its log
        return
    for warning in outcome.warnings:
        typer.echo(warning, err=True)
    dices = ", ".join(f"{outcome.before[n]:.3f} -> {outcome.after[n]:.3f} after {n}" for n in outcome.before)
    typer.echo(f"Version {outcome.version.number}. {outcome.why}")
    typer.echo(
        f"Dice on the frozen patients, by clicks: {dices}. {outcome.seconds / 60:.1f} minutes of training."
    )


@train.command()
def bundled(
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write (.safetensors).")],
    work: Annotated[
        Path, typer.Option(help="Folder for checkpoint, phantoms and log; a killed run goes on from it.")
    ],
    cases: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of cases NAME/PET_image.nii.gz with NAME/PET_mask.nii.gz; "
            "without one, synthetic scenes only."
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so many minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="End after so many steps.")] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Case kept for testing; repeat for several.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights of a compact network to begin with; new ones if not given.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    phantoms: Annotated[int, typer.Option(min=0, help="Whole-body phantoms to learn from.")] = 60,
    batch: Annotated[int, typer.Option(min=2, help="Scenes a thread and step.")] = 4,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads that learn side by side.")] = 2,
    share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of the trained weights in what comes out; the rest are --start's."),
    ] = 1.0,
) -> None:
    """Train the compact network that comes with SegPET, on real cases and synthetic scenes.

    `segpet train bundled CASES -o compact.safetensors --work DIR --minutes 60`
    """
    import copy

    import torch
    from rich.progress import Progress as Bar

    from lib.learning.blending import between
    from lib.learning.bodies import make_training_phantoms
    from lib.learning.patients import read_patients
    from lib.learning.pretraining import Progress, Recipe, Training
    from lib.learning.scenes import Scenes
    from lib.network import CompactConfig, CompactPET, load_network, save_network

    if share < 1 and start is None:
        raise InputError("Without --start all weights are the trained ones: leave --share out.")
    recipe = Recipe(steps=steps, minutes=minutes, seed=seed, batch=batch, rate=rate, threads=threads)
    torch.manual_seed(seed)
    network = (
        CompactPET(CompactConfig(fine_spacing=2.0, wide_spacing=6.0, far_spacing=8.0))
        if start is None
        else load_network(start)
    )
    if not isinstance(network, CompactPET):
        raise InputError(f"{start} holds no compact network: begin with one, or with none.")
    config, begun = network.config, copy.deepcopy(network)
    work.mkdir(parents=True, exist_ok=True)
    patients = read_patients(cases) if cases else []
    if unknown := set(leave_out or ()) - {patient.name for patient in patients}:
        raise InputError(f"There is no case {sorted(unknown)[0]} in {cases or 'no folder'}.")
    patients = [patient for patient in patients if patient.name not in (leave_out or ())]
    if cases and not patients:
        raise InputError("No case is left to learn from: leave fewer out.")
    bodies = make_training_phantoms(phantoms, config.spacing, work / "phantoms")
    wide = tuple(spacing for spacing in (config.wide_spacing, config.far_spacing) if spacing)
    scenes = Scenes(patients, bodies, config.image_size, config.spacing, seed, config.fine_spacing, wide)
    training = Training(network, scenes, recipe, work / "checkpoint.safetensors")

    with _stoppable() as stop, Bar() as bar, (work / "log.jsonl").open("a") as log:
        task = bar.add_task("training", total=100, completed=round(100 * training.share))

        def report(progress: Progress) -> None:
            figures = {key: round(value, 4) for key, value in progress.figures.items()}
            log.write(
                json.dumps({"step": progress.step, "seconds": round(progress.seconds), **figures}) + "\n"
            )
            log.flush()
            bar.update(task, completed=100 * progress.share, description=f"step {progress.step}")

        training.run(report, stop=stop)
    if training.share < 1:
        typer.echo(f"Stopped after step {training.step}; the same command goes on.", err=True)
        raise typer.Exit(130)
    trained = between(begun, training.trained(), share)
    save_network(trained, output, torch.float16)  # float32 would be twice as large, and no better
    typer.echo(f"{training.seconds / 60:.0f} minutes, {training.step} steps: {output}")


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Give what says whether Ctrl+C or SIGTERM asked to stop; meanwhile they do nothing else."""
    got: list[int] = []
    asked = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: got.append(number)) for number in asked}
    try:
        yield lambda: bool(got)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
