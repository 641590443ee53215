"""A queue in which much happens, and a plain model of who may start: slow, and close to the words of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from conveyor.model.build import State
from conveyor.model.queue import Pause, Priority, QueueItem, Relations, Scope, ScopeKind
from conveyor.queue import Scheduler
from conveyor.queue.scheduler import PATIENCE, TOGETHER

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PACKAGES = ("a", "b", "c", "d", "e")
TARGETS = ("deb", "rpm")
SECONDS = (0, 1, 30, 59, 60, 61, 600, 22000)
Graph = Mapping[str, set[str]]


def relations_of(package: str, needs: set[str]) -> Relations:
    """A package that needs others."""
    return Relations(requires=tuple(f"lib{each}" for each in sorted(needs)), provides=(f"lib{package}",))


def reachable(graph: Graph, start: str) -> set[str]:
    """All that a package needs, directly or not."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - found
        found |= new
        ahead.extend(new)
    return found


def circle(graph: Graph, package: str) -> set[str]:
    """The packages that a package needs, directly or not, and that need it."""
    return {other for other in reachable(graph, package) if package in reachable(graph, other)}


def edges_of(graph: Graph) -> dict[str, set[str]]:
    """Whom each package needs among those that are known."""
    return {package: (needs & set(graph)) - {package} for package, needs in graph.items()}


def waits_for(graph: Graph, bootstrap: set[str]) -> dict[str, set[str]]:
    """Whom each package waits for: the rule, word by word."""
    edges = edges_of(graph)
    cut = {
        package: needs - circle(edges, package) if package in bootstrap else set(needs)
        for package, needs in edges.items()
    }
    return {package: needs - circle(cut, package) for package, needs in cut.items()}


