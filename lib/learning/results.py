"""What an evaluation has measured so far, and the files that say it."""

import csv
import json
import math
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lib.interaction import SeedRecall
from lib.learning.autopet import write_clicks
from lib.learning.cases import Case
from lib.learning.evaluation import Method, Run, lesion_rows, rows
from lib.learning.gallery import WorstCases
from lib.learning.page import render
from lib.learning.summary import summarise, summarise_seeds
from lib.pet import Crop, write_mask

LEFT_OUT = "left_out.csv"


class Results:
    """Collects runs; memory does not grow with the images, and every case is on disk when it is done.

    Into the folder go `cases.csv` (a line for each case, method and number of clicks), `lesions.csv` (the
    same for each lesion, where each is clicked on its own), `left_out.csv`, with autoPET's protocol
    `clicks/METHOD/NAME_clicks.json`, on demand `masks/METHOD/NAME.nii.gz`, and with `write` also
    `summary.json` and `report.html`, which have no case's name. What an earlier run wrote there is removed
    first.

    Args:
        models: the methods that are evaluated; the first has its worst cases drawn.
        baselines: those to compare with.
        settings: how it is measured, for summary and page.
        folder: where to; None: nothing is written.
        seed: of the intervals.
        masks: whether each case's mask after the last click is written.
    """

    def __init__(
        self,
        models: Sequence[Method],
        baselines: Sequence[Method],
        settings: Mapping[str, Any],
        folder: Path | None,
        seed: int = 0,
        masks: bool = False,
    ) -> None:
        self.models, self.baselines = models, baselines
        self.settings, self.folder, self.seed, self.masks = dict(settings), folder, seed, masks
        self.left_out: list[dict[str, Any]] = []
        self.warnings: list[dict[str, Any]] = []
        self._runs: dict[str, list[Run]] = {method.name: [] for method in (*models, *baselines)}
        self._worst = WorstCases()
        self._seeds: list[SeedRecall] = []
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_earlier(folder)

    def add(self, number: int, case: Case, runs: Iterable[Run], seeds: SeedRecall | None = None) -> None:
        """Take the methods' runs on a case, and its automatic seeds as they meet its lesions.

        Ctrl+C waits meanwhile: else a case would count for some methods alone.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._add(number, case, runs, seeds)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _add(self, number: int, case: Case, runs: Iterable[Run], seeds: SeedRecall | None) -> None:
        for run in runs:
            if run.method == next(iter(self._runs)):
                self._worst.consider(number, case, run)
            self._runs[run.method].append(replace(run, mask=Crop.empty()))
            if self.folder:
                _append(self.folder / "cases.csv", rows(run, number, seeds))
                _append(self.folder / "lesions.csv", lesion_rows(run, number))
                # Corrective clicks are each lesion's own: one's negative click may lie in another.
                if self.settings.get("protocol") == "autopet":
                    clicks = _made(self.folder / "clicks" / run.method)
                    write_clicks(clicks / f"{run.case}_clicks.json", run.tumor, run.background)
                if self.masks:
                    path = _made(self.folder / "masks" / run.method) / f"{run.case}.nii.gz"
                    write_mask(path, run.mask.to_grid(case.volume.shape), case.volume.affine)
        if seeds:
            self._seeds.append(seeds)

    def leave_out(self, number: int | None, name: str, reason: str) -> str:
        """Note that a case could not be used, in `left_out.csv` with its name.

        Args:
            number: the case's; None: it is not even one of the cases, and the file alone says so.
            name: the case's.
            reason: a sentence.

        Returns:
            The reason, with NAME in place of the case's name.
        """
        if self.folder:
            _append(self.folder / LEFT_OUT, [{"number": number, "case": name, "reason": reason}])
        # Files are named after cases, with something before or behind: NAME_0000.nii.gz, NAME_clicks.json.
        nameless = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", "NAME", reason)
        if number is not None:
            self.left_out.append({"number": number, "reason": nameless})
        return nameless

    def warn(self, number: int, warning: str) -> None:
        """Note what must be said of a case that is measured; no name is in it."""
        self.warnings.append({"number": number, "warning": warning})

    @property
    def any(self) -> bool:
        """Whether a case has been read, and a method has run on it."""
        return any(self._runs.values())

    @property
    def measured(self) -> bool:
        """Whether any measure has a value."""
        states = (state for runs in self._runs.values() for run in runs for state in run.states)
        return any(not math.isnan(value) for state in states for value in state.scores.values())

    def summary(self) -> dict[str, Any]:
        """Return everything as JSON has it.

        One model: its own numbers (`weights`, `cases`, `clicks` ...: see `summarise`) with `baselines`, a
        list of the same form, and `settings`. Several: the same under `models`, a list. Without a model the
        first baseline stands in its place. `seeds`: how automatic seeds met the lesions, where they count.
        `warnings` and `left_out` know cases by their number.
        """
        of = {
            method.name: summarise(method.name, method.segmenter.digest, self._runs[method.name], self.seed)
            for method in (*self.models, *self.baselines)
        }
        models = [of[method.name] for method in self.models]
        baselines = [of[method.name] for method in self.baselines]
        if not models:
            models, baselines = baselines[:1], baselines[1:]
        rest = {
            "baselines": baselines,
            "settings": self.settings,
            "warnings": self.warnings,
            "left_out": self.left_out,
            "date": date.today().isoformat(),
            "segpet": version("segpet"),
        }
        if self._seeds:
            rest["seeds"] = summarise_seeds(self._seeds, self.seed)
        return {**models[0], **rest} if len(models) == 1 else {"models": models, **rest}

    def write(self) -> None:
        """Write summary and page."""
        if not self.folder:
            return
        summary = self.summary()
        (self.folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        methods = methods_of(summary)
        settings = {
            "cases": counted_cases(methods),
            "without a lesion": max(method["without_lesion"] for method in methods),
            "left out": len(self.left_out),
            "date": summary["date"],
            "SegPET": summary["segpet"],
            **{title.replace("_", " "): value for title, value in self.settings.items() if value is not None},
        }
        notes = [f"Case {one['number']}: {one['warning']}" for one in self.warnings]
        notes += [f"Case {one['number']} was left out: {one['reason']}" for one in self.left_out]
        page = render(methods, settings, self._worst.pictures, summary.get("seeds"), notes)
        (self.folder / "report.html").write_text(page, encoding="utf-8")


def methods_of(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return every method's numbers in a summary, the models first."""
    return [*summary.get("models", [summary]), *summary["baselines"]]


def counted_cases(methods: Sequence[Mapping[str, Any]]) -> str:
    """Return how many cases were measured, and with which methods fewer were."""
    most = max(method["cases"] for method in methods)
    fewer = [f"{method['weights']} {method['cases']}" for method in methods if method["cases"] < most]
    return f"{most} ({', '.join(fewer)})" if fewer else str(most)


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier run wrote; of clicks and masks, those of the cases in its table."""
    written: set[tuple[str | None, str | None]] = set()
    if (table := folder / "cases.csv").is_file():
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            written = {(line.get("method"), line.get("case")) for line in csv.DictReader(file)}
    for pattern, ending in (("clicks/*/*", "_clicks.json"), ("masks/*/*", ".nii.gz")):
        for path in folder.glob(pattern + ending):
            if (path.parent.name, path.name.removesuffix(ending)) in written:
                path.unlink()
    # The table last: a run that is killed here can still be removed.
    for name in ("lesions.csv", LEFT_OUT, "summary.json", "report.html", "cases.csv"):
        (folder / name).unlink(missing_ok=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _append(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append to a table, with the heads first where it is new."""
    table = list(lines)
    if not table:
        return
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        if new:
            writer.writeheader()
        writer.writerows(table)
