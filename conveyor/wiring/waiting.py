"""The scheduler, as it stands by what is recorded, for those who only look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from conveyor.model.build import State
from conveyor.model.queue import QueueItem
from conveyor.model.waiting import Cycle, Held, Waiting
from conveyor.ports import Events, Queue
from conveyor.wiring.scheduling import QueueReader, make_scheduler

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings


class RecordedLine:
    """What waits and runs at a moment. It is read once, and nothing is taken from it.

    Args:
        settings, repos: the site's.
        queue: what waits and runs.
        events: what began.
        now: the moment.
    """

    def __init__(self, settings: Settings, repos: Repos, queue: Queue, events: Events, now: datetime) -> None:
        self._now = now
        self._targets = tuple(repos.targets)
        self._scheduler = make_scheduler(settings, repos)
        items = queue.changes(0).items
        QueueReader(self._scheduler, queue, events).read()
        self._have_workers([item for item in items if item.state is State.RUNNING])
        self._waiting = Counter((item.package, item.target) for item in items if item.state is State.QUEUED)

    def _have_workers(self, running: Sequence[QueueItem]) -> None:
        """What runs has workers, as it has in the daemon: there is so much less room."""
        self._scheduler.apply(replace(item, state=State.QUEUED) for item in running)
        for item in running:
            self._scheduler.started(item.build)

    def of(self, build_id: int) -> Waiting | None:
        """Why a build has not been started; None for one that does not wait."""
        return self._scheduler.explain(build_id, self._now)

    def cycle(self, target: str, package: str) -> Cycle | None:
        """The circle of packages that build-depend on each other that a package is in; None for none."""
        return next((cycle for cycle in self._scheduler.cycles(target) if package in cycle.packages), None)

    def count(self, target: str) -> int:
        """How many builds wait for a target."""
        return self.waiting(None, target)

    def first(self, target: str) -> int | None:
        """The number of the build that would start next on a target; None where none waits."""
        return next((item.build for item in self.order() if item.target == target), None)

    def order(self) -> Iterator[QueueItem]:
        """What waits, in the order in which it would start."""
        return self._scheduler.order(self._now)

    def held(self, build_id: int) -> tuple[Held, ...]:
        """What holds a waiting build back, but for those before it."""
        return self._scheduler.held(build_id, self._now)

    def cycles(self) -> tuple[Cycle, ...]:
        """Packages that build-depend on each other, on any target."""
        return tuple(cycle for target in self._targets for cycle in self._scheduler.cycles(target))

    def waiting(self, package: str | None, target: str | None) -> int:
        """How many builds wait: of a package, for a target, of both or in all."""
        return sum(
            number for (of, where), number in self._waiting.items() if package in {None, of} and target in {None, where}
        )
