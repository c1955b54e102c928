"""From automatic seeds to proposed objects: what a study shows before anybody has clicked in it."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lib.interaction.engine import Engine, Update
from lib.interaction.labels import is_lesion
from lib.interaction.objects import AnnotatedObject
from lib.interaction.prompts import Index, PromptError, Prompts
from lib.interaction.proposals import Seed
from lib.interaction.segmenter import S
from lib.pet import Volume

#: A proposal of more than this is taken for an organ or a leak; larger lesions are for a person to click.
MOST_ML = 1000.0


def lesion_label(labels: Sequence[str]) -> str:
    """Return the first label that means a lesion.

    Raises:
        PromptError: none of them does.
    """
    label = next((name for name in labels if is_lesion(name)), None)
    if label is None:
        raise PromptError(
            "Lesions cannot be proposed: none of the labels here means one; add the label lesion."
        )
    return label


def propose_objects(engine: Engine[S], volume: Volume, label: str, seeds: Sequence[Seed]) -> Update:
    """Decode each seed as one positive click; return objects of status "proposed" that keep it as their own.

    Seeds are taken in turn, each as a step of its own. One that lies in the mask of an earlier one adds
    nothing and is left out. Where masks touch, the engine makes one object of them, as it does for an
    annotator's clicks. A seed after which an object is empty, is more than 1000 ml, or has any other warning
    of the segmenter (as of a leak) is left out as well, and a warning says so.
    """
    kept: list[Index] = []
    refused: dict[str, list[Index]] = defaultdict(list)
    update = engine.update(volume, (), Prompts())
    seconds: dict[str, float] = defaultdict(float)
    for seed in seeds:
        if any(mask.contains(seed.index) for mask in update.masks.values()):
            continue
        tried = engine.update(volume, update.objects, Prompts({label: (*kept, seed.index)}))
        for stage, spent in tried.seconds.items():
            seconds[stage] += spent
        if reason := _doubt(volume, tried, seed.index):
            refused[reason].append(seed.index)
        else:
            kept.append(seed.index)
            update = tried
        time.sleep(0.001)  # threads that wait for the engine with a click get their turn
    warnings = [
        f"{len(places)} of {len(seeds)} proposals left out, at {', '.join(map(str, places))}: {reason}"
        for reason, places in refused.items()
    ]
    return replace(
        update,
        objects=tuple(_proposed(obj) for obj in update.objects),
        warnings=tuple(warnings),
        seconds=dict(seconds),
    )


def _doubt(volume: Volume, update: Update, seed: Index) -> str:
    """Return what speaks against the object that a seed is in, "" for nothing."""
    number = next(obj.id for obj in update.objects if seed in obj.positive)
    if not update.masks[number].any():
        return "the mask is empty."
    if number in update.doubts:
        return " ".join(update.doubts[number])
    if update.masks[number].count * volume.voxel_ml > MOST_ML:
        return f"the mask is larger than {MOST_ML:.0f} ml."
    return ""


def _proposed(obj: AnnotatedObject) -> AnnotatedObject:
    return replace(obj, status="proposed", seeds=frozenset(obj.positive))
