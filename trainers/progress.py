"""How far a training is, as MONAI Label's clients read it."""

import json
from typing import Any

from lib.store import StateFolder


def stats_of(state: StateFolder, trainer: str) -> dict[str, Any]:
    """Return a trainer's progress, as its file says; {} where the last training was none of its own.

    3D Slicer's bar shows `epoch` of `total_epochs` and `best_metric` (the highest mean Dice of an epoch), and
    takes `total_time` (seconds) as the end.
    """
    try:
        stats: dict[str, Any] = json.loads((state.path / "training/progress.json").read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(stats, dict) or stats.get("trainer", "segpet") != trainer:
        return {}
    stats["total_epochs"] = stats.get("epochs") or 1
    if scores := [list(dice.values()) for epoch in stats.get("curve") or () if (dice := epoch.get("dice"))]:
        stats["best_metric"] = round(max(sum(values) / len(values) for values in scores), 4)
    if stats.get("status") == "done":
        stats["total_time"] = stats.get("seconds")
    return stats
