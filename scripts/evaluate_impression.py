"""`segpet evaluate impression`: how good and how true generated impressions are."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError
from scripts.bars import counted
from scripts.evaluate import evaluate
from scripts.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from lib.report.cases import ReportCase
    from lib.report.scoring import ScoredCase

#: Of the results' folder: what a model wrote.
CASES = "cases.jsonl"
#: Of the model in a row; then it is left alone: a server that is gone would be waited for each time.
_MOST_FAILURES = 3


@evaluate.command()
def impression(
    cases: Annotated[
        Path,
        typer.Argument(
            help='JSON lines: {"id": "a", "language": "en", "findings": "...", "reference": "...", '
            '"hypothesis": "..."}; language en or zh. If a model is named, pairs, as `segpet train '
            "impression` takes them."
        ),
    ],
    impression: Annotated[
        str | None,
        typer.Option(
            help="What writes the impressions, as of `segpet serve`: a model's folder or hub name, or the "
            "URL of a server that speaks OpenAI's API (its key in SEGPET_IMPRESSION_KEY)."
        ),
    ] = None,
    impression_adapter: Annotated[
        Path | None,
        typer.Option(help="Folder of a PEFT adapter for it; for the bundled model if none is named."),
    ] = None,
    impression_model: Annotated[
        str | None, typer.Option(help="The model's name at such a server; its first one if not given.")
    ] = None,
    bertscore_model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a language model as transformers saves it (safetensors), for BERTScore; left out "
            "if not given. It should know the texts' language."
        ),
    ] = None,
    bertscore_layer: Annotated[
        int | None, typer.Option(min=1, help="Its layer that is compared; the last if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for report.html, which shows the texts, and summary.json, which does not; if a "
            "model wrote, also for cases.jsonl with what it wrote, from which the same command goes on.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score impressions against those of readers: BLEU-4, ROUGE-L, BERTScore, ECR, UER, FCR.

    ECR is the share of the reference's concepts that are there; UER the share of the hypothesis' concepts
    that neither reference nor findings have (unsupported; PET-F2I's UER is of uncovered ones); FCR the share
    of shared ones whose side, polarity and numbers agree. All are 0 to 1; a report with 0/0 is left out, and
    counted.

    `segpet evaluate impression cases.jsonl --bertscore-model models/bert-base-chinese -o results/`

    `segpet evaluate impression pairs.jsonl --impression Qwen/Qwen2.5-7B-Instruct`
    """
    from lib.report.bertscore import BertScore
    from lib.report.cases import read_cases
    from lib.report.scoring import score

    if bertscore_layer is not None and bertscore_model is None:
        raise InputError("--bertscore-layer needs --bertscore-model.")
    if output:
        check_output_folder(output)
    settings = {
        "cases": cases.name,
        "impression": Path(impression).name if impression else None,
        "impression_adapter": impression_adapter.name if impression_adapter else None,
        "impression_model": impression_model,
        "bertscore_model": bertscore_model.name if bertscore_model else None,
        "bertscore_layer": bertscore_layer,
        "seed": seed,
    }
    writes = impression or impression_adapter
    model = BertScore(bertscore_model, bertscore_layer) if bertscore_model else None
    left_out: list[dict[str, str]] = []
    if writes:
        read, left_out = _written(cases, impression, impression_adapter, impression_model, output)
    else:
        read = read_cases(cases)
    with _bar("reports", len(read)) as advance:
        summary, scored = score(read, model, seed, advance)
    summary = {"settings": settings, "left_out": left_out, **summary}
    if output:
        _write(summary, scored, output)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        _print(summary, output)
    if left_out:
        which = f"{'' if output else 'with --output '}summary.json says which"
        typer.echo(
            f"{len(left_out)} of {len(left_out) + len(read)} impressions could not be written ({which}): "
            f"{left_out[0]['reason']} The same command tries them again.",
            err=True,
        )
        raise typer.Exit(1)


def _written(
    pairs: Path, where: str | None, adapter: Path | None, model: str | None, output: Path | None
) -> "tuple[list[ReportCase], list[dict[str, str]]]":
    """Return what a model writes of pairs' findings, greedy, beside what their readers wrote.

    Each is kept as it comes, and not written again by the same command.

    Returns:
        The cases, and of each pair of which nothing came `id` and `reason`.
    """
    from apps.segpet.options import BUNDLED_IMPRESSION, IMPRESSION_KEY, secret
    from lib.report.backends import BackendError, open_backend
    from lib.report.language import ReportError
    from lib.report.text_pairs import read_pairs
    from lib.report.written import WrittenCases

    read, where = read_pairs(pairs), where or str(BUNDLED_IMPRESSION)
    try:
        backend = open_backend(where, adapter, model, secret(IMPRESSION_KEY) or None)
    except BackendError as error:
        raise InputError(str(error)) from error
    if output:
        output.mkdir(parents=True, exist_ok=True)
        check_output_file(output / CASES, [pairs])
    kept = WrittenCases(output / CASES if output else None, _writer(where, adapter, model))
    cases: list[ReportCase] = []
    left_out: list[dict[str, str]] = []
    failures = 0
    with _bar("impressions", len(read)) as advance:
        for pair in read:
            try:
                if not (case := kept.of(pair)):
                    if failures == _MOST_FAILURES:
                        raise BackendError("Not tried, for the model failed at those before.")
                    case = pair.case("".join(backend.generate(pair.findings, pair.language)))
                    kept.add(case)
                    failures = 0
                cases.append(case)
            except (ReportError, BackendError) as error:
                left_out.append({"id": pair.id, "reason": str(error)})
                if isinstance(error, BackendError):
                    failures = min(failures + 1, _MOST_FAILURES)
            advance()
    if not cases:
        raise InputError(f"No impression could be written. {left_out[0]['reason']}")
    kept.keep(cases)
    return cases, left_out


def _writer(where: str, adapter: Path | None, model: str | None) -> str:
    """Return what tells a writer from others: its names, and of folders the files, with size and time."""
    files = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for folder in (Path(where), adapter)
        if folder and folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.is_file()
    ]
    return hashlib.sha256(json.dumps([where, str(adapter), model, files]).encode()).hexdigest()


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield what moves a progress bar on stderr by one."""
    with counted() as progress:
        bar = progress.add_task(title, total=total)
        yield lambda: progress.advance(bar)


def _write(summary: dict[str, Any], scored: "list[ScoredCase]", output: Path) -> None:
    from lib.report.page import render

    output.mkdir(parents=True, exist_ok=True)
    known = {title: value for title, value in summary["settings"].items() if value is not None}
    if summary["left_out"]:
        known["left out"] = len(summary["left_out"])
    (output / "report.html").write_text(render(summary, scored, known), encoding="utf-8")
    (output / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")


def _print(summary: dict[str, Any], output: Path | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from lib.report.scoring import TITLES

    table = Table(box=box.SIMPLE, title="Impressions, 95 % intervals", title_justify="left")
    for head in ("reports", "count", "score", "mean over reports", "corpus", "undefined (0/0)"):
        table.add_column(head, justify="left" if head in ("reports", "score") else "right")
    for name, group in summary["corpus"].items():
        for key in (key for key in TITLES if key in group):
            entry = group[key]
            cells = [_cell(entry["mean"]), _cell(entry.get("corpus")), str(entry["undefined"])]
            table.add_row(name, str(group["cases"]), TITLES[key], *cells)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)
    if output:
        console.print(f"Written: {output / 'report.html'}, summary.json", markup=False)


def _cell(estimate: dict[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    interval = estimate["ci95"]
    within = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{estimate['value']:.3f}{within}"
