"""Builds that errored through no fault of theirs are tried again, later and later, and not for ever."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from conveyor.model.build import Build
from conveyor.pipeline.growingwait import growing_wait
from conveyor.ports import Clock, Queue

LONGEST_WAIT = timedelta(hours=6)
JITTER = 0.2


class Retries:
    """Puts builds that errored back into the queue. It can be run at any time, and again.

    Args:
        queue: what waits.
        clock: the time.
        retries: how often a build is tried again.
        wait: what is waited before the first time.
    """

    def __init__(self, *, queue: Queue, clock: Clock, retries: int, wait: timedelta) -> None:
        self._queue = queue
        self._clock = clock
        self._retries = retries
        self._wait = wait

    def run(self) -> None:
        """Put back what errored, or give it up."""
        for build in self._queue.errored():
            now = self._clock.now()
            if build.errors > self._retries:
                self._queue.give_up(build.id, now)
            else:
                self._queue.again(build.id, self._due(build, now), now)

    def _due(self, build: Build, now: datetime) -> datetime:
        """When it is tried again: counted from its end, but not from one that lies ahead, should the clock be set."""
        ended = min(build.finished_at or now, now)
        return ended + backoff(self._wait, build.errors, str(build.id))


def backoff(wait: timedelta, failures: int, who: str) -> timedelta:
    """How long to wait after so many failures in a row: twice as long each time, a little more or less for each `who`.

    The same arguments give the same time, and many that failed at once are not tried again at once.
    """
    longer = growing_wait(wait, failures, max(LONGEST_WAIT, wait))
    digest = hashlib.sha256(f"{who} {failures}".encode()).digest()
    fraction = int.from_bytes(digest[:4]) / 2**32
    return longer * (1 - JITTER + 2 * JITTER * fraction)
