"""`segpet train`: weights from data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, app

train = typer.Typer(help="Train networks.", no_args_is_help=True)
app.add_typer(train, name="train")


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
) -> None:
    """Train the compact network that comes with SegPET, on real cases and synthetic scenes.

    `segpet train bundled CASES -o compact.safetensors --work DIR --minutes 60`
    """
    import torch
    from rich.progress import Progress as Bar

    from lib.learning.bodies import make_training_phantoms
    from lib.learning.patients import read_patients
    from lib.learning.pretraining import Progress, Recipe, Training
    from lib.learning.scenes import Scenes
    from lib.network import CompactConfig, CompactPET, load_network, save_network

    recipe = Recipe(steps=steps, minutes=minutes, seed=seed, batch=batch, rate=rate, threads=threads)
    torch.manual_seed(seed)
    network = CompactPET(CompactConfig(fine_spacing=2.0)) if start is None else load_network(start)
    if not isinstance(network, CompactPET):
        raise InputError(f"{start} holds no compact network: begin with one, or with none.")
    config = network.config
    work.mkdir(parents=True, exist_ok=True)
    patients = read_patients(cases) if cases else []
    if unknown := set(leave_out or ()) - {patient.name for patient in patients}:
        raise InputError(f"There is no case {sorted(unknown)[0]} in {cases or 'no folder'}.")
    patients = [patient for patient in patients if patient.name not in (leave_out or ())]
    if cases and not patients:
        raise InputError("No case is left to learn from: leave fewer out.")
    bodies = make_training_phantoms(phantoms, config.spacing, work / "phantoms")
    scenes = Scenes(patients, bodies, config.image_size, config.spacing, seed, config.fine_spacing)
    training = Training(network, scenes, recipe, work / "checkpoint.safetensors")

    with Bar() as bar, (work / "log.jsonl").open("a") as log:
        task = bar.add_task("training", total=100, completed=round(100 * training.share))

        def report(progress: Progress) -> None:
            figures = {key: round(value, 4) for key, value in progress.figures.items()}
            log.write(
                json.dumps({"step": progress.step, "seconds": round(progress.seconds), **figures}) + "\n"
            )
            log.flush()
            bar.update(task, completed=100 * progress.share, description=f"step {progress.step}")

        try:
            training.run(report)
        except KeyboardInterrupt:
            typer.echo(f"Stopped after step {training.step}; the same command goes on.", err=True)
            raise typer.Exit(130) from None
    save_network(training.trained(), output, torch.float16)  # float32 would be twice as large, and no better
    typer.echo(f"{training.seconds / 60:.0f} minutes, {training.step} steps: {output}")
