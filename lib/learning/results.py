"""What an evaluation has measured so far, and the files that say it."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.interaction import SeedRecall
from lib.learning.autopet import write_clicks
from lib.learning.cases import Case
from lib.learning.evaluation import Method, Run, lesion_rows, rows
from lib.learning.gallery import WorstCases
from lib.learning.page import render
from lib.learning.summary import summarise, summarise_seeds
from lib.pet import Crop


class Results:
    """Collects runs; memory does not grow with the images, and every case is on disk when it is done.

    Into the folder go `cases.csv` (a line for each case, method and number of clicks), `lesions.csv` (the
    same for each lesion, where each is clicked on its own), `clicks/METHOD/NAME_clicks.json`, and with
    `write` also `summary.json` and `report.html`, which have no case's name.

    Args:
        models: the methods that are evaluated; the first has its worst cases drawn.
        baselines: those to compare with.
        settings: how it is measured, for summary and page.
        folder: where to; None: nothing is written.
        seed: of the intervals.
    """

    def __init__(
        self,
        models: Sequence[Method],
        baselines: Sequence[Method],
        settings: Mapping[str, Any],
        folder: Path | None,
        seed: int = 0,
    ) -> None:
        self.models, self.baselines = models, baselines
        self.settings, self.folder, self.seed = dict(settings), folder, seed
        self.left_out: list[dict[str, Any]] = []
        self._runs: dict[str, list[Run]] = {method.name: [] for method in (*models, *baselines)}
        self._worst = WorstCases()
        self._seeds: list[SeedRecall] = []
        if folder:
            (folder / "clicks").mkdir(parents=True, exist_ok=True)
            for table in ("cases.csv", "lesions.csv"):
                (folder / table).unlink(missing_ok=True)

    def add(self, number: int, case: Case, run: Run) -> None:
        """Take one method's run on a case."""
        if run.method == next(iter(self._runs)):
            self._worst.consider(number, case, run)
        self._runs[run.method].append(replace(run, mask=Crop.empty()))
        if self.folder:
            _append(self.folder / "cases.csv", rows(run, number))
            _append(self.folder / "lesions.csv", lesion_rows(run, number))
            clicks = self.folder / "clicks" / run.method
            clicks.mkdir(exist_ok=True)
            write_clicks(clicks / f"{run.case}_clicks.json", run.tumor, run.background)

    def add_seeds(self, seeds: SeedRecall) -> None:
        """Take a case's automatic seeds as they meet its lesions."""
        self._seeds.append(seeds)

    def leave_out(self, number: int, reason: str) -> None:
        """Note that a case could not be used."""
        self.left_out.append({"number": number, "reason": reason})

    @property
    def any(self) -> bool:
        """Whether a case has been measured."""
        return any(self._runs.values())

    def summary(self) -> dict[str, Any]:
        """Return everything as JSON has it.

        One model: its own numbers (`weights`, `cases`, `clicks` ...: see `summarise`) with `baselines`, a
        list of the same form, and `settings`. Several: the same under `models`, a list. Without a model the
        first baseline stands in its place. `seeds`: how automatic seeds met the lesions, where they count.
        """
        of = {
            method.name: summarise(method.name, method.segmenter.digest, self._runs[method.name], self.seed)
            for method in (*self.models, *self.baselines)
        }
        models = [of[method.name] for method in self.models]
        baselines = [of[method.name] for method in self.baselines]
        if not models:
            models, baselines = baselines[:1], baselines[1:]
        rest = {"baselines": baselines, "settings": self.settings, "left_out": self.left_out}
        if self._seeds:
            rest["seeds"] = summarise_seeds(self._seeds, self.seed)
        return {**models[0], **rest} if len(models) == 1 else {"models": models, **rest}

    def write(self) -> None:
        """Write summary and page."""
        if not self.folder:
            return
        summary = self.summary()
        (self.folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        settings = {
            title.replace("_", " "): value for title, value in self.settings.items() if value is not None
        }
        settings["cases left out"] = len(self.left_out)
        page = render(methods_of(summary), settings, self._worst.pictures, summary.get("seeds"))
        (self.folder / "report.html").write_text(page, encoding="utf-8")


def methods_of(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return every method's numbers in a summary, the models first."""
    return [*summary.get("models", [summary]), *summary["baselines"]]


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
