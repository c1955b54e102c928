"""Simulated campaigns: studies labelled one after another, a training at each budget, and what it was worth.

An annotator labels what a strategy proposes. After 5, 10, 20 labels the base is fine-tuned anew on all of
them, and measured on studies that nobody labels, and on phantoms of the tracers that it knew.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.interaction import Engine, NetworkSegmenter
from lib.learning.blending import blended
from lib.learning.cases import number_of, seeds_of
from lib.learning.finetuning import FineTuner
from lib.learning.held_out import Scores, mean_of, measure
from lib.learning.informativeness import informativeness
from lib.learning.kept_regions import KeptRegions
from lib.learning.next_study import SCORED, StudyScore, ranked
from lib.learning.promotion import CLICKS
from lib.learning.studies import Source
from lib.learning.tuning_recipe import FineTuning
from lib.network.checkpoints import Network

#: Puts the studies that nobody has labelled yet in order, the next one first: by the network as it is, the
#: studies, the number of labels that there are, and chance.
Strategy = Callable[[Network, Sequence[Source], int, np.random.Generator], Sequence[Source]]
_STATE_BYTES, _EMBEDDING_BYTES = 64 << 20, 256 << 20


@dataclass(frozen=True)
class Campaign:
    """What is labelled, and on what it is measured.

    Args:
        base: the network to begin with.
        pool: studies to label.
        test: studies that are never labelled.
        old: phantoms of what the base knew, never trained on.
        rehearsed: others of them, trained on beside the labels.
        watched: others of them, by which it is chosen how far new weights may go.
        budgets: numbers of labels after which it is trained and measured.
        recipe: of every training.
        folder: for kept regions and checkpoints.
        each: regions of an object.
    """

    base: Network
    pool: Sequence[Source]
    test: Sequence[Source]
    old: Sequence[Source]
    rehearsed: Sequence[Source]
    watched: Sequence[Source]
    budgets: Sequence[int]
    recipe: FineTuning
    folder: Path
    each: int = 8


@dataclass(frozen=True)
class Result:
    """One training of a campaign.

    Args:
        strategy: which chose the studies.
        seed: of the campaign's chance.
        labels: how many there were.
        dice: on the test studies by clicks, and `old` on phantoms of what was known; empty without such.
        seconds: of drawing, encoding and training.
        share: of the tuned weights in the result, see `lib.learning.blending`.
        chosen: the studies labelled so far.
    """

    strategy: str
    seed: int
    labels: int
    dice: dict[str, float]
    old: dict[str, float]
    seconds: float
    share: float
    chosen: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def at_random(
    network: Network, sources: Sequence[Source], labels: int, random: np.random.Generator
) -> list[Source]:
    """Return studies in any order: what every other strategy must beat."""
    return [sources[place] for place in random.permutation(len(sources))]


def by_scores(
    strategy: str,
    known: dict[tuple[str, str], StudyScore],
    network: Network,
    sources: Sequence[Source],
    labels: int,
    random: np.random.Generator,
) -> list[Source]:
    """Return studies as a server proposes them (`lib.learning.next_study`); those without a score last.

    What the same weights said of a study is in `known`, by digest and name: the first choice of every
    strategy and seed is by the base.
    """
    engine = Engine(NetworkSegmenter(network, _EMBEDDING_BYTES), _STATE_BYTES)
    for source in sources:
        if (network.digest, source.name) not in known:
            case, jitter = source.read(), np.random.default_rng(number_of(source.name))
            told = informativeness(engine, case.volume, seeds_of(case), jitter)
            known[network.digest, source.name] = StudyScore(
                source.name, (0, 0), network.digest, None, told.disagreement, told.entropy
            )
    left = {source.name: known[network.digest, source.name] for source in sources}
    order: list[str] = []
    while names := ranked(strategy, left.values(), labels + len(order), random):
        order.append(names[0])
        del left[names[0]]
    of = {source.name: source for source in sources}
    return [of[name] for name in (*order, *left)]


def strategies() -> dict[str, Strategy]:
    """Return the strategies by name; those that go by scores share what they find out."""
    known: dict[tuple[str, str], StudyScore] = {}
    return {"random": at_random, **{name: functools.partial(by_scores, name, known) for name in SCORED}}


def run(
    campaign: Campaign,
    name: str,
    strategy: Strategy,
    seed: int,
    report: Callable[[str], None] = lambda _: None,
    known: Sequence[Result] = (),
) -> list[Result]:
    """Run one campaign; return a result for each budget, that without labels first.

    Args:
        campaign: what is labelled.
        name: of the strategy.
        strategy: proposes the next study.
        seed: of the order and of every training.
        report: called with a few words as it goes on.
        known: results of campaigns with the same base, studies and recipe; where the same studies were
            labelled in the same seed, in whatever order, theirs is taken.
    """
    network = campaign.base
    same = {frozenset(one.chosen): one for one in known if one.seed == seed}
    last = max(campaign.budgets)
    results: list[Result] = []
    labelled: list[Source] = []
    for budget in (0, *campaign.budgets):
        if wanted := budget - len(labelled):
            random = np.random.default_rng([seed, len(labelled)])
            left = [source for source in campaign.pool if source not in labelled]
            is_all = len(left) <= wanted
            labelled += left if is_all else strategy(network, left, len(labelled), random)[:wanted]
        chosen = tuple(source.name for source in labelled)
        found = same.get(frozenset(chosen))
        if found and budget in (0, last):  # between, the trained network proposes what comes next
            results.append(replace(found, strategy=name, chosen=chosen))
            continue
        report(f"{name}, seed {seed}: {len(labelled)} labels")
        begin = time.monotonic()
        network, share = trained(campaign, labelled, seed) if labelled else (network, 0.0)
        seconds = time.monotonic() - begin if labelled else 0.0
        results.append(_result(campaign, name, seed, network, chosen, seconds, share))
    return results


def trained(campaign: Campaign, labelled: Sequence[Source], seed: int) -> tuple[Network, float]:
    """Fine-tune a campaign's base on some studies, for all epochs of its recipe, and blend it with the base.

    Returns it, and the share of the tuned weights in it.

    Nothing is held out: with five labels none can be spared, so that early stopping has no part in it.
    """
    recipe = campaign.recipe
    kept = KeptRegions(campaign.folder / "regions", campaign.base, recipe.mode == "decoder", campaign.each)
    regions = kept.of(sorted(labelled, key=lambda source: source.name))  # whoever chose them, in one order
    replay = kept.of(campaign.rehearsed)
    recipe = FineTuning(**{**asdict(recipe), "seed": seed})
    tuner = FineTuner(campaign.base, recipe, kept, regions, [], replay, campaign.folder)
    network = tuner.run()
    tuner.checkpoint.unlink(missing_ok=True)
    few = KeptRegions(campaign.folder / "regions", campaign.base, kept.encoded, each=1, most=12)
    return blended(campaign.base, network, few, few.of(campaign.watched))


def _result(
    campaign: Campaign,
    name: str,
    seed: int,
    network: Network,
    chosen: tuple[str, ...],
    seconds: float,
    share: float,
) -> Result:
    dice, old = (_means(measure(network, sources)) for sources in (campaign.test, campaign.old))
    return Result(name, seed, len(chosen), dice, old, round(seconds, 1), share, chosen)


def _means(scores: Scores) -> dict[str, float]:
    return {str(clicks): round(mean_of(scores, clicks), 5) for clicks in CLICKS} if scores else {}
