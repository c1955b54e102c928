"""A clock that tests set."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Stands still until `now` (seconds) is changed."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
