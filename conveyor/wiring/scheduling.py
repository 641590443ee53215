"""What decides which build is next, put together and kept up to date."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from conveyor.model.build import State
from conveyor.model.event import EventKind
from conveyor.model.queue import QueueItem
from conveyor.ports import Events, Queue
from conveyor.queue.scheduler import Scheduler

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# Dependencies change with packaging, now and then; a build that starts a little too early is built again.
RELATIONS_SECONDS = 30.0
# What began longer ago counts for next to nothing: queue/shares.py.
REMEMBERED_STARTS = 500


def make_scheduler(settings: Settings, repos: Repos) -> Scheduler:
    """A scheduler for a site, which knows of no build yet: `QueueReader` tells it."""
    scheduler = Scheduler(workers=settings.daemon.workers)
    configure_scheduler(scheduler, settings, repos)
    return scheduler


def configure_scheduler(scheduler: Scheduler, settings: Settings, repos: Repos) -> None:
    """Have a scheduler go by another configuration from now on."""
    limits = {name: target.builds_at_once for name, target in repos.targets.items()}
    scheduler.limit(settings.daemon.workers, limits)
    scheduler.bootstrap([name for name, package in repos.packages.items() if package.following.bootstrap])


class QueueReader:
    """Tells a scheduler what is in the store.

    Args:
        scheduler: is told.
        queue: what waits.
        events: what began.
    """

    def __init__(self, scheduler: Scheduler, queue: Queue, events: Events) -> None:
        self._scheduler = scheduler
        self._queue = queue
        self._events = events
        self._seen: int | None = None
        self._targets: set[str] = set()
        self._related_at = 0.0
        self._related: set[tuple[str, str]] = set()

    def read(self) -> None:
        """Tell it what has changed since the last time; the first time all there is."""
        if self._seen is None:
            self._remember()
        changes = self._queue.changes(self._seen or 0)
        if changes.number == self._seen:
            return
        self._relate({item.target for item in changes.items}, _queued(changes.items))
        self._scheduler.apply(changes.items, is_whole=changes.is_whole)
        self._scheduler.pause(self._queue.pauses())
        self._seen = changes.number

    def _remember(self) -> None:
        """Go on with fairness where another process left off."""
        for event in reversed(self._events.newest(kinds=[EventKind.STARTED], limit=REMEMBERED_STARTS)):
            self._scheduler.served(event.target, event.package)

    def _relate(self, targets: set[str], queued: set[str]) -> None:
        """Tell what packages declare: of a target with more in the queue at once, of the others now and then.

        What a new commit declares is recorded before it is queued.
        """
        now = time.monotonic()
        due = now - self._related_at > RELATIONS_SECONDS
        chosen = targets | self._targets if due else queued | (targets - self._targets)
        self._targets |= targets
        if due:
            self._related_at = now
        for target in sorted(chosen):
            self._relate_all(target)

    def _relate_all(self, target: str) -> None:
        found = self._queue.relations(target)
        for package, relations in found.items():
            self._scheduler.relate(target, package, relations)
        gone = {(name, package) for name, package in self._related if name == target and package not in found}
        for _, package in gone:
            self._scheduler.relate(target, package, None)
        self._related = (self._related - gone) | {(target, package) for package in found}


def _queued(items: Iterable[QueueItem]) -> set[str]:
    return {item.target for item in items if item.state is State.QUEUED}
