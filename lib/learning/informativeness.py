"""How much a label of a study would tell the network: what it says of the study's likely lesions by itself.

Each of the hottest seeds (`lib.interaction.proposals`) is decoded under several prompt sets: its own click,
and clicks moved by a few millimetres, as another annotator might place them. Where the network knows the
matter, all give one mask.

* **Disagreement**: 1 minus the mean Dice over the pairs of a seed's masks; a study's is the mean over seeds.
* **Vote entropy** (Engelson and Dagan 1996), in bits, of the masks' vote on each voxel; its mean over voxels
  that most masks take in (class `object`), and over those that only some do (class `surroundings`). Apart,
  for the surroundings would drown the objects.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.interaction import AnnotatedObject, Click, Engine, Seed
from lib.interaction.prompts import Index
from lib.interaction.segmenter import Stopwatch
from lib.pet import Crop, Volume

#: Classes of voxels by which entropy is told.
CLASSES = ("object", "surroundings")
#: Seeds of a study that are decoded, the hottest first, and prompt sets for each.
MOST_SEEDS, PROMPT_SETS = 6, 4
#: A click is moved at most so far, and to voxels with at least this share of the seed's value.
JITTER_MM, JITTER_SHARE = 8.0, 0.5


@dataclass(frozen=True)
class Informativeness:
    """What a study's seeds say.

    Args:
        disagreement: 0 (all masks agree) to 1; None where no seed gave masks to compare, for all were
            empty, or no voxel near it was bright as well.
        entropy: by class, 0 to 1 bit; without the classes that no voxel is of.
        seeds: that were decoded.
    """

    disagreement: float | None
    entropy: dict[str, float]
    seeds: int


def informativeness(
    engine: Engine,
    volume: Volume,
    seeds: Sequence[Seed],
    random: np.random.Generator,
    pause: Callable[[], None] = lambda: None,
) -> Informativeness:
    """Decode a study's seeds under jittered prompts.

    Args:
        engine: of the network that would learn.
        volume: the study's image.
        seeds: the hottest first, see `lib.interaction.propose_seeds`.
        random: draws the jitter.
        pause: called before each decoding; what waits for the engine goes first then.
    """
    disagreements: list[float] = []
    votes: list[np.ndarray] = []
    for seed in seeds[:MOST_SEEDS]:
        anchor = engine.segmenter.anchor(volume, seed.index, ())
        masks = []
        for click in jittered(volume, seed.index, PROMPT_SETS, random):
            pause()
            obj = AnnotatedObject(1, "lesion", "", anchor=anchor, steps=((Click(click, positive=True),),))
            masks.append(engine.answer(volume, obj, Stopwatch()).mask)
        if len(masks) > 1 and any(mask.any() for mask in masks):
            disagreements.append(
                1 - float(np.mean([_dice(*pair) for pair in itertools.combinations(masks, 2)]))
            )
            votes.append(_votes(masks))
    if not disagreements:
        return Informativeness(None, {}, len(seeds[:MOST_SEEDS]))
    shares = np.concatenate(votes)
    parts = {"object": shares[shares > 0.5], "surroundings": shares[shares <= 0.5]}
    entropy = {name: round(float(_bits(part).mean()), 4) for name, part in parts.items() if part.size}
    return Informativeness(round(float(np.mean(disagreements)), 4), entropy, len(seeds[:MOST_SEEDS]))


def jittered(volume: Volume, index: Index, count: int, random: np.random.Generator) -> list[Index]:
    """Return a voxel, and others near it that are bright as well: `count` in all, or as many as there are."""
    reach = [int(JITTER_MM // mm) for mm in volume.spacing]
    start = [max(0, at - by) for at, by in zip(index, reach, strict=True)]
    stop = [min(size, at + by + 1) for at, by, size in zip(index, reach, volume.shape, strict=True)]
    box = volume.array[tuple(map(slice, start, stop))]
    places = np.argwhere(box >= JITTER_SHARE * volume.array[index]) + start
    away = np.linalg.norm((places - index) * volume.spacing, axis=1)
    near = places[(away > 0) & (away <= JITTER_MM)]
    drawn = near[random.permutation(len(near))[: count - 1]]
    return [index, *((int(i), int(j), int(k)) for i, j, k in drawn)]


def power_noise(value: float, labels: int, random: np.random.Generator) -> float:
    """Return a score's rank under noise that decays as labels come in: log(value) + Gumbel noise / beta.

    The best of such ranks is drawn with a probability in proportion to value ** beta (Kirsch et al. 2023);
    beta = 1 + labels / 5: at first nearly any study may come, later the best ones.
    """
    return math.log(max(value, 1e-6)) + float(random.gumbel()) / (1 + labels / 5)


def _dice(a: Crop, b: Crop) -> float:
    total = a.count + b.count
    return 2 * (a.count - a.minus(b).count) / total if total else 1.0


def _votes(masks: Sequence[Crop]) -> np.ndarray:
    """Return the share of the masks that each voxel is in, of all that are in one at least."""
    taken = [mask for mask in masks if mask.any()]
    start = np.min([mask.start for mask in taken], axis=0)
    stop = np.max([np.add(mask.start, mask.array.shape) for mask in taken], axis=0)
    total = np.zeros(stop - start)
    for mask in taken:
        first = np.subtract(mask.start, start)
        total[tuple(map(slice, first, first + mask.array.shape))] += mask.array
    return total[total > 0] / len(masks)


def _bits(shares: np.ndarray) -> np.ndarray:
    """Return the entropy of a vote with these shares for yes, none of which is 0."""
    rest = 1 - shares
    return -shares * np.log2(shares) - rest * np.log2(np.where(rest > 0, rest, 1))
