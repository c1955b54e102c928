"""How a language model is trained."""

from dataclasses import dataclass, field
from typing import Any

from lib.report.language import ReportError


def _help(text: str, **keys: Any) -> Any:
    return field(metadata={"help": text}, **keys)


@dataclass(frozen=True)
class Recipe:
    """How to train; each field's metadata holds its help text.

    Raises:
        ReportError: a value that cannot be.
    """

    rank: int = _help("Rank of the adapter's matrices: more learns more, and takes more memory.", default=16)
    alpha: int = _help("The adapter is scaled by alpha / rank.", default=32)
    dropout: float = _help("Share of the adapter's input that is dropped while training.", default=0.05)
    targets: tuple[str, ...] = _help(
        "Layers that get an adapter, by the end of their names.",
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    )
    epochs: int = _help("Times that each pair is seen.", default=3)
    rate: float = _help(
        "Highest learning rate; a tenth of the steps warm up, a cosine ends it.", default=2e-4
    )
    batch: int = _help("Pairs in memory at once.", default=4)
    accumulate: int = _help("Batches to a step.", default=4)
    longest: int = _help(
        "Tokens of findings and impression together; longer pairs are refused.", default=4096
    )
    bf16: bool = _help("Compute in bfloat16.", default=False)
    checkpointing: bool = _help("Compute activations twice to save memory.", default=False)
    seed: int = _help("Of all chance.", default=0)

    def __post_init__(self) -> None:
        for name in ("rank", "alpha", "epochs", "batch", "accumulate", "longest"):
            if getattr(self, name) < 1:
                raise ReportError(f"{name} must be 1 or more.")
        if not 0 <= self.dropout < 1:
            raise ReportError("dropout must be from 0 to below 1.")
        if not 0 < self.rate < 1:
            raise ReportError("rate must be between 0 and 1.")
        if not self.targets:
            raise ReportError("targets must name a layer, such as q_proj.")
