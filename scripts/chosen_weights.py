"""The weights that a command works with."""

from pathlib import Path

from scripts import InputError


def chosen_weights(name: str | None, advice: str) -> Path:
    """Return the file of the weights that are named, or of those that are taken by default.

    Args:
        name: a file or a name (`segpet weights list`); None: the default.
        advice: what to do where there are none.

    Raises:
        InputError: none are named, and there are none.
        CheckpointError: official weights are named that are not there yet.
    """
    from apps.segpet.options import BUNDLED
    from lib.network.registry import default_weights, resolve_weights

    if name:
        return resolve_weights(name, [BUNDLED])
    if (best := default_weights([BUNDLED])) is None:
        raise InputError(f"There are no weights: {advice}.")
    return best.path
