"""What counts as standing still, and that it is said once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from conveyor.daemon.watchdog import Watchdog, Work
from conveyor.model.build import Outcome
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.model.watch import Remote
from tests.fakes.clock import NOON
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import TARGET, commit, start, succeed
from tests.fakes.watch import MemoryWatch

HOUR = 3600.0


@dataclass(slots=True)
class World:
    """A watchdog and what it looks at."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(lambda: NOON))
    watch: MemoryWatch = field(default_factory=MemoryWatch)
    polls: bool = True
    uptime: float = 0.0
    queue: MemoryQueue = field(init=False)
    watchdog: Watchdog = field(init=False)

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.store, self.watch)
        self.restart()

    def restart(self) -> None:
        self.watchdog = Watchdog(
            queue=self.queue,
            watch=self.watch,
            events=self.store.events,
            store=self.store,
            stale_after=6 * HOUR,
            polls=self.polls,
            monotonic=lambda: self.uptime,
        )

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.uptime)

    def look(self, after: float = 0) -> frozenset[Work]:
        self.uptime += after
        return self.watchdog.look(self.now)

    def happened(self, kind: EventKind) -> None:
        self.store.events.record([NewEvent(kind=kind, summary="")], self.now)

    def answered(self) -> None:
        self.watch.polled(
            [Remote(url="u", polled_at=self.now, answered_at=self.now, failures=0, cause="", next_at=self.now)]
        )

    def told(self) -> list[tuple[EventKind, object]]:
        kinds = (EventKind.STALE, EventKind.STALE_NO_MORE)
        return [(event.kind, event.detail["work"]) for event in self.store.events.recorded if event.kind in kinds]


def test_where_there_is_nothing_to_do_nothing_is_stale() -> None:
    world = World()
    for _ in range(10):
        assert not world.look(HOUR)
    assert not world.told()


def test_polls_that_no_repository_answers() -> None:
    world = World()
    world.answered()
    for _ in range(4):
        world.look(2 * HOUR)
    world.look(HOUR)
    assert world.told() == [(EventKind.STALE, Work.POLLING)]
    assert world.store.events.recorded[-1].summary == "no repository has answered for 7 h"
    world.answered()
    assert not world.look(60)
    assert world.told() == [(EventKind.STALE, Work.POLLING), (EventKind.STALE_NO_MORE, Work.POLLING)]


def test_repositories_that_never_answered() -> None:
    world = World()
    world.watch.polled(
        [Remote(url="u", polled_at=NOON, answered_at=None, failures=1, cause="x", next_at=NOON)],
    )
    world.look()
    assert world.look(7 * HOUR) == {Work.POLLING}


def test_who_does_not_poll_is_not_late_with_it() -> None:
    world = World(polls=False)
    world.answered()
    world.look()
    assert not world.look(9 * HOUR)


def test_builds_that_wait_in_vain() -> None:
    world = World()
    world.store.queue(commit(), TARGET, retry=False)
    world.look()
    assert not world.look(5 * HOUR)
    world.happened(EventKind.STARTED)
    assert not world.look(2 * HOUR)
    assert world.look(7 * HOUR) == {Work.BUILDING}
    world.happened(EventKind.FAILED)
    assert not world.look()


def test_a_build_that_never_ends() -> None:
    world = World()
    start(world.store, commit(), "t")
    world.look()
    assert world.look(7 * HOUR) == {Work.BUILDING}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(kind=ScopeKind.ALL),
        Scope(kind=ScopeKind.TARGET, name=TARGET),
        Scope(kind=ScopeKind.PACKAGE, name="nova"),
    ],
    ids=str,
)
def test_builds_that_are_held_back(scope: Scope) -> None:
    world = World()
    world.store.queue(commit(), TARGET, retry=False)
    world.queue.pause(Pause(scope=scope, actor="ann", note="", at=NOON))
    world.look()
    assert not world.look(9 * HOUR)
    world.queue.resume(scope, "ann", NOON)
    assert world.look(HOUR) == {Work.BUILDING}


def test_builds_that_wait_for_a_moment() -> None:
    world = World()
    build = start(world.store, commit(), "t")
    world.store.finish(build.id, "t", outcome=Outcome.ERRORED, at=NOON, version=None, cause=None, stages=(), entry=None)
    world.queue.again(build.id, NOON + timedelta(hours=20), NOON)
    world.look()
    assert not world.look(9 * HOUR)
    assert world.look(12 * HOUR) == {Work.BUILDING}


def test_good_builds_that_nobody_publishes() -> None:
    world = World()
    build = succeed(world.store, commit(), NOON)
    world.look()
    assert world.look(7 * HOUR) == {Work.PUBLISHING}
    world.store.mark_published(build.id, 0.1)
    assert not world.look()


def test_it_is_said_once_whoever_restarts() -> None:
    world = World()
    world.answered()
    world.look()
    world.look(7 * HOUR)
    world.restart()
    assert world.watchdog.stale == {Work.POLLING}
    world.look(HOUR)
    world.look(7 * HOUR)
    assert world.told() == [(EventKind.STALE, Work.POLLING)]
    world.answered()
    world.look()
    world.restart()
    assert not world.watchdog.stale
    assert [kind for kind, _ in world.told()] == [EventKind.STALE, EventKind.STALE_NO_MORE]


def test_a_new_start_begins_to_count_anew() -> None:
    world = World()
    world.answered()
    world.uptime = 100 * HOUR
    world.restart()
    world.look()
    assert not world.look(5 * HOUR)


def test_a_clock_that_jumps_alarms_nobody() -> None:
    world = World()
    world.answered()
    world.look()
    assert not world.watchdog.look(NOON + timedelta(days=400))
    assert not world.watchdog.look(NOON - timedelta(days=400))
