"""Browsers that are signed in: a cookie each, of which only the digest is kept, for a working day."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from apps.segpet.access.tokens import digest_of

#: Seconds until a browser has to sign in again.
LASTS = 12 * 3600
#: At a time, and of one token: who signs in again and again puts nobody else out.
_MOST, _MOST_OF_ONE = 1000, 50


class _Session(NamedTuple):
    token: str
    """The digest of the token that it came from: whose token is withdrawn is out."""
    ends: float


class Sessions:
    """Sessions by the digests of their cookies; they end with the server.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, token: str) -> str:
        """Return a new cookie for the holder of a token, of which the digest is given."""
        own = [known for known, session in self._open.items() if session.token == token]
        if len(own) >= _MOST_OF_ONE:
            del self._open[own[0]]
        cookie = secrets.token_urlsafe(32)
        self._open[digest_of(cookie)] = _Session(token, self._clock() + LASTS)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return cookie

    def token(self, cookie: str) -> str | None:
        """Return the digest of the token that a cookie stands for; None where it is none, or has ended."""
        digest = digest_of(cookie)
        session = self._open.get(digest)
        if session is not None and session.ends <= self._clock():
            del self._open[digest]
            return None
        return session.token if session else None

    def end(self, cookie: str) -> None:
        """Forget a cookie."""
        self._open.pop(digest_of(cookie), None)
