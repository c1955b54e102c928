"""Evaluation: simulated annotators click through the real engine, and every mask on the way is scored.

A method is whatever turns clicks into masks behind the engine: a network, or region growing. Two protocols:

* *corrective*: one object at a time. Of each lesion alone the annotator clicks the errors that the mask still
  has, up to the same number of clicks for each; what all lesions have after n clicks each is the case's mask.
  A method may get the clicks that were made for another one, as if whoever clicks did not see its masks.
* *given*: autoPET IV's. The clicks are made beforehand, the same for every method; the case is clicked as a
  whole, and n clicks are n in tumour and n in background.

Without a click the mask is empty, or holds what automatic seeds propose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.interaction import Click, SeedRecall
from lib.interaction.prompts import Index
from lib.interaction.segmenter import Segmenter
from lib.learning.cases import Case
from lib.learning.metrics import GOOD_DICE, METRICS, area_over_clicks, clicks_to_reach, dice, score
from lib.learning.protocols import Corrective, Given
from lib.pet import Crop


@dataclass(frozen=True)
class Method:
    """What is evaluated.

    Args:
        name: for people; different for every method of a run.
        segmenter: turns clicks into masks.
        same_clicks: it gets the clicks that were made for the run's first method, not its own.
    """

    name: str
    segmenter: Segmenter[Any]
    same_clicks: bool = False


@dataclass(frozen=True)
class State:
    """A case after some clicks.

    Args:
        clicks: how many: of each object, or of each kind.
        dice: of the case's mask; NaN without a lesion.
        seconds: as in `lib.learning.protocols.Course`.
        scores: every one of METRICS, where this number of clicks is one that was asked for; else empty. NaN
            where the case has no lesion and nothing was clicked or proposed.
    """

    clicks: int
    dice: float
    seconds: float
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LesionRun:
    """One lesion that was clicked on its own.

    Args:
        value: which it has in the case's mask.
        volume_ml: the truth's.
        dice: of its own mask, after 0, 1, 2 ... clicks.
        clicks: that it got.
    """

    value: int
    volume_ml: float
    dice: tuple[float, ...]
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True, eq=False)
class Run:
    """One method on one case.

    Args:
        method: its name.
        case: the case's name.
        lesions: how many the case has.
        states: after 0, 1, 2 ... clicks.
        tumor: all clicks in lesions, in their order.
        background: all clicks outside of them.
        mask: the last state's.
        each: the lesions, where each was clicked on its own.
    """

    method: str
    case: str
    lesions: int
    states: tuple[State, ...]
    tumor: tuple[Index, ...]
    background: tuple[Index, ...]
    mask: Crop
    each: tuple[LesionRun, ...] = ()


def evaluate(
    method: Method,
    case: Case,
    protocol: Corrective | Given,
    clicks: Sequence[int],
    tolerance_mm: float,
) -> Run:
    """Let an annotator click through a case with one method, and score the masks on the way.

    Args:
        method: what is evaluated.
        case: on what.
        protocol: who clicks where.
        clicks: the numbers of clicks at which every one of METRICS is wanted.
        tolerance_mm: of the surface Dice.

    Raises:
        PromptError: a given click on a voxel without a value (simulated annotators click there as anywhere).
    """
    course = protocol.run(method.segmenter, case, max(clicks))
    # The corrective annotator leaves a case without lesion alone.
    untouched = not case.objects and not course.clicks
    states = []
    last: tuple[Crop, dict[str, float]] | None = None
    for n, (mask, seconds) in enumerate(zip(course.masks, course.seconds, strict=True)):
        scores: dict[str, float] = {}
        if n in clicks:
            # A click that changes nothing needs no second scoring.
            if last is None or last[0] is not mask:
                last = mask, score(case.truth, mask, case.volume.spacing, case.volume.voxel_ml, tolerance_mm)
            scores = last[1]
            if untouched and np.isnan(seconds) and not mask.any():
                # Neither a click nor a proposal led here: an empty mask says nothing of the method.
                scores = dict.fromkeys(METRICS, float("nan"))
        value = scores["dice"] if scores else dice(case.truth, mask) if case.objects else float("nan")
        states.append(State(n, value, seconds, scores))
    # Given clicks tell no lesions apart.
    lesions = zip(case.values, case.objects, course.lesion_dice, course.lesion_clicks, strict=False)
    return Run(
        method.name,
        case.name,
        len(case.objects),
        tuple(states),
        tuple(click.index for click in course.clicks if click.positive),
        tuple(click.index for click in course.clicks if not click.positive),
        course.masks[-1],
        tuple(
            LesionRun(value, truth.count * case.volume.voxel_ml, dices, made)
            for value, truth, dices, made in lesions
        ),
    )


def rows(run: Run, number: int, seeds: SeedRecall | None = None) -> Iterator[dict[str, Any]]:
    """Yield a line of a table for each scored state of a run; an empty cell where there is no value.

    The last columns are the run's, the same in each of its lines: the mean height of the Dice's curve, and
    the fewest clicks to a Dice of GOOD_DICE, empty where it was not reached.

    Args:
        run: one method on one case.
        number: under which the report knows the case.
        seeds: the case's, which add a column with the share of lesions found and one with the false ones.
    """
    clicks = [state.clicks for state in run.states if state.scores]
    area = area_over_clicks(clicks, [state.scores["dice"] for state in run.states if state.scores])
    every = [state.clicks for state in run.states], [state.dice for state in run.states]
    of_curve = {
        "dice_over_clicks": "" if np.isnan(area) else round(area, 5),
        **{f"clicks_to_{good:g}": clicks_to_reach(good, *every) for good in GOOD_DICE},
    }
    of_seeds: dict[str, Any] = {}
    if seeds:
        recall = round(seeds.found / seeds.total, 5) if seeds.total else ""
        of_seeds = {"seed_recall": recall, "false_seeds": seeds.false}
    for state in run.states:
        if state.scores:
            numbers = {"seconds": state.seconds, **{name: state.scores[name] for name in METRICS}}
            yield {
                "number": number,
                "case": run.case,
                "method": run.method,
                "lesions": run.lesions,
                **of_seeds,
                "clicks": state.clicks,
                **{name: "" if np.isnan(value) else round(value, 5) for name, value in numbers.items()},
                **of_curve,
            }


def lesion_rows(run: Run, number: int) -> Iterator[dict[str, Any]]:
    """Yield a line of a table for each lesion and scored state of a run (see `rows`)."""
    for place, lesion in enumerate(run.each, start=1):
        for state in run.states:
            if state.scores:
                yield {
                    "number": number,
                    "case": run.case,
                    "method": run.method,
                    "lesion": place,
                    "value": lesion.value,
                    "volume_ml": round(lesion.volume_ml, 4),
                    "clicks": state.clicks,
                    "dice": round(lesion.dice[state.clicks], 5),
                }
