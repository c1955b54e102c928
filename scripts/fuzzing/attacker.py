"""Sends the requests of `routes.py` one by one, and notes each reply that should not be."""

import contextlib
import http.client
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from scripts.fuzzing.openapi import PATIENCE, Known
from scripts.fuzzing.routes import KINDS, Asked, Reply
from scripts.fuzzing.world import CANARY

_MOST_FAULTS = 20


@dataclass
class Attacker:
    """One client that means no good.

    Args:
        known: the server and what there is.
        folder: where bodies are kept that show a fault.
        seed: of all requests; request N of a seed is the same in every run.
        slowest: seconds of the slowest reply, and to which request.
        replies: how often which status came, by kind of request.
        faults: what went wrong, each with a command that repeats the request.
    """

    known: Known
    folder: Path
    seed: int
    replies: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def attack(self, seconds: float) -> None:
        """Send requests until the time is over, or too much is wrong."""
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until and len(self.faults) < _MOST_FAULTS:
            self.send_number(number)
            number += 1

    def send_number(self, number: int) -> None:
        """Send the requests that go by a number."""
        chance = random.Random(f"{self.seed}:{number}")
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        kind(self.known, chance, lambda asked: self.send(asked, kind.__name__, number))

    def send(self, asked: Asked, kind: str = "", number: int = 0) -> Reply:
        """Send a request as it is, and note what is wrong with the reply."""
        begun = time.monotonic()
        try:
            reply = _exchange(self.known.url, asked)
            fault = _fault(asked, reply)
        except (OSError, http.client.HTTPException) as error:
            reply, fault = Reply(0, {}, b""), f"no reply ({type(error).__name__})"
        spent = time.monotonic() - begun
        self.slowest = max(self.slowest, (spent, f"{asked.method} {asked.target[:80]}, number {number}"))
        self.replies[kind, reply.status] += 1
        if fault:
            self.faults.append(
                f"seed {self.seed}, number {number} ({kind}): {fault} after {spent:.1f} s\n"
                f"    {self._again(asked, number)}"
            )
        return reply

    def _again(self, asked: Asked, number: int) -> str:
        headers = " ".join(f"-H {name + ': ' + text!r}" for name, text in asked.headers.items())
        body = ""
        if asked.body:
            file = self.folder / f"body-{self.seed}-{number}-{len(self.faults)}"
            file.write_bytes(asked.body)
            body = f"--data-binary @{file} "
        return f"curl -i --path-as-is -X {asked.method} {headers} {body}'{self.known.url}{asked.target}'"


def _exchange(url: str, asked: Asked) -> Reply:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
    try:
        connection.putrequest(asked.method, asked.target, skip_host="Host" in asked.headers)
        for name, value in asked.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(asked.body)))
        connection.endheaders()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early: the reply says why
            connection.send(asked.body)
        reply = connection.getresponse()
        return Reply(reply.status, {name.lower(): text for name, text in reply.headers.items()}, reply.read())
    finally:
        connection.close()


def _fault(asked: Asked, reply: Reply) -> str:
    """Return what is wrong with a reply, "" where nothing is."""
    if reply.status >= 500:
        return f"status {reply.status}, {reply.body[:200]!r}"
    if CANARY.encode() in reply.body:
        return "the reply holds a file from outside the studies"
    is_ours = reply.headers.get("content-type") == "application/json"
    if reply.status >= 400 and is_ours and asked.method != "HEAD":
        detail = json.loads(reply.body).get("detail")
        if not isinstance(detail, str) or not detail:
            return f"status {reply.status} without a sentence, {reply.body[:200]!r}"
    return ""
