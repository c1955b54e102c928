"""What a load run measured, as a table, and whether it is what is demanded."""

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

#: What is demanded: seconds of any `/health`, and the share by which memory may leave its mean.
_HEALTH, _FLAT = 0.05, 0.1


class Demand(NamedTuple):
    """What was demanded of a run, what was measured, and whether that meets it."""

    what: str
    measured: str
    met: bool


@dataclass
class Load:
    """What was measured; threads add to it.

    Attributes:
        seconds: of each request, by what was done.
        waits: seconds that clicks waited in the server's queue.
        works: seconds that they were worked on.
        health, memory: as `scripts.loading.watch.Watched` has them.
        came_back: requests that the server asked to come back later with, and that did.
        faults: what went wrong, a sentence each.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waits: list[float] = field(default_factory=list)
    works: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    came_back: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def rows(self) -> dict[str, float | str]:
        """Return the table."""
        others = [one for what, spent in self.seconds.items() if "click" not in what for one in spent]
        minutes = defaultdict(list)
        for moment, held in self.memory:
            minutes[int(moment / 60)].append(held / 1e6)
        return {
            "requests": sum(map(len, self.seconds.values())),
            "clicks": len(self._clicks),
            "errors": len(self.faults),
            "asked to come back (429, 503)": sum(self.came_back.values()),
            **_spread("click", self._clicks),
            **_spread("of it in the queue", self.waits),
            **_spread("other requests", others),
            **_spread("`/health`", self.health),
            "memory of the server, mean of each minute, MB": " / ".join(
                f"{statistics.mean(held):.0f}" for held in minutes.values()
            ),
        }

    def demands(self, annotators: int) -> list[Demand]:
        """Return what is demanded of a server at which so many annotators work, each a click at a time."""
        click, work = _share(self._clicks, 0.95), _share(self.works, 0.95)
        slowest = max(self.health, default=0.0)
        held = [held for _, held in self.memory[len(self.memory) // 2 :]] or [0]
        middle = statistics.mean(held) or 1.0
        least, most = min(held) / middle - 1, max(held) / middle - 1
        return [
            Demand("no error", f"{len(self.faults)} errors", not self.faults),
            Demand(
                "p95 of clicks at most the work (p95) on one click of each annotator",
                f"{click:.2f} s of {annotators * work:.2f} s",
                click <= annotators * work,
            ),
            Demand(
                f"memory flat in the second half: within {_FLAT:.0%} of its mean",
                f"{middle / 1e6:.0f} MB, {least:+.1%} to {most:+.1%}",
                least >= -_FLAT and most <= _FLAT,
            ),
            Demand(
                f"`/health` under {1000 * _HEALTH:.0f} ms throughout",
                f"{1000 * slowest:.0f} ms at most, {len(self.health)} times asked",
                0 < slowest < _HEALTH,
            ),
        ]

    @property
    def _clicks(self) -> list[float]:
        return [*self.seconds["click"], *self.seconds["negative click"]]


def _spread(what: str, seconds: list[float]) -> dict[str, str]:
    told = " / ".join(f"{1000 * _share(seconds, part):.1f}" for part in (0.5, 0.95, 0.99, 1.0))
    return {f"{what}, median / p95 / p99 / max, ms": told}


def _share(seconds: list[float], part: float) -> float:
    """Return what this share of the seconds stays below; 0 where there are none."""
    ordered = sorted(seconds) or [0.0]
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
