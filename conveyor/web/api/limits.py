"""How often somebody may ask."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import cast

from fastapi import HTTPException, Request

from conveyor.web.access.addresses import address_of
from conveyor.web.access.guard import Asking
from conveyor.web.site import Here

# How many seconds' worth of requests may come at once, and at least how many.
BURST_SECONDS = 10
BURST = 20
# Of how many askers it is known how much they have left; those that asked longest ago are forgotten, and begin anew.
REMEMBERED = 10_000


class Buckets:
    """How much each asker has left. Threads may ask at once.

    Args:
        monotonic: a clock that nobody sets, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, asker: str, per_minute: int) -> float:
        """Take one request of an asker: 0 where it has one left, else the seconds until it has."""
        burst, rate = max(BURST, per_minute * BURST_SECONDS / 60), per_minute / 60
        with self._lock:
            now = self._monotonic()
            left, at = self._left.pop(asker, (burst, now))
            left = min(burst, left + (now - at) * rate)
            goes = left >= 1
            self._left[asker] = (left - goes, now)
            if len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
        return 0.0 if goes else (1 - left) / rate


async def limited(request: Request, site: Here, asking: Asking) -> None:
    """See that nobody asks too often: each token and user for itself, others by their address.

    Raises:
        HTTPException: 429.
    """
    per_minute = site.settings.web.rate_limit
    if not per_minute:
        return
    address = address_of(request, site.settings.web.trusted_proxies)
    asker = f"{asking.means} {asking.name}" if asking.name else f"at {address}"
    wait = cast(Buckets, request.app.state.buckets).take(asker, per_minute)
    if wait:
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {per_minute} requests a minute",
            {"Retry-After": str(math.ceil(wait))},
        )
