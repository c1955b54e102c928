"""`segpet train impression`: an adapter for a language model, from pairs of findings and impression."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError
from scripts.train import train

if TYPE_CHECKING:
    from lib.report.text_pairs import Pair


class Style(StrEnum):
    """A house style of the synthetic pairs."""

    A = "A"
    B = "B"


def _help(name: str) -> str:
    from lib.report.recipe import Recipe

    return next(str(one.metadata["help"]) for one in fields(Recipe) if one.name == name)


@train.command()
def impression(
    pairs: Annotated[
        Path,
        typer.Argument(
            help="A studies folder, whose accepted impressions are learnt from; or JSON lines: "
            '{"id": "patient/1", "language": "en", "findings": "...", "impression": "..."}; '
            'what stands before a "/" in the id keeps a patient\'s pairs together.'
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the adapter, its card and its checkpoint; of a studies folder's impressions the "
            "state folder if not given, and a server takes the adapter if it is better.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The base: a folder, or a model that `hf download` has fetched (Qwen/Qwen2.5-7B-Instruct); "
            "the bundled demonstration model if not given."
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Pairs of other patients to measure on; a tenth of the others, at most 100, if not given."
        ),
    ] = None,
    retained: Annotated[
        Path | None,
        typer.Option(help="Pairs of what the base writes well, to see what it loses: measured at the end."),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help=_help("rank"))] = 16,
    alpha: Annotated[int, typer.Option(min=1, help=_help("alpha"))] = 32,
    dropout: Annotated[float, typer.Option(help=_help("dropout"))] = 0.05,
    target: Annotated[
        list[str] | None,
        typer.Option(help=_help("targets") + " Repeat for several; all linear ones of Qwen2 if not given."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help=_help("epochs"))] = 3,
    rate: Annotated[float, typer.Option(help=_help("rate"))] = 2e-4,
    batch: Annotated[int, typer.Option(min=1, help=_help("batch"))] = 4,
    accumulate: Annotated[int, typer.Option(min=1, help=_help("accumulate"))] = 4,
    longest: Annotated[int, typer.Option(min=16, help=_help("longest"))] = 4096,
    bf16: Annotated[
        bool, typer.Option("--bf16/--float32", help=_help("bf16") + " Always so on a GPU.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help=_help("seed"))] = 0,
    adapter: Annotated[
        Path | None, typer.Option(help="What writes now, as of `serve --impression-adapter`: to be beaten.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="State folder, as of `serve`.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever checkpoint is there.")] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, mps; a GPU where there is one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Fine-tune a language model on what readers wrote of findings: a low-rank adapter (LoRA).

    Before the first epoch and after each, impressions of pairs that are kept apart are written and scored as
    `segpet evaluate impression` does. Ctrl+C keeps a checkpoint; the same command goes on from it, also after
    a crash.

    Of a studies folder and without -o the adapter becomes a version in the state folder, and writes from then
    on if it is better on the pairs kept apart than what writes now: ROUGE-L beyond chance, with no more that
    nothing supports. With -o it is a folder, for `segpet serve --impression-adapter`.

    `segpet train impression /data/pet`

    `segpet train impression pairs.jsonl -o adapter/ --model Qwen/Qwen2.5-7B-Instruct`
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from apps.segpet.options import BUNDLED_IMPRESSION
    from lib.network import usable_device
    from lib.report.adapter_job import AdapterJob, train_adapter
    from lib.report.backends import BackendError
    from lib.report.language import ReportError
    from lib.report.recipe import Recipe
    from lib.report.scoring import TITLES
    from lib.report.text_pairs import read_pairs
    from lib.report.tuning import TuningStopped
    from lib.report.tuning_job import TextProgress, train_impression
    from lib.store import Audit, open_state, operator

    for file in (held_out, retained):
        if file and not file.is_file():
            raise InputError(f"There is no file {file}.")
    if output is None and not pairs.is_dir():
        raise InputError("Name a folder for the adapter with -o; or learn from a studies folder.")
    if adapter and not adapter.is_dir():
        raise InputError(f"There is no folder {adapter}.")
    if output and adapter:
        raise InputError("With -o nothing that writes now is beaten: leave out --adapter, or -o.")
    if output is None and held_out:
        raise InputError(
            "What is kept apart of a studies folder is its own: leave out --held-out, or use -o."
        )
    if output is None and retained:
        raise InputError(
            "What is retained is measured of a folder's adapter: leave out --retained, or use -o."
        )
    with _bar() as (show, stopped):

        def told(progress: TextProgress) -> None:
            title = f"epoch {progress.epoch}" if progress.stage == "training" else progress.stage
            show(title, progress.share)

        try:
            recipe = Recipe(
                rank=rank, alpha=alpha, dropout=dropout, epochs=epochs, rate=rate, batch=batch,
                accumulate=accumulate, longest=longest, bf16=bf16, seed=seed,
                **({"targets": tuple(target)} if target else {}),  # type: ignore[arg-type]
            )  # fmt: skip
            base, where = model or str(BUNDLED_IMPRESSION), usable_device(device)
            if output is None:
                opened = open_state(str(pairs), state)
                audit = Audit(opened.folder("audit"))
                audit.append("training started", operator(), trainer="impression")
                job = AdapterJob(opened, base, recipe, adapter, where)
                outcome = train_adapter(job, told, stopped, fresh)
                card, said = outcome.card, f"Version {outcome.version.number}. {outcome.why}"
                ended = {"version": outcome.version.number, "promoted": outcome.promoted}
                audit.append("training ended", operator(), trainer="impression", **ended)
            else:
                card = train_impression(
                    _pairs(pairs, state), base, output, recipe,
                    read_pairs(held_out) if held_out else None, where, told, stopped, fresh,
                    read_pairs(retained) if retained else (),
                )  # fmt: skip
                said = f"{output}"
        except TuningStopped:
            typer.echo("Stopped; the same command goes on from here.", err=True)
            raise typer.Exit(130) from None
        except (ReportError, BackendError) as error:
            raise InputError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(card, indent=2))
        return
    keys = [key for key in TITLES if key in card["curve"][0]]
    table = Table("epoch", "loss", *(TITLES[key] for key in keys), box=box.SIMPLE)
    rows = [(str(epoch["epoch"]), epoch) for epoch in card["curve"]]
    rows += [
        (f"retained, {when}", card["retained"][when]) for when in card.get("retained", {}) if when != "pairs"
    ]
    for title, scores in rows:
        loss = scores.get("loss")
        table.add_row(title, "-" if loss is None else f"{loss:.3f}", *(_cell(scores, key) for key in keys))
    Console().print(table)
    data = card["data"]
    seen = (
        f" ({data['held_out_learnt']} with findings that are learnt from)" if data["held_out_learnt"] else ""
    )
    typer.echo(
        f"{data['training']} pairs learnt from, {data['held_out']} kept apart{seen}; "
        f"{card['seconds'] / 60:.1f} minutes. {said}"
    )


def _cell(scores: dict[str, Any], key: str) -> str:
    """Return a mean over reports, and below it its 95 % interval, short enough for a narrow screen."""
    if (value := scores[key]) is None:
        return "-"
    interval = scores["ci95"][key]
    return f"{value:.3f}" + (f"\n{interval[0]:.2f}-{interval[1]:.2f}" if interval else "")


def _pairs(path: Path, state: Path | None) -> "list[Pair]":
    from lib.report.text_pairs import accepted_pairs, read_pairs
    from lib.store import open_state
    from lib.store.reports import AcceptedImpressions

    if path.is_file():
        return read_pairs(path)
    if not path.is_dir():
        raise InputError(f"There is no file or folder {path}.")
    return accepted_pairs(AcceptedImpressions(open_state(str(path), state).folder("impressions")))


@train.command("demo-impression")
def demo_impression(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model to write.")],
    work: Annotated[Path, typer.Option(help="Folder for the checkpoint; a killed run goes on from it.")],
) -> None:
    """Train the small language model that comes with SegPET, from nothing, on synthetic pairs.

    `segpet train demo-impression -o model/ --work work/`
    """
    from lib.report.demo_model import STAGES, train_demo_model
    from lib.report.language import ReportError
    from lib.report.tuning import Tuner, TuningStopped

    with _bar() as (show, stopped):
        steps = sum(stage.most for stage in STAGES)
        done = 0

        def told(tuner: Tuner) -> None:
            nonlocal done
            done += 1
            show(f"loss {tuner.loss:.3f}", done / steps)

        try:
            train_demo_model(work, output, told=told, stopped=stopped)
        except TuningStopped:
            typer.echo("Stopped; the same command goes on from here.", err=True)
            raise typer.Exit(130) from None
        except ReportError as error:
            raise InputError(str(error)) from error
    typer.echo(f"Written: {output}")


@train.command("demo-pairs")
def demo_pairs(
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines to write.")],
    style: Annotated[
        Style, typer.Option(help="House style: A, a list, is the bundled model's; B a paragraph.")
    ],
    number: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 1_000,
    tracer: Annotated[
        list[str] | None, typer.Option(help="FDG, PSMA, DOTATATE, FES or FAPI; repeat for several.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
) -> None:
    """Write synthetic pairs of findings and impression, English and Chinese by turns, to try things with.

    `segpet train demo-pairs --style B --tracer FAPI -o pairs.jsonl`
    """
    from lib.report.synthetic_pairs import TRACERS, UNSEEN_TRACER, pairs
    from lib.report.text_pairs import write_pairs

    tracers = tuple(tracer or TRACERS)
    if unknown := set(tracers) - {*TRACERS, UNSEEN_TRACER}:
        raise InputError(f"There is no tracer {', '.join(sorted(unknown))} among the synthetic ones.")
    write_pairs(output, pairs(number, style.value, seed, tracers))
    typer.echo(f"{number} pairs: {output}")


@contextmanager
def _bar() -> Iterator[tuple[Callable[[str, float], None], Callable[[], bool]]]:
    """Yield a progress bar on stderr, and whether Ctrl+C or SIGTERM asks to stop."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopped.append(number))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading", total=1.0)
        yield (
            lambda title, share: bars.update(task, description=title, completed=share),
            lambda: bool(stopped),
        )
