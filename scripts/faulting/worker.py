"""Somebody at work over HTTP, who remembers what the server has acknowledged, and what it was just asked."""

import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from threading import Event
from typing import Any

import requests

#: Seconds that a request may take; a server that is killed cuts it off.
_LONGEST = 60.0


class Worker(ABC):
    """Sends one request after the other until the server is gone.

    Args:
        url: of the server.
        name: as which it works.
        seed: of what it does.
        told: called with the kind of each request as it is sent.
    """

    def __init__(self, url: str, name: str, seed: int, told: Callable[[str], None]) -> None:
        self.url, self.name, self._told = url, name, told
        self.random = random.Random(seed)
        self.flight = ""
        """The kind of the request that nobody has answered yet."""
        self.acknowledged: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}
        """How long a request of each kind took last."""
        self.broken: list[str] = []
        """What the server did that it must not do."""

    @abstractmethod
    def act(self) -> None:
        """Send one request."""

    @abstractmethod
    def verify(self) -> None:
        """Look whether all that was acknowledged is there; adds to `broken`."""

    def work(self, gone: Event) -> None:
        """Work until the server is gone."""
        while not gone.is_set():
            try:
                self.act()
            except requests.RequestException:
                return

    def send(self, kind: str, method: str, path: str, body: Any = None) -> requests.Response | None:
        """Send a request that changes something; None where the server refused it in good order."""
        self.flight = kind
        begun = time.monotonic()
        self._told(kind)
        reply = requests.request(method, f"{self.url}{path}", json=body, timeout=_LONGEST)
        self.flight = ""
        self.seconds[kind] = time.monotonic() - begun
        if reply.status_code >= 500:
            self.broken.append(
                f"{self.name}: {kind} was answered with {reply.status_code} {reply.text[:200]}"
            )
        if not reply.ok:
            return None
        self.acknowledged[kind] += 1
        return reply

    def get(self, path: str) -> requests.Response:
        """Ask for something."""
        return requests.get(f"{self.url}{path}", timeout=_LONGEST)
