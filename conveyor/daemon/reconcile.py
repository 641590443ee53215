"""Brings the queue into the order that it would have without kills and errors. It can be run at any time, and again."""

from __future__ import annotations

import time
from datetime import timedelta

from conveyor.daemon.log import Log
from conveyor.daemon.site import Site
from conveyor.model.build import Build
from conveyor.pipeline.claims import LOST, Silence, is_dead
from conveyor.pipeline.retry import Retries

# What is published late is looked after by a process of its own, at most so often.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 3600.0


class Reconciler:
    """Looks after what processes left that are gone, and what went wrong.

    Args:
        site: what it works with.
        log: the daemon's.
    """

    def __init__(self, site: Site, log: Log) -> None:
        settings, conveyor = site.settings.daemon, site.conveyor
        self._conveyor = conveyor
        self._log = log
        self._silence = Silence(conveyor.store, settings.lost_after)
        self._retries = Retries(
            queue=conveyor.queue,
            clock=conveyor.clock,
            retries=settings.retries,
            wait=timedelta(seconds=settings.retry_wait),
        )

    def run(self) -> bool:
        """Release builds of the dead, try again what errored; tells whether anybody had died."""
        dead = [build for build in self._conveyor.store.running() if is_dead(build.claim)]
        for build in dead:
            self._release(build)
        for build in self._silence.lost():
            self._release(build, LOST)
        self._retries.run()
        return bool(dead)

    def _release(self, build: Build, *why: str) -> None:
        claim = build.claim
        self._conveyor.claims.release(build, *why)
        self._log.warning(
            "build released", build=build.id, host=claim.host if claim else "", pid=claim.pid if claim else 0
        )


class Unsettled:
    """Says when builds or moves of pointers are there that nobody completes.

    Args:
        site: what it works with.
    """

    def __init__(self, site: Site) -> None:
        self._conveyor = site.conveyor
        self._before: frozenset[tuple[str, int]] = frozenset()
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def look(self) -> bool:
        """Whether the same things are left undone as at the last look, and it is time to complete them."""
        undone = frozenset(
            [("build", build.id) for build in self._conveyor.store.unpublished()]
            + [("move", number) for number, _ in self._conveyor.ledger.pending()]
        )
        left, self._before = undone & self._before, undone
        if not left:
            self._pause = FIRST_PAUSE
            return False
        now = time.monotonic()
        if now < self._not_before:
            return False
        self._not_before = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True
