"""The queue as people and programs see it: what runs, what waits in which order, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

from conveyor.errors import UnknownName
from conveyor.model.build import Build, State
from conveyor.model.lease import DAEMON
from conveyor.model.queue import Pause, QueueItem
from conveyor.model.waiting import Cycle, Held
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.waits import few_words
from conveyor.pipeline.holders import DaemonState, daemon_state, is_gone
from conveyor.ports import Clock, Leases, Queue, Store


class Line(Protocol):
    """What the scheduler says of all that waits."""

    def order(self) -> Iterator[QueueItem]:
        """What waits, in the order in which it would start."""

    def held(self, build_id: int) -> tuple[Held, ...]:
        """What holds a waiting build back, but for those before it."""

    def cycles(self) -> tuple[Cycle, ...]:
        """Packages that build-depend on each other, on any target."""

    def waiting(self, package: str | None, target: str | None) -> int:
        """How many builds wait: of a package, for a target, of both or in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBuild:
    """A build that runs.

    Attributes:
        build: the build.
        work: what it does.
    """

    build: Build
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingBuild:
    """A build that waits.

    Attributes:
        build: the build.
        item: its place in the queue.
        place: which it is in the order in which builds will start, from 1, counting those that are not shown too.
        why: what holds it back, but for those before it, in a few words; empty where nothing does.
    """

    build: Build
    item: QueueItem
    place: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The queue at a moment.

    Attributes:
        at: the moment, with zone.
        daemon: whether a daemon runs, which takes builds from it.
        pauses: what is paused, the oldest first.
        cycles: packages that build-depend on each other.
        running: what runs, the one that was claimed first comes first.
        waiting: what waits, in the order in which it would start; the first few.
        count: how many wait, of those that were asked for.
    """

    at: datetime
    daemon: DaemonState
    pauses: tuple[Pause, ...]
    cycles: tuple[Cycle, ...]
    running: tuple[RunningBuild, ...]
    waiting: tuple[WaitingBuild, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The queue at a moment, without what waits.

    Attributes:
        at: the moment, with zone.
        daemon: whether a daemon runs.
        running: what runs, the one that was claimed first comes first.
        waiting: how many builds wait.
    """

    at: datetime
    daemon: DaemonState
    running: tuple[RunningBuild, ...]
    waiting: int


class QueueView:
    """Looks at the queue.

    Args:
        store: knows builds.
        queue: knows what is paused.
        leases: knows whether a daemon runs.
        line: makes what tells the order; it may read the whole queue.
        work: what a running build does, as far as this machine knows.
        clock: the time.
        lost_after: seconds after which a daemon on another machine counts as gone when it was not heard of.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        leases: Leases,
        line: Callable[[datetime], Line],
        work: Callable[[Build], Work],
        clock: Clock,
        lost_after: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._leases = leases
        self._line = line
        self._work = work
        self._clock = clock
        self._lost_after = lost_after

    def look(self, *, package: str | None = None, target: str | None = None, limit: int) -> QueueState:
        """The queue now; of a package, for a target or both. Of what waits at most `limit`."""
        now = self._clock.now()
        line = self._line(now)
        chosen = (
            (place, item)
            for place, item in enumerate(line.order(), start=1)
            if package in {None, item.package} and target in {None, item.target}
        )
        count = line.waiting(package, target)
        return QueueState(
            at=now,
            daemon=daemon_state(self._leases.holder(DAEMON), now, self._lost_after),
            pauses=self._queue.pauses(),
            cycles=line.cycles(),
            running=tuple(self._running(package, target)),
            waiting=tuple(self._waiting(line, list(islice(chosen, min(limit, count))))),
            count=count,
        )

    def glance(self) -> Glance:
        """What runs, and how many wait: quick, however many these are."""
        now = self._clock.now()
        return Glance(
            at=now,
            daemon=daemon_state(self._leases.holder(DAEMON), now, self._lost_after),
            running=tuple(self._running(None, None)),
            waiting=sum(size.builds for size in self._queue.sizes() if size.state is State.QUEUED),
        )

    def _running(self, package: str | None, target: str | None) -> Iterator[RunningBuild]:
        for build in self._store.running():
            if package in {None, build.commit.package} and target in {None, build.target}:
                yield RunningBuild(build=build, work=work_of(build, self._work))

    def _waiting(self, line: Line, chosen: Sequence[tuple[int, QueueItem]]) -> Iterator[WaitingBuild]:
        for place, item in chosen:
            try:
                build = self._store.build(item.build)
            except UnknownName:
                continue
            if build.state is State.QUEUED:  # somebody may have taken it meanwhile
                yield WaitingBuild(build=build, item=item, place=place, why=few_words(line.held(item.build)))


def work_of(build: Build, look: Callable[[Build], Work]) -> Work:
    """What a build does: nothing where it does not run, or its process is gone."""
    if build.state is not State.RUNNING:
        return Work()
    return Work(gone=True) if build.claim is not None and is_gone(build.claim) else look(build)
