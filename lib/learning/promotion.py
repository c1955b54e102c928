"""Champion and challenger: whether new weights may take the place of those that answer."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.learning.bootstrap import bootstrap_mean
from lib.store.atomic import write_atomic
from lib.store.errors import StoreError
from lib.store.locks import locked
from lib.store.records import from_json, to_json

#: The numbers of clicks on each object after which Dice is measured.
CLICKS = (1, 3, 5)

#: By study, by number of clicks: Dice.
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Rule:
    """When a challenger is promoted.

    Args:
        confidence: of the interval in which its gain in Dice on the frozen set must be above `gain`.
        gain: see `confidence`.
        clicks: after how many clicks Dice counts; None: the mean of all that were measured.
        loss: Dice that it may lose, in the mean, on digital phantoms of what was known: against the champion,
            and with all trainings before it against the weights before the first.
        fewest: frozen patients that there must be.
    """

    confidence: float = 0.95
    gain: float = 0.0
    clicks: int | None = None
    loss: float = 0.01
    fewest: int = 3

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise StoreError("The rule's confidence must be at least 0.5 and below 1.")
        if not (-1 <= self.gain <= 1 and 0 <= self.loss <= 1):
            raise StoreError("The rule's gain must lie between -1 and 1, and its loss between 0 and 1.")
        if self.fewest < 2:
            raise StoreError("The rule must ask for at least 2 frozen patients: one has no interval.")
        if self.clicks is not None and self.clicks not in CLICKS:
            measured = ", ".join(map(str, CLICKS))
            raise StoreError(f"The rule's number of clicks must be one that is measured: {measured}.")

    @property
    def percent(self) -> str:
        """The confidence in per cent, not rounded to whole ones."""
        return f"{100 * self.confidence:.10g}%"


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes the champion.

    Args:
        promoted: whether it does.
        why: the reason, a sentence with the numbers.
        short: the reason in a few words.
    """

    promoted: bool
    why: str
    short: str = ""


def read_rule(models: Path) -> Rule:
    """Return the rule of a model registry's folder; the default one where nobody has set another.

    Raises:
        StoreError: the file is damaged, or holds a rule that makes no sense.
    """
    path = models / "rule.json"
    if not path.exists():
        return Rule()
    try:
        return Rule(**from_json(path.read_bytes()))
    except (TypeError, StoreError) as error:
        raise StoreError(f"The file {path} holds no rule: delete it, and set the rule anew.") from error


def write_rule(models: Path, rule: Rule) -> None:
    """Set the rule of a model registry's folder."""
    with locked(models):
        write_atomic(models / "rule.json", to_json(asdict(rule)))


def decide(card: Mapping[str, Any], rule: Rule | None = None) -> Decision:
    """Judge a challenger by its card.

    It must be better than the champion on the frozen set, beyond the percentile bootstrap interval (Efron
    1979) of the mean paired difference over patients, and must not have lost what was known before.

    Args:
        card: with `validation` and `retention`, each with `before` (the champion) and `after` (the
            challenger): by study, by number of clicks, Dice, measured in one run; the former also with
            `patients`: by study, a patient's number; where there is none, each study counts as a patient.
        rule: when to promote; None: the default.
    """
    rule = rule or Rule()
    gains = _gains(card["validation"], rule.clicks)
    when = "mean over clicks" if rule.clicks is None else f"after click {rule.clicks}"
    if len(gains) < rule.fewest:
        return Decision(
            False,
            f"Kept, not promoted: {len(gains)} frozen patients could be measured, and the rule asks for "
            f"{rule.fewest}: label more patients, of whom the next training keeps some apart, or promote it "
            "by hand.",
            "kept: too few frozen patients",
        )
    found = bootstrap_mean(gains, confidence=rule.confidence)
    told = (
        f"on {len(gains)} frozen patients Dice ({when}) changes by {found.value:+.3f} "
        f"({rule.percent} interval {found.low:+.3f} to {found.high:+.3f})"
    )
    if not found.low > rule.gain:
        return Decision(
            False,
            f"Kept, not promoted: {told}, which is not surely above {rule.gain:g}.",
            "kept: not surely better",
        )
    retention = card.get("retention", {})
    kept = _gains(retention, rule.clicks)
    if not kept:
        unknown = "what was known was not measured, for there were no phantoms to measure it on"
        return Decision(True, f"Promoted: {told}; {unknown}.", "promoted, old knowledge not measured")
    # Small losses of many trainings must not add up to a large one.
    total = _gains({"before": retention.get("origin", {}), "after": retention["after"]}, rule.clicks)
    for losses, since in ((kept, ""), (total, " since the weights before the first training")):
        if losses and np.mean(losses) < -rule.loss:
            return Decision(
                False,
                f"Kept, not promoted: {told}, but on phantoms of what was known by {np.mean(losses):+.3f}"
                f"{since}, which is a loss of more than {rule.loss:g}.",
                "kept: loses what was known",
            )
    return Decision(
        True, f"Promoted: {told}; on phantoms of what was known by {np.mean(kept):+.3f}.", "promoted"
    )


def origin_of(before: Scores, parent: Mapping[str, Any] | None) -> Scores:
    """Return what the weights before the first training had, by study and number of clicks.

    It is reckoned from what was lost on the way, as cards tell it, and not read from the first card: the
    phantoms may be drawn otherwise by now. Of what the parent was not measured on, `before` counts.

    Args:
        before: of the champion, which is what the training began with.
        parent: the champion's card; None: it is the weights before the first training.
    """
    retention = (parent or {}).get("retention", {})
    first, last = (retention.get(part, {}) for part in ("origin", "after"))
    first = first or retention.get("before", {})
    return {
        study: {
            clicks: value - last.get(study, {}).get(clicks, 0) + first.get(study, {}).get(clicks, 0)
            for clicks, value in by.items()
        }
        for study, by in before.items()
    }


def _gains(scores: Mapping[str, Any], clicks: int | None) -> list[float]:
    """Return the mean gain of each patient over the studies that both were measured on."""
    before, after, patients = (scores.get(part, {}) for part in ("before", "after", "patients"))
    gains: dict[Any, list[float]] = {}
    for study in sorted(before.keys() & after.keys()):
        measured = before[study].keys() & after[study].keys()
        counted = measured if clicks is None else measured & {str(clicks)}
        differences = [after[study][number] - before[study][number] for number in sorted(counted)]
        if differences and math.isfinite(gain := float(np.mean(differences))):
            gains.setdefault(patients.get(study, study), []).append(gain)
    return [float(np.mean(of_one)) for of_one in gains.values()]
