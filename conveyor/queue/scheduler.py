"""The decision which build is next. In memory, without a clock and without threads: the caller brings the time.

The order, from what counts most to what counts least:

1. A build may start where a worker is free, nothing that it belongs to is paused, its target runs fewer builds than it
   may, and no other build of its package runs on its target. One that waits for a moment may not start before.
2. A package's builds on one target go by number. A rebuild lets commits pass; so does a build that waits for a moment.
3. A build waits for those of the packages that it is built with (`target.TargetQueue`).
4. The lower priority. What a person asked for gives its priority to all that it has to wait for, and so does each build
   that waits for a dependency.
5. The target with the fewest builds running, then the one whose last start is longest ago.
6. The package that had the least of the target lately (`shares`), then the lower number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import takewhile

from conveyor.model.build import State
from conveyor.model.queue import Pause, QueueItem, Relations, Scope, ScopeKind
from conveyor.model.waiting import Cycle, Held, Waiting
from conveyor.queue.dependencies import Dependencies
from conveyor.queue.explain import FIRST_FEW, Situation, obstacles
from conveyor.queue.lanes import Entry, Role
from conveyor.queue.target import Rules, TargetQueue

TOGETHER = timedelta(seconds=60)
PATIENCE = timedelta(hours=6)
EVERYTHING = Scope(kind=ScopeKind.ALL)
NO_LIMITS: Mapping[str, int | None] = {}


class Scheduler:
    """See the module.

    Args:
        workers: how many builds may run at once.
        limits: how many of them for a target, by its name; None or no entry for any number.
        bootstrap: names of packages that are built first where packages build-depend on each other.
        together: a build waits for those of its dependencies that were queued up to so much later.
        patience: for so long, from when it was queued, it waits for dependencies.
    """

    def __init__(
        self,
        *,
        workers: int,
        limits: Mapping[str, int | None] = NO_LIMITS,
        bootstrap: Collection[str] = (),
        together: timedelta = TOGETHER,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._workers = workers
        self._limits = dict(limits)
        self._bootstrap = frozenset(bootstrap)
        self._rules = Rules(together=together, patience=patience)
        self._pauses: dict[Scope, Pause] = {}
        self._entries: dict[int, Entry] = {}
        self._queues: dict[str, TargetQueue] = {}
        self._given: dict[int, Entry] = {}
        self._moments: list[tuple[datetime, int]] = []
        self._served = 0
        self._latest: datetime | None = None

    def limit(self, workers: int, limits: Mapping[str, int | None]) -> None:
        """Set how many builds may run at once, in all and by target. What runs already goes on."""
        self._workers, self._limits = workers, dict(limits)

    def bootstrap(self, packages: Collection[str]) -> None:
        """Set which packages are built first where packages build-depend on each other."""
        self._bootstrap = frozenset(packages)
        for queue in self._queues.values():
            queue.dependencies.bootstrap(self._bootstrap)

    def relate(self, target: str, package: str, relations: Relations | None) -> None:
        """Set what a package declares for a target; None for nothing. What is known already costs nothing."""
        self._queue(target).dependencies.relate(package, relations)

    def pause(self, pauses: Iterable[Pause]) -> None:
        """Set all that is paused."""
        self._pauses = {pause.scope: pause for pause in pauses}
        paused = frozenset(scope.name for scope in self._pauses if scope.kind is ScopeKind.PACKAGE)
        changed, self._rules.paused = self._rules.paused ^ paused, paused
        for package in changed:
            for queue in self._queues.values():
                if package in queue.lanes:
                    queue.changed(queue.lanes[package])

    def served(self, target: str, package: str) -> None:
        """Count a start of the past, the oldest first, so that fairness begins where another process left off."""
        queue = self._queue(target)
        lane = queue.lane(package)
        queue.count_start(lane)
        queue.changed(lane)

    def apply(self, items: Iterable[QueueItem], *, is_whole: bool = False) -> None:
        """Take in what changed in the queue.

        Args:
            items: what changed.
            is_whole: whether nothing else waits or runs.
        """
        unnamed = dict(self._entries) if is_whole else {}
        for item in items:
            self._apply(item)
            unnamed.pop(item.build, None)
        for entry in unnamed.values():
            self._apply(replace(entry.item, state=State.FINISHED))

    def next(self, now: datetime) -> QueueItem | None:
        """The build to start now; None where none may start. It is the same until something changes."""
        self._wake(now)
        if len(self._given) >= self._workers or EVERYTHING in self._pauses:
            return None
        best: tuple[tuple[int, int, int], int] | None = None
        for queue in self._queues.values():
            standing = queue.first(now) if self._is_open(queue) else None
            if standing is not None:
                rank = (standing[0], queue.given, queue.served)
                if best is None or rank < best[0]:
                    best = rank, standing[2]
        return self._entries[best[1]].item if best else None

    def started(self, build: int) -> None:
        """A worker of ours has a waiting build now. Until `ended` it runs, whatever `apply` is told of it.

        Raises:
            ValueError: no such build waits.
        """
        entry = self._entries.get(build)
        if entry is None or entry.role is Role.RUNNING:
            raise ValueError(f"build {build} does not wait")
        queue = self._give(entry)
        queue.count_start(entry.lane)
        self._served += 1
        queue.served = self._served
        queue.changed(entry.lane)

    def ended(self, build: int) -> None:
        """The worker is free again, or never took the build. From now on the build is what `apply` last said.

        The caller applies what has changed since before it asks for the next build. Nothing happens where no worker of
        ours has it.
        """
        entry = self._given.pop(build, None)
        if entry is None:
            return
        queue = self._queue(entry.item.target)
        queue.given -= 1
        entry.given = False
        self._place(entry, entry.news or entry.item)
        entry.news = None

    def running(self) -> tuple[int, ...]:
        """Numbers of the builds that workers of ours have, in the order in which they started."""
        return tuple(self._given)

    def wakes_at(self) -> datetime | None:
        """The next moment that a build waits for; None for none."""
        while self._moments:
            moment, build = self._moments[0]
            entry = self._entries.get(build)
            if entry is not None and entry.role is Role.RESTING and entry.item.not_before == moment:
                return moment
            heappop(self._moments)
        return None

    def cycles(self, target: str) -> tuple[Cycle, ...]:
        """The packages of a target that build-depend on each other."""
        queue = self._queue(target)
        queue.refresh()
        return queue.dependencies.cycles()

    def explain(self, build: int, now: datetime) -> Waiting | None:
        """Why a build waits; None where it does not. Takes as long as to order all builds before it."""
        self._wake(now)
        entry = self._entries.get(build)
        if entry is None or entry.role is Role.RUNNING:
            return None
        before = [item.build for item in takewhile(lambda item: item.build != build, self.order(now))]
        return Waiting(
            build=build,
            held=self.held(build, now),
            place=len(before) + 1,
            before=tuple(before[:FIRST_FEW]),
        )

    def held(self, build: int, now: datetime) -> tuple[Held, ...]:
        """What holds a waiting build back, but for those before it; quick. Nothing where it does not wait."""
        self._wake(now)
        entry = self._entries.get(build)
        if entry is None or entry.role is Role.RUNNING:
            return ()
        situation = Situation(
            queue=self._queue(entry.item.target),
            pauses=tuple(self._pauses.values()),
            given=tuple(self._given.values()),
            workers=self._workers,
            limit=self._limits.get(entry.item.target),
        )
        return tuple(obstacles(entry, situation, now))

    def order(self, now: datetime) -> Iterator[QueueItem]:
        """All waiting builds in the order in which they would start if each took equally long.

        Those that wait for a moment come after those that do not, and what is paused comes last.
        """
        return self._copy(now).consume(now)

    def consume(self, now: datetime) -> Iterator[QueueItem]:
        """The same as `order`, for a scheduler that is of no use afterwards: it takes its builds away."""
        self.pause([pause for scope, pause in self._pauses.items() if scope != EVERYTHING])
        limits = {name: max(limit, 1) for name, limit in self._limits.items() if limit is not None}
        self.limit(max(self._workers, 1), limits)
        while True:
            if (item := self.next(now)) is not None:
                self.started(item.build)
                yield item
            elif self._end_some():
                continue
            elif (moment := self.wakes_at()) is not None:
                now = max(now, moment)
            elif self._pauses:
                self.pause(())
            else:
                return

    def _queue(self, target: str) -> TargetQueue:
        if target not in self._queues:
            dependencies = Dependencies(target, self._bootstrap)
            self._queues[target] = TargetQueue(target, self._entries, self._rules, dependencies)
        return self._queues[target]

    def _is_open(self, queue: TargetQueue) -> bool:
        limit = self._limits.get(queue.name)
        if limit is not None and queue.given >= limit:
            return False
        return not self._pauses or Scope(kind=ScopeKind.TARGET, name=queue.name) not in self._pauses

    def _apply(self, item: QueueItem) -> None:
        entry = self._entries.get(item.build)
        if entry is None:
            if item.state is not State.FINISHED:
                self._add(item)
        elif entry.given:
            entry.news = item
        elif entry.item != item:
            self._place(entry, item)

    def _add(self, item: QueueItem) -> Entry:
        entry = Entry(item, self._queue(item.target).lane(item.package))
        self._entries[item.build] = entry
        self._place(entry, item)
        return entry

    def _place(self, entry: Entry, item: QueueItem) -> None:
        """Put a build where it belongs by what is known of it now."""
        entry.lane.leave(entry)
        entry.item = item
        if item.state is State.FINISHED:
            del self._entries[item.build]
        elif item.state is State.RUNNING:
            entry.lane.join(entry, Role.RUNNING)
        elif item.not_before is None:
            entry.lane.join(entry, Role.READY)
        else:
            heappush(self._moments, (item.not_before, item.build))
        self._queue(item.target).changed(entry.lane)

    def _give(self, entry: Entry) -> TargetQueue:
        entry.lane.leave(entry)
        entry.lane.join(entry, Role.RUNNING)
        entry.given = True
        self._given[entry.item.build] = entry
        queue = self._queue(entry.item.target)
        queue.given += 1
        return queue

    def _wake(self, now: datetime) -> None:
        """Do what is due, and what was left for when it is asked for."""
        while (moment := self.wakes_at()) is not None and moment <= now:
            _, build = heappop(self._moments)
            entry = self._entries[build]
            entry.lane.join(entry, Role.READY)
            self._queue(entry.item.target).changed(entry.lane)
        was_set_back = self._latest is not None and now < self._latest
        self._latest = now
        for queue in self._queues.values():
            queue.refresh()
            queue.wake(now)
            if was_set_back:
                queue.reconsider()

    def _copy(self, now: datetime) -> Scheduler:
        """One that stands where this one does, for trying things out."""
        self._wake(now)
        copy = Scheduler(
            workers=self._workers,
            limits=self._limits,
            together=self._rules.together,
            patience=self._rules.patience,
        )
        copy.pause(self._pauses.values())
        copy._served = self._served
        for queue in self._queues.values():
            copy._queues[queue.name] = queue.copy(copy._entries, copy._rules)
        for entry in self._entries.values():
            copy._add(entry.item)
        for build in self._given:
            copied = copy._entries[build]
            copy._give(copied).changed(copied.lane)
        copy._wake(now)
        for queue in self._queues.values():
            copy._queues[queue.name].park_as(queue)
        return copy

    def _end_some(self) -> bool:
        """Finish the build that a worker has had for longest, or else those of others; False where none runs."""
        given = next(iter(self._given), None)
        if given is not None:
            self.ended(given)
            running = [self._entries[given]]
        else:
            running = [entry for entry in self._entries.values() if entry.role is Role.RUNNING]
        self.apply([replace(entry.item, state=State.FINISHED) for entry in running])
        return bool(running)
