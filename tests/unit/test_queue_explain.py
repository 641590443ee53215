"""Why a queued build waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from conveyor.model.build import State
from conveyor.model.queue import Priority
from conveyor.model.waiting import (
    Held,
    HeldByDependency,
    HeldByOwn,
    HeldByPause,
    HeldByTarget,
    HeldByWorkers,
    HeldUntil,
    Waiting,
)
from conveyor.queue import Scheduler
from conveyor.queue.scheduler import PATIENCE
from tests.support.queue import (
    EVERYTHING,
    NOON,
    SECOND,
    item,
    needs,
    package_scope,
    paused,
    scheduler_of,
    start,
    target_scope,
)


def explained(scheduler: Scheduler, build: int) -> Waiting:
    told = scheduler.explain(build, NOON)
    assert told is not None
    return told


def held(scheduler: Scheduler, build: int) -> tuple[Held, ...]:
    alone = scheduler.held(build, NOON)
    assert explained(scheduler, build).held == alone
    return alone


def test_what_does_not_wait_has_no_reason() -> None:
    scheduler = scheduler_of(item(1), replace(item(2, "other"), state=State.RUNNING))
    start(scheduler)
    assert [scheduler.explain(build, NOON) for build in (1, 2, 3)] == [None, None, None]
    assert [scheduler.held(build, NOON) for build in (1, 2, 3)] == [(), (), ()]


def test_the_next_one_is_held_by_nothing() -> None:
    assert explained(scheduler_of(item(1)), 1) == Waiting(build=1, held=(), place=1, before=())


def test_pauses_are_told_with_who_paused_and_why() -> None:
    scheduler = scheduler_of(item(1))
    mine = paused(EVERYTHING, target_scope("deb"), package_scope("nova"))
    scheduler.pause([*mine, *paused(target_scope("rpm"), package_scope("oslo"), target_scope("nova"))])
    assert held(scheduler, 1) == tuple(HeldByPause(pause=pause) for pause in mine)


def test_the_moment_is_told() -> None:
    scheduler = scheduler_of(item(1, not_before=NOON + SECOND), item(2, not_before=NOON))
    assert held(scheduler, 1) == (HeldUntil(at=NOON + SECOND),)
    assert held(scheduler, 2) == ()


def test_builds_of_its_package_are_told_those_that_run_first() -> None:
    rebuild = item(1, priority=Priority.REBUILD)
    scheduler = scheduler_of(rebuild, item(2), item(3), item(4), item(5, target="rpm"), workers=5)
    assert start(scheduler) == 2
    assert held(scheduler, 4) == (HeldByOwn(builds=(2, 3), count=2),)
    assert held(scheduler, 1) == (HeldByOwn(builds=(2, 3, 4), count=3),)
    assert held(scheduler, 5) == ()


def test_of_many_builds_the_first_few_are_told() -> None:
    scheduler = scheduler_of(*(item(number) for number in range(1, 102)))
    assert held(scheduler, 101) == (HeldByOwn(builds=tuple(range(1, 21)), count=100),)
    assert explained(scheduler, 101).before == tuple(range(1, 21))
    assert explained(scheduler, 101).place == 101


def test_a_dependencys_builds_are_told_and_until_when_they_count() -> None:
    late = NOON + timedelta(minutes=5)
    scheduler = scheduler_of(item(1, "oslo"), item(2, "oslo"), item(3, "oslo", queued_at=late), item(4), workers=5)
    needs(scheduler, nova="oslo six", oslo="", six="")
    start(scheduler)
    assert held(scheduler, 4) == (HeldByDependency(package="oslo", builds=(1, 2), count=2, until=NOON + PATIENCE),)


def test_a_full_target_is_told() -> None:
    scheduler = scheduler_of(item(1, "a"), item(2, "b"), item(3, "c", "rpm"), workers=5, deb=1)
    start(scheduler)
    assert held(scheduler, 2) == (HeldByTarget(target="deb", limit=1, builds=(1,)),)
    assert held(scheduler, 3) == ()


def test_busy_workers_are_told_and_who_goes_before() -> None:
    scheduler = scheduler_of(*(item(number, f"p{number}") for number in range(1, 6)), workers=2)
    start(scheduler)
    start(scheduler)
    assert explained(scheduler, 5) == Waiting(
        build=5, held=(HeldByWorkers(workers=2, builds=(1, 2)),), place=3, before=(3, 4)
    )


def test_all_reasons_are_told() -> None:
    scheduler = scheduler_of(item(1, "oslo"), item(2), item(3, not_before=NOON + SECOND), deb=1)
    needs(scheduler, nova="oslo", oslo="")
    start(scheduler)
    scheduler.apply([replace(item(2), state=State.RUNNING)])
    scheduler.pause(paused(package_scope("nova")))
    assert [type(each) for each in held(scheduler, 3)] == [
        HeldByPause,
        HeldUntil,
        HeldByOwn,
        HeldByDependency,
        HeldByTarget,
        HeldByWorkers,
    ]
