"""Failed tries to come in: whoever has too many has to wait."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from threading import Lock

from conveyor.errors import TooManyTries

# So many within so many seconds; an address may be that of a whole company.
WITHIN = 300.0
PER_NAME = 10
PER_ADDRESS = 30
# Of so many names and addresses at once; who has not failed for longest is forgotten first.
REMEMBERED = 20_000
_IPV6_SITE = 64


class FailedTries:
    """Counts failed tries by name and by address, in this process.

    Args:
        now: seconds that only rise.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = Lock()
        self._failed: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def require_room(self, address: str, name: str = "") -> None:
        """See that one more may be tried.

        Raises:
            TooManyTries: too many have failed.
        """
        with self._lock:
            waits = [self._wait(key, most) for key, most in _keys(address, name)]
        wait = max(waits)
        if wait > 0:
            raise TooManyTries(math.ceil(wait))

    def failed(self, address: str, name: str = "") -> None:
        """Count one."""
        with self._lock:
            for key, most in _keys(address, name):
                self._failed.setdefault(key, deque(maxlen=most)).append(self._now())
                self._failed.move_to_end(key)
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)

    def _wait(self, key: Hashable, most: int) -> float:
        times = self._failed.get(key)
        return times[0] + WITHIN - self._now() if times and len(times) == most else 0.0


def _keys(address: str, name: str) -> list[tuple[Hashable, int]]:
    keys: list[tuple[Hashable, int]] = [(("address", _site(address)), PER_ADDRESS)]
    return [*keys, (("name", name), PER_NAME)] if name else keys


def _site(address: str) -> Hashable:
    """What one client has: of IPv6 a whole /64."""
    parsed = ip_address(address) if address else None
    return int(parsed) >> _IPV6_SITE if isinstance(parsed, IPv6Address) else address