class World:
    """See the module. What is known here is what was told to the scheduler.

    Args:
        random: decides what happens.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = NOON
        self.items: dict[int, QueueItem] = {}
        self.given: list[int] = []
        self.starts: list[int] = []
        self.pauses: dict[Scope, Pause] = {}
        self.workers = random.randint(1, 4)
        self.limits = {"deb": random.choice([None, 1, 2])}
        self.bootstrap: set[str] = set()
        self.scheduler = Scheduler(workers=self.workers, limits=self.limits)
        self.graphs: dict[str, dict[str, set[str]]] = {target: {} for target in TARGETS}
        for _ in range(random.randint(0, 10)):
            self.relate()

    def step(self) -> None:
        """One thing happens."""
        often: tuple[Callable[[], None], ...] = (self.queue, self.start, self.start, self.end, self.end, self.time)
        seldom = (self.relate, self.set_bootstrap, self.pause, self.limit, self.change, self.hear, self.elsewhere)
        self.random.choice((*often, *often, *seldom))()

    # What can happen.

    def queue(self) -> None:
        """A few builds, queued together or within minutes."""
        for _ in range(self.random.randint(1, 6)):
            item = QueueItem(
                build=len(self.items) + 1,
                package=self.random.choice(PACKAGES),
                target=self.random.choice(TARGETS),
                state=State.QUEUED,
                priority=self.random.choice(list(Priority)),
                queued_at=self.now - timedelta(seconds=self.random.choice((0, 0, 30, 100))),
            )
            self.put(item)

    def relate(self) -> None:
        """A package's packaging changes."""
        target, package = self.random.choice(TARGETS), self.random.choice(PACKAGES)
        self.graphs[target][package] = set(self.random.sample(PACKAGES, self.random.choice((0, 1, 1, 2))))
        self.scheduler.relate(target, package, relations_of(package, self.graphs[target][package]))

    def set_bootstrap(self) -> None:
        """The configuration changes."""
        self.bootstrap = set(self.random.sample(PACKAGES, self.random.randint(0, 2)))
        self.scheduler.bootstrap(self.bootstrap)

    def limit(self) -> None:
        """The configuration changes."""
        self.workers, self.limits = self.random.randint(1, 4), {"deb": self.random.choice([None, 1, 2])}
        self.scheduler.limit(self.workers, self.limits)

    def pause(self) -> None:
        """Somebody pauses something, or lets it go on; mostly the latter."""
        name = self.random.choice(PACKAGES)
        scope = self.random.choice(
            [
                Scope(kind=ScopeKind.ALL),
                Scope(kind=ScopeKind.TARGET, name=self.random.choice(TARGETS)),
                *[Scope(kind=ScopeKind.PACKAGE, name=name)] * 3,
            ]
        )
        if self.random.random() < 0.5:
            self.pauses = {}
        else:
            self.pauses[scope] = Pause(scope=scope, actor="ada", note="", at=self.now)
        self.scheduler.pause(self.pauses.values())

    def time(self) -> None:
        """The clock goes on, now and then back."""
        self.now += timedelta(seconds=self.random.choice(SECONDS))
        if self.random.random() < 0.1:
            self.now -= timedelta(seconds=self.random.choice((30, 3600)))
            for build in self.waiting():  # as the daemon has it done then
                self.put(replace(self.items[build], not_before=None))

    def change(self) -> None:
        """A waiting build is cancelled, claimed by another process, or given another priority or moment."""
        if waiting := self.waiting():
            item = self.items[self.random.choice(waiting)]
            changes: list[dict[str, object]] = [
                {"state": State.FINISHED},
                {"state": State.RUNNING},
                {"priority": self.random.choice(list(Priority))},
                {"not_before": self.now + timedelta(seconds=self.random.choice((-5, 90)))},
                {"not_before": None, "queued_at": self.now},
            ]
            self.put(replace(item, **self.random.choice(changes)))  # type: ignore[arg-type]

    def hear(self) -> None:
        """The store tells something of a build that a worker has."""
        if self.given:
            build = self.random.choice(self.given)
            self.put(replace(self.items[build], state=self.random.choice(list(State))))

    def elsewhere(self) -> None:
        """A build ends that another process had claimed."""
        if foreign := self.foreign():
            state = self.random.choice([State.FINISHED, State.QUEUED])
            self.put(replace(self.items[self.random.choice(foreign)], state=state))

    def end(self) -> None:
        """A worker is free again."""
        if not self.given:
            return
        build = self.random.choice(self.given)
        item = replace(self.items[build], state=State.FINISHED)
        if self.random.random() < 0.3:
            item = replace(item, state=State.QUEUED)  # it was lost, or put back
        elif self.random.random() < 0.3:
            item = replace(item, state=State.QUEUED, queued_at=self.now, not_before=self.now + timedelta(seconds=90))
        self.given.remove(build)
        if self.random.random() < 0.5:
            self.scheduler.ended(build)
            self.put(item)
        else:
            self.put(item)
            self.scheduler.ended(build)

    def start(self) -> None:
        """A worker asks for a build."""
        before = self.startable()
        item = self.scheduler.next(self.now)
        assert (item is None) == (not before), f"{item} of {before}"
        if item is not None:
            assert item == self.items[item.build]
            assert item.build in before
            assert self.lent(item) <= min(self.items[build].priority for build in before)
            assert self.scheduler.next(self.now) == item
            self.scheduler.started(item.build)
            self.given.append(item.build)
            self.starts.append(item.build)

    def finish_all(self) -> None:
        """Nobody holds anything back any more, nothing new comes, and each build ends."""
        self.pauses = {}
        self.scheduler.pause(())
        for build in self.foreign():
            self.put(replace(self.items[build], state=State.FINISHED))
        for _ in range(3 * len(self.items) + 3):
            while self.startable():
                self.start()
            for build in self.given:
                self.put(replace(self.items[build], state=State.FINISHED))
                self.scheduler.ended(build)
            self.given = []
            self.now = max(self.now, self.scheduler.wakes_at() or self.now)

    def put(self, item: QueueItem) -> None:
        """The store tells of a build."""
        self.items[item.build] = item
        self.scheduler.apply([item])

    # Who may start.

    def running(self) -> list[int]:
        """Builds that run, here or elsewhere."""
        return self.given + self.foreign()

    def foreign(self) -> list[int]:
        """Builds that run elsewhere."""
        found = [build for build, item in self.items.items() if item.state is State.RUNNING]
        return [build for build in found if build not in self.given]

    def waiting(self) -> list[int]:
        """Builds that wait, for whatever it is."""
        found = [build for build, item in self.items.items() if item.state is State.QUEUED]
        return [build for build in found if build not in self.given]

    def lane(self, build: int) -> tuple[str, str]:
        """Package and target of a build."""
        return self.items[build].package, self.items[build].target

    def ready(self, package: str, target: str) -> list[QueueItem]:
        """Builds of a package that wait for their turn, in order."""
        found = [self.items[build] for build in self.waiting() if self.lane(build) == (package, target)]
        ready = [item for item in found if item.not_before is None or item.not_before <= self.now]
        return sorted(ready, key=lambda item: (item.priority >= Priority.REBUILD, item.build))

    def startable(self) -> set[int]:
        """All builds that may start now."""
        if len(self.given) >= self.workers or self._is_paused(ScopeKind.ALL):
            return set()
        return {item.build for target in TARGETS for item in self._startable(target)}

    def lent(self, item: QueueItem) -> int:
        """The least priority that can have been lent to a build: of all that wait on its target."""
        return min(self.items[build].priority for build in self.waiting() if self.items[build].target == item.target)

    def _is_paused(self, kind: ScopeKind, name: str = "") -> bool:
        return Scope(kind=kind, name=name) in self.pauses

    def _startable(self, target: str) -> Iterator[QueueItem]:
        limit = self.limits.get(target)
        ours = [build for build in self.given if self.lane(build)[1] == target]
        if self._is_paused(ScopeKind.TARGET, target) or (limit is not None and len(ours) >= limit):
            return
        waited_for = waits_for(self.graphs[target], self.bootstrap)
        busy = {self.lane(build) for build in self.running()}
        for package in PACKAGES:
            if (package, target) not in busy and not self._is_paused(ScopeKind.PACKAGE, package):
                heads = self.ready(package, target)[:1]
                yield from (item for item in heads if not self._holders(item, waited_for.get(package, set())))

    def _holders(self, item: QueueItem, waited_for: set[str]) -> list[int]:
        if not -TOGETHER <= self.now - item.queued_at < PATIENCE:
            return []
        lanes = [(package, item.target) for package in waited_for]
        running = [self.items[build] for build in self.running() if self.lane(build) in lanes]
        waiting = [
            other for lane in lanes if not self._is_paused(ScopeKind.PACKAGE, lane[0]) for other in self.ready(*lane)
        ]
        return [other.build for other in (*running, *waiting) if other.queued_at <= item.queued_at + TOGETHER]
