"""The engine: from what a viewer says about a study to the masks of its objects.

A pure function of image, weights and steps: the same steps give the same mask, bit for bit, also after a
restart. Viewers of MONAI Label send all clicks at every request, in no kept order, and take clicks away to
undo; the engine compares with the objects as they were, drops what was taken away, adds what is new as one
step an object, and decodes from the longest run of steps that it has seen before.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Generic

import numpy as np
from cachetools import LRUCache

from lib.interaction.objects import AnnotatedObject
from lib.interaction.painting import painted
from lib.interaction.prompts import Click, Index, PromptError, Prompts, Step
from lib.interaction.segmenter import S, Segmenter, State, Stopwatch
from lib.pet import Crop, Volume

#: Positive clicks that a request may add: each is decoded alone first, and everybody else waits meanwhile.
MOST_NEW_CLICKS = 100
#: Bytes of a state beside its mask and logits: an empty one must not be free in the cache.
STATE_OVERHEAD = 1024


@dataclass(frozen=True)
class Update:
    """The answer to one request.

    Args:
        objects: the study's objects, in the order of their ids.
        masks: the mask of each object, by id.
        regions: the parts of the image that were looked at, with the object's id.
        warnings: what the annotator should know, in plain words.
        seconds: time of each stage.
        highest: the highest number that an object of the study ever had.
        doubts: those of the warnings that are about one object, by id; only of objects with some.
    """

    objects: tuple[AnnotatedObject, ...]
    masks: dict[int, Crop]
    regions: list[dict[str, Any]]
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    highest: int
    doubts: dict[int, tuple[str, ...]] = field(default_factory=dict)


class Engine(Generic[S]):
    """Keeps the objects of studies up to date with one segmenter. Threads may share it; they take turns.

    Args:
        segmenter: turns an object's clicks into its mask.
        cache_bytes: bound of the objects' states kept; the least recently used go first and are decoded anew.
    """

    def __init__(self, segmenter: Segmenter[S], cache_bytes: int = 512 << 20) -> None:
        self.segmenter = segmenter
        self._states: LRUCache[tuple[str, Index | None, tuple[Step, ...]], S] = LRUCache(
            cache_bytes, getsizeof=lambda state: state.bytes + STATE_OVERHEAD
        )
        self._turn = Lock()

    def update(
        self, volume: Volume, objects: Sequence[AnnotatedObject], prompts: Prompts, highest: int = 0
    ) -> Update:
        """Bring objects up to date with everything that a viewer says now.

        A positive click that adjoins an object of its label corrects that object; any other is decoded alone
        first, and corrects the object that its mask touches, or else begins a new one. An object without a
        positive click is gone. Background is negative for every object, another label's positive click for
        this one.

        A proposed object stays without its seeds being sent. A positive click in it makes it a draft; before
        that, a negative one in it rejects all of it.

        Args:
            volume: the study's image.
            objects: the objects as the last update left them (none at first).
            prompts: all clicks that the viewer holds.
            highest: the highest number that an object of the study ever had; none is given twice.

        Raises:
            PromptError: a positive click on a voxel that has no value, or more than MOST_NEW_CLICKS new ones.
        """
        _check_not_too_many(objects, prompts)
        for label, clicked in prompts.positive.items():
            for voxel in clicked:
                check_has_value(volume, voxel, label)
        watch = Stopwatch()
        with self._turn:
            kept: list[AnnotatedObject] = []
            for obj in objects:
                shorter = _without_taken_back(obj, prompts)
                if shorter.positive and not self._is_rejected(volume, shorter, prompts, watch):
                    kept.append(self._anchored_anew(volume, obj, shorter, kept))
            highest = max([highest, *(obj.id for obj in objects)])
            updated = self._with_new_clicks(volume, kept, prompts, highest, watch)
            states = {obj.id: self._state(volume, obj.anchor, obj.steps, watch) for obj in updated}
        doubts = {obj.id: doubts for obj in updated if (doubts := _doubts(states[obj.id]))}
        warnings = [f"{obj.label} {obj.id}: {text}" for obj in updated for text in doubts.get(obj.id, ())]
        return Update(
            objects=tuple(updated),
            masks={number: state.mask for number, state in states.items()},
            regions=[
                {"object": number, **region} for number, state in states.items() for region in state.regions
            ],
            warnings=(*prompts.warnings, *warnings),
            seconds=dict(watch.seconds),
            highest=max([highest, *states]),
            doubts=doubts,
        )

    def correct(
        self, volume: Volume, obj: AnnotatedObject | None, step: Step, label: str = "lesion"
    ) -> tuple[AnnotatedObject, Crop]:
        """Add a step to one object, whatever its clicks touch: an annotator who names it leaves no guess.

        Args:
            volume: the study's image.
            obj: the object, or None for a new one (number 1; the step needs a positive click then).
            step: the clicks to add.
            label: of a new object.

        Returns:
            The object with the step, and its mask.

        Raises:
            PromptError: a new object without a positive click.
        """
        first = next((click.index for click in step if click.positive), None)
        with self._turn:
            if obj is None:
                if first is None:
                    raise PromptError("A new object needs a positive click.")
                obj = AnnotatedObject.new(1, label, self.segmenter.anchor(volume, first, ()))
            obj = replace(obj, steps=(*obj.steps, tuple(sorted(step))))
            return obj, self._state(volume, obj.anchor, obj.steps, Stopwatch()).mask

    def answer(self, volume: Volume, obj: AnnotatedObject, watch: Stopwatch) -> State:
        """Return an object's mask, with what was painted over it, and the warnings about it.

        Args:
            volume: the study's image.
            obj: the object; one that was painted only needs no step.
            watch: gets the time of each stage.
        """
        with self._turn:
            clicked = self._state(volume, obj.anchor, obj.steps, watch) if obj.steps else None
        mask = clicked.mask if clicked else Crop.empty()
        if obj.paints:
            with watch.stage("paint"):
                mask = painted(volume, mask, obj.steps, obj.paints)
        state = State(mask, mask.array.nbytes, *((clicked.regions, clicked.warnings) if clicked else ()))
        return replace(state, warnings=_doubts(state))

    def _anchored_anew(
        self, volume: Volume, before: AnnotatedObject, obj: AnnotatedObject, others: list[AnnotatedObject]
    ) -> AnnotatedObject:
        """Return the object, with another anchor where the click that chose its own is gone."""
        first = _first_click(obj)
        if first == _first_click(before):
            return obj
        return replace(obj, anchor=self.segmenter.anchor(volume, first, _anchors(others)))

    def _is_rejected(self, volume: Volume, obj: AnnotatedObject, prompts: Prompts, watch: Stopwatch) -> bool:
        """Whether an annotator clicked against a proposal without having taken it up."""
        if not obj.seeds or _is_taken_up(obj, prompts):
            return False
        mask = self._state(volume, obj.anchor, obj.steps, watch).mask
        return any(mask.contains(voxel) for voxel in prompts.against(obj.label))

    def _with_new_clicks(
        self,
        volume: Volume,
        objects: list[AnnotatedObject],
        prompts: Prompts,
        highest: int,
        watch: Stopwatch,
    ) -> list[AnnotatedObject]:
        """Return the objects with a step more for the clicks they do not know yet, and the new objects."""
        objects = list(objects)
        added: dict[int, list[Click]] = defaultdict(list)
        #: the masks of this request's clicks, each decoded alone, by the object they went to
        alone: dict[int, list[Crop]] = defaultdict(list)
        for label, clicked in sorted(prompts.positive.items()):
            known = {voxel for obj in objects if obj.label == label for voxel in obj.positive}
            for voxel in clicked:
                if voxel in known:
                    continue
                click = Click(voxel, positive=True)
                point = Crop(voxel, np.ones((1, 1, 1), dtype=bool))
                owner = self._touched(volume, objects, label, point, alone, watch)
                if owner is None:
                    anchor = self.segmenter.anchor(volume, voxel, _anchors(objects))
                    mask = self._state(volume, anchor, ((click,),), watch).mask.union(point)
                    owner = self._touched(volume, objects, label, mask, alone, watch)
                    if owner is None:
                        highest += 1
                        owner = AnnotatedObject.new(highest, label, anchor)
                        objects.append(owner)
                    alone[owner.id].append(mask)
                added[owner.id].append(click)
        result = []
        for obj in objects:
            against = [voxel for voxel in prompts.against(obj.label) if voxel not in obj.negative]
            step = sorted([*added[obj.id], *(Click(voxel, positive=False) for voxel in against)])
            if step:
                obj = replace(obj, steps=(*obj.steps, tuple(step)))
            if obj.seeds:
                obj = replace(obj, status="draft" if _is_taken_up(obj, prompts) else "proposed")
            result.append(obj)
        return result

    def _touched(
        self,
        volume: Volume,
        objects: list[AnnotatedObject],
        label: str,
        mask: Crop,
        alone: dict[int, list[Crop]],
        watch: Stopwatch,
    ) -> AnnotatedObject | None:
        """Return the first object of a label that a mask overlaps or adjoins."""
        for obj in objects:
            if obj.label == label:
                own = [self._state(volume, obj.anchor, obj.steps, watch).mask] if obj.steps else []
                if any(mask.touches(other) for other in (*own, *alone[obj.id])):
                    return obj
        return None

    def _state(self, volume: Volume, anchor: Index | None, steps: tuple[Step, ...], watch: Stopwatch) -> S:
        """Return the state after some steps, going on from the longest run of them in the cache."""
        state: S | None = None
        done = len(steps)
        while done and (state := self._states.get((volume.digest, anchor, steps[:done]))) is None:
            done -= 1
        for count in range(done + 1, len(steps) + 1):
            state = self.segmenter.advance(volume, anchor, state, steps[:count], watch)
            if state.bytes + STATE_OVERHEAD <= self._states.maxsize:
                self._states[(volume.digest, anchor, steps[:count])] = state
        assert state is not None, "an object has at least one step"
        return state


def _check_not_too_many(objects: Sequence[AnnotatedObject], prompts: Prompts) -> None:
    known = {(obj.label, voxel) for obj in objects for voxel in obj.positive}
    new = sum((label, voxel) not in known for label, clicked in prompts.positive.items() for voxel in clicked)
    if new > MOST_NEW_CLICKS:
        raise PromptError(
            f"At most {MOST_NEW_CLICKS} new positive clicks are taken at a time, not {new}: "
            "send a part of them first."
        )


def check_has_value(volume: Volume, voxel: Index, label: str) -> None:
    """Raise PromptError where a positive click is on a voxel without a value."""
    if np.isnan(volume.array[voxel]):
        raise PromptError(f"The click {voxel} of {label} is on a voxel without a value (NaN).")


def _without_taken_back(obj: AnnotatedObject, prompts: Prompts) -> AnnotatedObject:
    """Return the object without the clicks that the viewer no longer sends, or that it now contradicts."""
    negative = set(prompts.against(obj.label))
    positive = {*prompts.positive.get(obj.label, ()), *(obj.seeds - negative)}
    steps = (
        tuple(click for click in step if click.index in (positive if click.positive else negative))
        for step in obj.steps
    )
    return replace(obj, steps=tuple(step for step in steps if step))


def _is_taken_up(obj: AnnotatedObject, prompts: Prompts) -> bool:
    """Whether the annotator has a positive click in the object."""
    return not obj.positive.isdisjoint(prompts.positive.get(obj.label, ()))


def _doubts(state: State) -> tuple[str, ...]:
    empty = () if state.mask.any() else ("the mask is empty; click again nearer to its middle.",)
    return (*state.warnings, *empty)


def _first_click(obj: AnnotatedObject) -> Index:
    return next(click.index for step in obj.steps for click in step if click.positive)


def _anchors(objects: Sequence[AnnotatedObject]) -> list[Index]:
    return [obj.anchor for obj in objects if obj.anchor]
