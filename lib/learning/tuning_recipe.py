"""How a network is fine-tuned: what a user may choose, and what is refused."""

from dataclasses import dataclass

from lib.learning.tuned_parts import MODES, Mode

#: Learning rates that do for each mode.
RATES: dict[Mode, float] = {"decoder": 1e-4, "lora": 3e-4, "full": 1e-4}


class FineTuningError(ValueError):
    """A fine-tuning that cannot start or go on; the message says why."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune.

    Args:
        mode: which weights change, see `lib.learning.tuned_parts`.
        epochs: at most; an epoch sees every region once.
        patience: epochs without a better one on the held-out regions until it ends.
        rate: learning rate of AdamW after the warm-up, falling as a cosine; None: the mode's.
        decay: weight decay.
        batch: regions in memory at once.
        accumulate: batches to a step.
        replay: share of regions from the replay set, so that what was known stays known.
        confident: doubt labels that nobody vouches for (`lib.learning.confident`).
        trust_epochs: epochs that learn from all labels as they are, before they are judged.
        average: decay of the weights' moving average.
        rank: of adapters.
        seed: of all chance.
    """

    mode: Mode = "decoder"
    epochs: int = 20
    patience: int = 6
    rate: float | None = None
    decay: float = 0.01
    batch: int = 4
    accumulate: int = 1
    replay: float = 0.67
    confident: bool = True
    trust_epochs: int = 3
    average: float = 0.98
    rank: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise FineTuningError(f"The mode must be one of {', '.join(MODES)}.")
        if min(self.epochs, self.patience, self.batch, self.accumulate, self.rank) < 1:
            raise FineTuningError("Epochs, patience, batch, accumulation and rank must be 1 or more.")
        if not 0 <= self.replay < 1:
            raise FineTuningError("The share of replayed regions must be 0 or more, and below 1.")
        if self.rate is not None and not 0 < self.rate < 1:
            raise FineTuningError("The learning rate must lie between 0 and 1.")

    @property
    def highest_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.rate or RATES[self.mode]
