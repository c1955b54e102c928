"""Protocols of evaluation: who clicks where, and what the engine makes of it.

Before the first click a mask is empty, or holds what automatic seeds propose (design: `segpet_auto`).
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.interaction import AnnotatedObject, Click, Engine, Prompts, Update, propose_objects
from lib.interaction.annotator import Annotator, next_click
from lib.interaction.segmenter import Segmenter
from lib.interaction.told import as_told
from lib.learning.autopet import GivenClicks
from lib.learning.cases import Case, number_of, seeds_of
from lib.learning.metrics import dice
from lib.pet import Crop

LABEL = "lesion"
#: Bound of the engine's states: those of one object, which are seen once.
STATE_BYTES = 128 << 20


@dataclass(frozen=True, eq=False)
class Course:
    """What happened to a case.

    Args:
        masks: the case's mask after 0, 1, 2 ... clicks.
        seconds: mean time of the click that led there, of given clicks the time of both kinds' together, at
            first of the proposals; NaN where there was nothing to do.
        clicks: every click, in its order.
        lesion_dice: for each lesion that was clicked on its own, its Dice after 0, 1, 2 ... clicks; of
            proposals, that of all those together that overlap it.
        lesion_clicks: for each such lesion its clicks.
    """

    masks: tuple[Crop, ...]
    seconds: tuple[float, ...]
    clicks: tuple[Click, ...]
    lesion_dice: tuple[tuple[float, ...], ...] = ()
    lesion_clicks: tuple[tuple[Click, ...], ...] = ()


@dataclass(frozen=True)
class Corrective:
    """Clicks on the errors of each lesion, one lesion at a time.

    Args:
        annotator: how the voxel is chosen (see `lib.interaction.annotator`).
        seed: of `random` and `human`.
        proposals: without clicks, the mask is what is proposed. Clicked lesions begin anew.
        given: each lesion's clicks as they were made for another method; nobody looks for errors then.
    """

    annotator: Annotator = "centre"
    seed: int = 0
    proposals: bool = False
    given: Sequence[Sequence[Click]] | None = None

    def run(self, segmenter: Segmenter[Any], case: Case, count: int) -> Course:
        """Click each lesion of a case `count` times, or until nothing is wrong."""
        engine = Engine(segmenter, STATE_BYTES)
        union = [Crop.empty()] * (count + 1)
        seconds: list[list[float]] = [[] for _ in union]
        lesion_clicks: list[tuple[Click, ...]] = []
        lesion_dice: list[tuple[float, ...]] = []
        for number, truth in enumerate(case.objects):
            dices: list[float] = []
            made: list[Click] = []
            for n, (mask, spent) in enumerate(self._one(engine, case, number, count, made)):
                union[n] = union[n].union(mask)
                # Without a click the mask is the one before.
                dices.append(dice(truth, mask) if spent is not None or not dices else dices[-1])
                if spent is not None:
                    seconds[n].append(spent)
            lesion_dice.append(tuple(dices))
            lesion_clicks.append(tuple(made))
        if self.proposals:
            update, spent = _proposed(engine, case)
            masks = update.masks.values()
            union[0] = _union(masks)
            seconds[0].append(spent)
            found = [dice(truth, _union(_overlapping(truth, masks))) for truth in case.objects]
            lesion_dice = [(first, *rest) for first, (_, *rest) in zip(found, lesion_dice, strict=True)]
        means = tuple(float(np.mean(spent)) if spent else float("nan") for spent in seconds)
        clicks = tuple(click for made in lesion_clicks for click in made)
        return Course(tuple(union), means, clicks, tuple(lesion_dice), tuple(lesion_clicks))

    def _one(
        self,
        engine: Engine[Any],
        case: Case,
        number: int,
        count: int,
        made: list[Click],
    ) -> Iterator[tuple[Crop, float | None]]:
        """Yield the mask of one object after 0, 1 ... clicks; no time where there was no error left.

        Args:
            engine: of the method.
            case: what is clicked.
            number: the lesion's among the case's.
            count: clicks at most.
            made: gets the clicks.
        """
        truth, obj, mask = case.objects[number], None, Crop.empty()
        rng = np.random.default_rng([self.seed, number_of(case.name), number])
        yield mask, None
        for n in range(count):
            if self.given is not None:
                click = next(iter(self.given[number][n:]), None)
            else:
                # A voxel that was clicked is not clicked again, whatever the method made of it.
                click = next_click(truth, as_told(mask, made), case.volume.spacing, self.annotator, rng)
            if click is None:
                yield mask, None
                continue
            made.append(click)
            begin = time.perf_counter()
            obj, mask = engine.correct(case.volume, obj, (click,), LABEL)
            yield mask, time.perf_counter() - begin


@dataclass(frozen=True)
class Given:
    """Clicks made beforehand, as autoPET IV has them.

    Args:
        clicks: those of a case.
        proposals: the clicks correct what is proposed, as in a viewer.
    """

    clicks: Callable[[Case], GivenClicks]
    proposals: bool = False

    def run(self, segmenter: Segmenter[Any], case: Case, count: int) -> Course:
        """Let a case have its first click of each kind, then its second, up to `count`."""
        engine = Engine(segmenter, STATE_BYTES)
        given = self.clicks(case)
        objects: Sequence[AnnotatedObject] = ()
        mask, spent = Crop.empty(), float("nan")
        if self.proposals:
            update, spent = _proposed(engine, case)
            objects, mask = update.objects, _union(update.masks.values())
        masks, seconds = [mask], [spent]
        for n in range(1, count + 1):
            known = given.first(n, LABEL)
            objects, mask, spent = _clicked(engine, case, objects, known)
            masks.append(mask)
            # A request with no new click, or with no object to correct, is answered at once.
            idle = known == given.first(n - 1, LABEL) or not objects
            seconds.append(float("nan") if idle else spent)
        made = [Click(at, positive=True) for at in given.tumor[:count]]
        made += [Click(at, positive=False) for at in given.background[:count]]
        return Course(tuple(masks), tuple(seconds), tuple(made))


def _proposed(engine: Engine[Any], case: Case) -> tuple[Update, float]:
    """Return what is proposed, and the seconds it took."""
    begin = time.perf_counter()
    update = propose_objects(engine, case.volume, LABEL, seeds_of(case))
    return update, time.perf_counter() - begin


def _clicked(
    engine: Engine[Any], case: Case, objects: Sequence[AnnotatedObject], prompts: Prompts
) -> tuple[Sequence[AnnotatedObject], Crop, float]:
    """Return the objects after a request, all that they cover, and the seconds it took."""
    begin = time.perf_counter()
    update = engine.update(case.volume, objects, prompts)
    spent = time.perf_counter() - begin
    return update.objects, _union(update.masks.values()), spent


def _union(masks: Iterable[Crop]) -> Crop:
    return functools.reduce(Crop.union, masks, Crop.empty())


def _overlapping(truth: Crop, masks: Iterable[Crop]) -> Iterator[Crop]:
    return (mask for mask in masks if mask.minus(truth) is not mask)
