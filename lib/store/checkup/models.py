"""The registry of weights: each version the file that was registered, the champion one of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib.store.atomic import write_atomic
from lib.store.checkup.finding import Aside, Finding, moved_aside
from lib.store.errors import StoreError
from lib.store.models import CHAMPION, SPLIT, Models
from lib.store.records import from_json, to_json

#: Registries: of the network's weights, and of adapters for the language model.
_REGISTRIES = ("models", "adapters")


def check_models(state: Path) -> Iterator[Finding]:
    """Find versions of weights that are damaged, and a champion that is none."""
    for models in (Models(state / name) for name in _REGISTRIES if (state / name).is_dir()):
        sound = set()
        for path in sorted(path for path in models.folder.iterdir() if path.name.isdecimal()):
            if why := models.damage(int(path.name)):
                what = f"Version {path.name} of the weights is damaged: {why}."
                yield moved_aside(path, what, "a backup may have it")
            else:
                sound.add(int(path.name))
        yield from _champion(models, sound)
        split = models.folder / SPLIT
        if split.exists() and not isinstance(_read(split).get("validation"), list):
            yield Finding(
                split,
                "Which patients are kept apart to measure on cannot be read, and no training starts. Restore "
                "the file from a backup: drawn anew, it would measure on patients that were learnt from.",
            )


def _champion(models: Models, sound: set[int]) -> Iterator[Finding]:
    path = models.folder / CHAMPION
    if not path.exists():
        return
    named = _read(path).get("champions")
    if not isinstance(named, list) or not all(isinstance(number, int) for number in named):
        what = "Which version of the weights answers cannot be read, and no server starts with it."
        yield moved_aside(path, what, "the server's own weights answer; promote a version again")
        return
    left = [number for number in named if number in sound]
    if left == named:
        return
    gone = ", ".join(str(number) for number in named if number not in sound)
    answers = f"version {left[-1]} answers" if left else "the server's own weights answer"

    def mend(aside: Aside) -> None:
        aside.copy(path)
        write_atomic(path, to_json({"champions": left}))

    yield Finding(
        path,
        f"Version {gone} of the weights is to answer, now or after a rollback, and is gone or damaged.",
        f"It is taken out of the list: {answers} then.",
        mend=mend,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return from_json(path.read_bytes())
    except (StoreError, OSError):
        return {}
