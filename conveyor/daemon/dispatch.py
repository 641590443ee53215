"""From the queue to the workers: which builds wait, which is next, and which are to be cancelled.

The daemon's main thread alone uses this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf

from conveyor.daemon.log import Log
from conveyor.daemon.workers import AGAIN_SECONDS, Workers
from conveyor.model.build import Build, Claim
from conveyor.pipeline.holders import interrupt, is_here
from conveyor.ports import Clock, Queue
from conveyor.queue.scheduler import Scheduler
from conveyor.wiring import QueueReader


class Dispatcher:
    """Hands builds to workers.

    Args:
        queue: what waits.
        scheduler: says which is next.
        reader: tells it what waits.
        workers: who builds.
        clock: the time.
        log: the daemon's.
    """

    def __init__(
        self, queue: Queue, scheduler: Scheduler, reader: QueueReader, workers: Workers, clock: Clock, log: Log
    ) -> None:
        self._queue = queue
        self._scheduler = scheduler
        self._reader = reader
        self._workers = workers
        self._clock = clock
        self._log = log
        self._signalled: dict[str, float] = {}

    def look(self, *, hand_out: bool) -> None:
        """See what changed in the queue, cancel what is to be cancelled, and give builds to who has none.

        Args:
            hand_out: whether builds are taken.
        """
        self._reader.read()
        self._cancel_all(self._queue.cancelling())
        if hand_out:
            self._hand_out()

    def over(self, build: int) -> None:
        """A worker has a build no more, whatever became of it."""
        self._scheduler.ended(build)

    @property
    def idle(self) -> bool:
        """Whether no worker has a build, and none could be given one as of the last look."""
        return not self._workers.builds() and self._scheduler.next(self._clock.now()) is None

    def _hand_out(self) -> None:
        now = self._clock.now()
        for worker in self._workers.free():
            item = self._scheduler.next(now)
            if item is None:
                return
            self._scheduler.started(item.build)
            worker.give(item)
            self._log.info("build given", pid=worker.process.pid, **worker.names)

    def _cancel_all(self, builds: Sequence[Build]) -> None:
        """Have running builds cancelled, by whichever processes of this machine they run in."""
        tokens = {build.claim.token for build in builds if build.claim is not None}
        self._signalled = {token: at for token, at in self._signalled.items() if token in tokens}
        for build in builds:
            if build.claim is not None and not self._workers.cancel(build.id):
                self._cancel_other(build.id, build.claim)

    def _cancel_other(self, build: int, claim: Claim) -> None:
        now = time.monotonic()
        if not is_here(claim) or now - self._signalled.get(claim.token, -inf) < AGAIN_SECONDS:
            return
        self._signalled[claim.token] = now
        if interrupt(claim):
            self._log.info("another process is to cancel", build=build, pid=claim.pid)
