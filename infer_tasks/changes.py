"""What an annotator can do to the objects of a session: each change makes a snapshot of another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from infer_tasks.annotated import Item, Method, Snapshot
from infer_tasks.requests import RequestError
from lib.interaction import AnnotatedObject, Click, Engine, propose_objects, propose_seeds
from lib.interaction.engine import check_has_value
from lib.interaction.labels import is_lesion, precedence
from lib.interaction.painting import Bits, Paint
from lib.interaction.prompts import MOST_CLICKS, Index
from lib.interaction.scene import Scene
from lib.interaction.segmenter import Stopwatch
from lib.pet import Crop, Volume
from lib.pet.organ_map import OrganMap
from lib.pet.tracers import tracer_of

#: Objects that one stroke may change: each is measured anew, and nobody paints in so many at once.
MOST_PAINTED = 64


@dataclass(frozen=True)
class Reader:
    """What a change needs to have clicks answered.

    Args:
        volume: the study's image.
        engine: of the object's method.
        method: likewise.
        watch: gets the time of each stage.
    """

    volume: Volume
    engine: Engine
    method: Method
    watch: Stopwatch


def begin(now: Snapshot, reader: Reader, label: str, click: Click) -> Snapshot:
    """Return the snapshot with a new object, of one positive click.

    Raises:
        RequestError: a negative click, or as many objects as there can be.
        PromptError: a voxel without a value, or a method that cannot answer here.
    """
    if not click.positive:
        raise RequestError("A new object begins with a positive click; choose the object to take away from.")
    check_has_value(reader.volume, click.index, label)
    anchor = reader.engine.segmenter.anchor(reader.volume, click.index, _anchors(now, reader.method))
    obj = replace(AnnotatedObject.new(now.free_number(), label, anchor), steps=((click,),))
    return now.having(_answered(reader, obj))


def click_in(now: Snapshot, reader: Reader, number: int, click: Click) -> Snapshot:
    """Return the snapshot with one more click in an object, whatever it touches.

    What is shown of the object and its clicks do not give by themselves, as after other weights or for a
    label that was drawn elsewhere, counts as painted.

    Raises:
        RequestError: there is no such object, or it has a click on that voxel already.
        PromptError: a positive click on a voxel without a value.
    """
    obj = now[number].object
    if click.index in obj.positive | obj.negative:
        raise RequestError("The object has a click on this voxel already; undo it first.")
    if len(obj.steps) >= MOST_CLICKS:
        raise RequestError(f"An object has at most {MOST_CLICKS} clicks; go on with the brush.")
    if click.positive:
        check_has_value(reader.volume, click.index, obj.label)
    obj = _settled(reader, now[number])
    if click.positive and not obj.positive:
        others = _anchors(now.without([number]), reader.method)
        obj = replace(obj, anchor=reader.engine.segmenter.anchor(reader.volume, click.index, others))
    return now.having(_answered(reader, replace(obj, steps=(*obj.steps, (click,)), status="draft")))


def answer_anew(now: Snapshot, reader: Reader, number: int) -> Snapshot:
    """Return the snapshot with an object answered by another method; what was painted stays."""
    obj = now[number].object
    anchor = None
    if obj.positive:
        first = next(click.index for step in obj.steps for click in step if click.positive)
        others = _anchors(now.without([number]), reader.method)
        anchor = reader.engine.segmenter.anchor(reader.volume, first, others)
    return now.having(_answered(reader, replace(obj, anchor=anchor, status="draft")))


def propose(
    now: Snapshot, reader: Reader, label: str, organs: OrganMap | None = None
) -> tuple[Snapshot, tuple[str, ...]]:
    """Return the snapshot with proposed objects where there is none yet, and warnings for the annotator.

    Args:
        now: what there is.
        reader: answers the clicks.
        label: of what is proposed.
        organs: tell normal uptake from what may be a lesion; None where there is no organ map.
    """
    masks = [item.mask.crop for item in now.items.values()]
    found = propose_seeds(reader.volume, organs, tracer_of(reader.volume))
    seeds = [seed for seed in found if not any(mask.contains(seed.index) for mask in masks)]
    update = propose_objects(reader.engine, reader.volume, label, seeds)
    for stage, spent in update.seconds.items():
        reader.watch.seconds[stage] += spent
    digest = reader.engine.segmenter.digest
    warnings = list(update.warnings)
    for obj in update.objects:
        mask = update.masks[obj.id]
        if any(mask.touches(other) for other in masks):
            continue
        try:
            number = now.free_number()
        except RequestError as error:
            warnings.append(str(error))
            break
        now = now.having(Item(replace(obj, id=number), reader.method, Bits.of(mask), digest))
    return now, tuple(warnings)


def merge(now: Snapshot, into: int, numbers: Collection[int]) -> Snapshot:
    """Return the snapshot in which some objects are part of another one: painted on it.

    Raises:
        RequestError: there is no such object, or the object itself is among them.
    """
    if not numbers or into in numbers:
        raise RequestError("Name one object, and others to become part of it.")
    kept, on = now[into], Crop.empty()
    for number in numbers:
        on = on.union(now[number].mask.crop)
    stroke = Paint(len(kept.object.steps), Bits.of(on))
    return now.without(numbers).having(kept.painted(stroke).with_object(status="draft"))


def brush(
    now: Snapshot,
    scene: Scene,
    shape: Sequence[int],
    slices: Mapping[int, NDArray[np.uint8]],
    label: str | None,
    labels: Sequence[str],
    method: Method,
) -> Snapshot:
    """Return the snapshot after an annotator painted in the image that the scene shows.

    A voxel that went from one number to another is taken from the one object and given to the other, and from
    all those that would be seen there instead. A number that no object has begins a new one.

    Args:
        now: the objects.
        scene: how they are shown.
        shape: voxels of the study along i, j and k.
        slices: by k those that were painted in, as they are now: uint8 [j, i].
        label: of new objects.
        labels: names in use, `background` first.
        method: of new objects.

    Raises:
        RequestError: a new object without a label, or more objects than MOST_PAINTED or than there can be.
    """
    on, off = _strokes(scene, shape, slices)
    painted = on.keys() | off.keys()
    if len(painted) > MOST_PAINTED:
        raise RequestError(f"At most {MOST_PAINTED} objects are painted at a time: send fewer slices.")
    # What was painted in is accepted no longer, and so must not rank as if it were.
    items = {
        number: item.with_object(status="draft") if number in painted else item
        for number, item in now.items.items()
    }
    for number in sorted(on.keys() - items.keys()):
        if label is None:
            raise RequestError(f"No object has the number {number}: say which label the new one has.")
        obj = AnnotatedObject.new(number, label, None)
        items[number] = Item(obj, method, Bits.of(Crop.empty()))
    rank = {number: precedence(item.object, labels) for number, item in items.items()}
    for number, stroke in on.items():
        for other, item in items.items():
            if rank[other] > rank[number] and (hidden := _shared(item.mask.crop, stroke)).any():
                off[other] = off.get(other, Crop.empty()).union(hidden)
    changed = []
    for number in sorted(on.keys() | off.keys()):
        item = items[number]
        added, taken = (part.get(number, Crop.empty()) for part in (on, off))
        paint = Paint(len(item.object.steps), Bits.of(added), Bits.of(taken.minus(added)))
        changed.append(item.painted(paint).with_object(status="draft"))
    return now.having(*changed)


def accept(now: Snapshot, scene: Scene) -> Snapshot:
    """Return the snapshot with all objects accepted of which something is seen."""
    seen = {number: scene.seen[number] for number in now.items}
    return now.having(*(now[number].accepted(crop) for number, crop in seen.items() if crop.any()))


def in_accepted(now: Snapshot, scene: Scene, number: int | None, label: str, click: Click) -> tuple[str, ...]:
    """Return the warning that a positive click is in an accepted object, which keeps its voxels.

    Args:
        now: the objects before the click.
        scene: how they are shown.
        number: of the object that was clicked; None: a new one.
        label: of that object. A lesion is seen over an accepted organ all the same.
        click: the click.
    """
    at = scene.at(click.index) if click.positive else None
    if at is None or at == number or now[at].object.status != "accepted":
        return ()
    if is_lesion(label) and not is_lesion(now[at].object.label):
        return ()
    return (
        f"The click is in object {at}, which is accepted and keeps its voxels; correct that one instead.",
    )


def _answered(reader: Reader, obj: AnnotatedObject) -> Item:
    state = reader.engine.answer(reader.volume, obj, reader.watch)
    digest = reader.engine.segmenter.digest
    return Item(obj, reader.method, Bits.of(state.mask), digest, state.warnings)


def _settled(reader: Reader, item: Item) -> AnnotatedObject:
    """Return an object of which all that is shown follows from its clicks and strokes."""
    obj, shown = item.object, item.mask.crop
    given = reader.engine.answer(reader.volume, obj, reader.watch).mask
    if given.equals(shown):
        return obj
    return replace(obj, paints=(*obj.paints, Paint.between(len(obj.steps), given, shown)))


def _anchors(now: Snapshot, method: Method) -> list[Index]:
    return [
        item.object.anchor
        for item in now.items.values()
        if item.object.anchor is not None and item.method.name == method.name
    ]


def _strokes(
    scene: Scene, shape: Sequence[int], slices: Mapping[int, NDArray[np.uint8]]
) -> tuple[dict[int, Crop], dict[int, Crop]]:
    """Return what was painted on and what was painted off, by the objects' numbers."""
    on: dict[int, Crop] = {}
    off: dict[int, Crop] = {}
    for k, painted in sorted(slices.items()):
        shown = scene.slices(shape, k, k + 1)[0]
        changed = painted != shown
        for part, values in ((on, painted), (off, shown)):
            for number in np.flatnonzero(np.bincount(values[changed], minlength=1)) if changed.any() else ():
                if number:
                    flat = Crop((0, 0, k), ((values == number) & changed).T[:, :, None]).tight()
                    part[int(number)] = part.get(int(number), Crop.empty()).union(flat)
    return on, off


def _shared(mask: Crop, other: Crop) -> Crop:
    return mask.minus(mask.minus(other))
