"""Schedulers with a few builds, and workers that have them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from conveyor.model.build import State
from conveyor.model.queue import Pause, Priority, QueueItem, Relations, Scope, ScopeKind
from conveyor.queue import Scheduler

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EVERYTHING = Scope(kind=ScopeKind.ALL)


def item(
    build: int,
    package: str = "nova",
    target: str = "deb",
    priority: Priority = Priority.FRESH,
    queued_at: datetime = NOON,
    not_before: datetime | None = None,
) -> QueueItem:
    return QueueItem(
        build=build,
        package=package,
        target=target,
        state=State.QUEUED,
        priority=priority,
        queued_at=queued_at,
        not_before=not_before,
    )


def scheduler_of(*items: QueueItem, workers: int = 1, **limits: int) -> Scheduler:
    scheduler = Scheduler(workers=workers, limits=limits)
    scheduler.apply(items)
    return scheduler


def paused(*scopes: Scope) -> list[Pause]:
    return [Pause(scope=scope, actor="ada", note="", at=NOON) for scope in scopes]


def package_scope(name: str) -> Scope:
    return Scope(kind=ScopeKind.PACKAGE, name=name)


def target_scope(name: str) -> Scope:
    return Scope(kind=ScopeKind.TARGET, name=name)


def start(scheduler: Scheduler, now: datetime = NOON) -> int | None:
    """Give the next build to a worker."""
    found = scheduler.next(now)
    if found is None:
        return None
    scheduler.started(found.build)
    return found.build


def finish(scheduler: Scheduler, build: QueueItem) -> None:
    scheduler.ended(build.build)
    scheduler.apply([replace(build, state=State.FINISHED)])


def run(scheduler: Scheduler, items: Iterable[QueueItem], now: datetime = NOON) -> list[int]:
    """Let one build after the other start and finish: the order in which they did."""
    known = {each.build: each for each in items}
    done = []
    while (build := start(scheduler, now)) is not None:
        finish(scheduler, known[build])
        done.append(build)
    return done


def needs(scheduler: Scheduler, **edges: str) -> None:
    """Relate packages: each needs those in its value."""
    for package, others in edges.items():
        requires = tuple(f"lib{each}" for each in others.split())
        scheduler.relate("deb", package, Relations(requires=requires, provides=(f"lib{package}",)))
