"""Evaluation: simulated annotators click through the real engine, and every mask on the way is scored.

A method is whatever turns clicks into masks behind the engine: a network, or region growing. Two protocols:

* *corrective*: one object at a time. Of each lesion alone the annotator clicks the errors that the mask still
  has, up to the same number of clicks for each; what all lesions have after n clicks each is the case's mask.
* *given*: autoPET IV's. The clicks are made beforehand, the same for every method; the case is clicked as a
  whole, and n clicks are n in tumour and n in background.

Without a click the mask is empty.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.interaction import AnnotatedObject, Click, Engine, Prompts
from lib.interaction.annotator import Annotator, next_click
from lib.interaction.prompts import Index
from lib.interaction.segmenter import Segmenter
from lib.learning.autopet import GivenClicks
from lib.learning.cases import Case, number_of
from lib.learning.metrics import METRICS, dice, score
from lib.pet import Crop

LABEL = "lesion"
#: Bound of the engine's states: those of one object, which are seen once.
STATE_BYTES = 128 << 20


@dataclass(frozen=True)
class Method:
    """What is evaluated.

    Args:
        name: for people; different for every method of a run.
        segmenter: turns clicks into masks.
    """

    name: str
    segmenter: Segmenter[Any]


@dataclass(frozen=True)
class State:
    """A case after some clicks.

    Args:
        clicks: how many: of each object, or of each kind.
        dice: of the case's mask; NaN without a lesion.
        seconds: mean time of the click that led here; NaN where none was made.
        scores: every one of METRICS, where this number of clicks is one that was asked for; else empty.
    """

    clicks: int
    dice: float
    seconds: float
    scores: dict[str, float] = field(default_factory=dict)


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
    """

    method: str
    case: str
    lesions: int
    states: tuple[State, ...]
    tumor: tuple[Index, ...]
    background: tuple[Index, ...]
    mask: Crop


@dataclass(frozen=True)
class Corrective:
    """Clicks on the errors of each lesion, one lesion at a time.

    Args:
        annotator: how the voxel is chosen (see `lib.interaction.annotator`).
        seed: of `random` and `human`.
    """

    annotator: Annotator = "centre"
    seed: int = 0

    def masks(self, method: Method, case: Case, clicks: int, made: list[Click]) -> list[tuple[Crop, float]]:
        """Return the case's mask after 0 to `clicks` clicks an object, each with the mean time of a click.

        Args:
            method: what is evaluated.
            case: on what.
            clicks: of each object.
            made: takes every click.
        """
        engine = Engine(method.segmenter, STATE_BYTES)
        union = [Crop.empty()] * (clicks + 1)
        seconds: list[list[float]] = [[] for _ in union]
        for number, truth in enumerate(case.objects):
            rng = np.random.default_rng([self.seed, number_of(case.name), number])
            for n, (mask, spent) in enumerate(self._one(engine, case, truth, clicks, rng, made)):
                union[n] = union[n].union(mask)
                if spent is not None:
                    seconds[n].append(spent)
        return [(mask, _mean(spent)) for mask, spent in zip(union, seconds, strict=True)]

    def _one(
        self,
        engine: Engine[Any],
        case: Case,
        truth: Crop,
        clicks: int,
        rng: np.random.Generator,
        made: list[Click],
    ) -> Iterator[tuple[Crop, float | None]]:
        """Yield the mask of one object after 0, 1 ... clicks; no time where there was no error left."""
        objects: Sequence[AnnotatedObject] = ()
        done: list[Click] = []
        mask = Crop.empty()
        yield mask, None
        for _ in range(clicks):
            # A voxel that was clicked is not clicked again, whatever the method made of it.
            click = next_click(truth, _as_told(mask, done), case.volume.spacing, self.annotator, rng)
            if click is None:
                yield mask, None
                continue
            done.append(click)
            made.append(click)
            objects, mask, spent = _clicked(engine, case, objects, _prompts(done))
            yield mask, spent


@dataclass(frozen=True)
class Given:
    """Clicks made beforehand, as autoPET IV has them.

    Args:
        clicks: those of a case.
    """

    clicks: Callable[[Case], GivenClicks]

    def masks(self, method: Method, case: Case, clicks: int, made: list[Click]) -> list[tuple[Crop, float]]:
        """Return the case's mask after 0 to `clicks` clicks of each kind (see `Corrective.masks`)."""
        engine = Engine(method.segmenter, STATE_BYTES)
        given = self.clicks(case)
        made += [Click(at, positive=True) for at in given.tumor[:clicks]]
        made += [Click(at, positive=False) for at in given.background[:clicks]]
        objects: Sequence[AnnotatedObject] = ()
        masks = [(Crop.empty(), float("nan"))]
        for n in range(1, clicks + 1):
            objects, mask, spent = _clicked(engine, case, objects, given.first(n, LABEL))
            masks.append((mask, spent))
        return masks


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
        PromptError: a click on a voxel without a value.
    """
    made: list[Click] = []
    masks = protocol.masks(method, case, max(clicks), made)
    states = []
    last: tuple[Crop, dict[str, float]] | None = None
    for n, (mask, seconds) in enumerate(masks):
        scores: dict[str, float] = {}
        if n in clicks:
            # A click that changes nothing needs no second scoring.
            if last is None or last[0] is not mask:
                last = mask, score(case.truth, mask, case.volume.spacing, case.volume.voxel_ml, tolerance_mm)
            scores = last[1]
        value = scores["dice"] if scores else dice(case.truth, mask) if case.objects else float("nan")
        states.append(State(n, value, seconds, scores))
    return Run(
        method.name,
        case.name,
        len(case.objects),
        tuple(states),
        tuple(click.index for click in made if click.positive),
        tuple(click.index for click in made if not click.positive),
        masks[-1][0],
    )


def rows(run: Run, number: int) -> Iterator[dict[str, Any]]:
    """Yield a line of a table for each scored state of a run; an empty cell where there is no value.

    Args:
        run: one method on one case.
        number: under which the report knows the case.
    """
    for state in run.states:
        if state.scores:
            numbers = {"seconds": state.seconds, **{name: state.scores[name] for name in METRICS}}
            yield {
                "number": number,
                "case": run.case,
                "method": run.method,
                "lesions": run.lesions,
                "clicks": state.clicks,
                **{name: "" if np.isnan(value) else round(value, 5) for name, value in numbers.items()},
            }


def _clicked(
    engine: Engine[Any], case: Case, objects: Sequence[AnnotatedObject], prompts: Prompts
) -> tuple[Sequence[AnnotatedObject], Crop, float]:
    """Return the objects after a request, all that they cover, and the seconds it took."""
    begin = time.perf_counter()
    update = engine.update(case.volume, objects, prompts)
    spent = time.perf_counter() - begin
    mask = Crop.empty()
    for part in update.masks.values():
        mask = mask.union(part)
    return update.objects, mask, spent


def _prompts(clicks: Sequence[Click]) -> Prompts:
    positive = sorted(click.index for click in clicks if click.positive)
    negative = sorted(click.index for click in clicks if not click.positive)
    return Prompts({LABEL: tuple(positive)} if positive else {}, tuple(negative))


def _as_told(mask: Crop, clicks: Sequence[Click]) -> Crop:
    """Return a mask with every clicked voxel as the click says."""
    for click in clicks:
        if click.positive != mask.contains(click.index):
            point = Crop(click.index, np.ones((1, 1, 1), dtype=np.bool_))
            if click.positive:
                mask = mask.union(point)
            else:
                array = mask.array.copy()
                array[tuple(np.subtract(click.index, mask.start))] = False
                mask = Crop(mask.start, array)
    return mask


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
