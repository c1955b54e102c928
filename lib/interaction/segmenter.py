"""What the engine asks of whatever turns clicks into a mask."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from lib.interaction.prompts import Index, Step
from lib.pet import Crop, Volume


class Stopwatch:
    """Seconds spent in the named stages of one request."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin


@dataclass(frozen=True, eq=False)
class State:
    """An object after some steps.

    Args:
        mask: the object on the source grid.
        bytes: memory that the state holds, for the cache's bound.
        regions: the parts of the image that were looked at, for the reply.
        warnings: what the annotator should know, in plain words.
    """

    mask: Crop
    bytes: int
    regions: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = field(default=())


S = TypeVar("S", bound=State)


class Segmenter(Protocol[S]):
    """Turns the clicks of one object into its mask: a pure function of image, weights and steps."""

    name: str
    digest: str

    def anchor(self, volume: Volume, click: Index, taken: Sequence[Index]) -> Index | None:
        """Return the voxel on which a new object's first region is centred: its click, or a taken one."""

    def advance(
        self, volume: Volume, anchor: Index | None, before: S | None, steps: Sequence[Step], watch: Stopwatch
    ) -> S:
        """Return the state after `steps`, of which the last is new, from the state before (None at first)."""
