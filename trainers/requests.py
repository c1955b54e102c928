"""What a request for a training may hold."""

from collections.abc import Collection, Mapping
from typing import Any

#: What MONAI Label's clients send to every trainer, and ours have no use for.
_OF_CLIENTS = frozenset(
    (
        "model", "trainer", "client_id", "name", "pretrained", "device", "early_stop_patience",
        "val_split", "train_batch_size", "val_batch_size", "multi_gpu", "gpus", "dataset", "dataloader",
        "tracking", "tracking_uri", "tracking_experiment_name", "tracking_run_name", "local_rank",
    )
)  # fmt: skip


class TrainRequestError(ValueError):
    """A request for a training that cannot be used; the message is one sentence that says why."""


def check_keys(request: Mapping[str, Any], options: Collection[str]) -> None:
    """Raise TrainRequestError for a key that means nothing: a misspelt one is not left out in silence."""
    unknown = next((key for key in request if key not in options and key not in _OF_CLIENTS), None)
    if unknown is not None:
        raise TrainRequestError(
            f"This trainer has no option {unknown[:40]!r}; its options are {', '.join(options)}."
        )
