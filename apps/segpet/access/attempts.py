"""Failed sign-ins: after a few, an address has to wait, longer each time."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

_FREE = 5
_LONGEST = 300.0
_FORGOTTEN = 900.0
_MOST_ADDRESSES = 10_000


class Attempts:
    """Counts failures by address (of IPv6 by network); those long ago are forgotten.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Return for how many seconds nothing is tried from an address, 0 where it may try."""
        failures, last = self._failed.get(_network(address), (0, 0.0))
        if failures < _FREE:
            return 0
        pause = min(2.0 ** (failures - _FREE), _LONGEST)
        return max(math.ceil(last + pause - self._clock()), 0)

    def failed(self, address: str) -> None:
        """Count a failure."""
        network, now = _network(address), self._clock()
        failures, last = self._failed.pop(network, (0, now))
        self._failed[network] = (1 if now - last > _FORGOTTEN else failures + 1, now)
        while len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget an address's failures."""
        self._failed.pop(_network(address), None)


def _network(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address
