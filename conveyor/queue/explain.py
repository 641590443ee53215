"""What holds a build back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from conveyor.model.queue import Pause, QueueItem, ScopeKind
from conveyor.model.waiting import (
    Held,
    HeldByDependency,
    HeldByOwn,
    HeldByPause,
    HeldByTarget,
    HeldByWorkers,
    HeldUntil,
)
from conveyor.queue.lanes import Entry, Role
from conveyor.queue.target import TargetQueue

FIRST_FEW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a build's start depends on.

    Attributes:
        queue: its target's queue.
        pauses: all that is paused.
        given: the builds that our workers have.
        workers: how many builds may run at once.
        limit: how many of them for the target; None for any number.
    """

    queue: TargetQueue
    pauses: Sequence[Pause]
    given: Sequence[Entry]
    workers: int
    limit: int | None


def obstacles(entry: Entry, situation: Situation, now: datetime) -> Iterator[Held]:
    """All that holds a waiting build back, what lasts longest first."""
    yield from _pauses(entry.item, situation.pauses)
    if entry.role is Role.RESTING and entry.item.not_before is not None:
        yield HeldUntil(at=entry.item.not_before)
    yield from _own(entry)
    yield from _dependencies(entry.item, situation.queue, now)
    yield from _room(situation)


def _pauses(item: QueueItem, pauses: Sequence[Pause]) -> Iterator[Held]:
    names = {ScopeKind.ALL: "", ScopeKind.TARGET: item.target, ScopeKind.PACKAGE: item.package}
    for pause in pauses:
        if pause.scope.name == names[pause.scope.kind]:
            yield HeldByPause(pause=pause)


def _own(entry: Entry) -> Iterator[Held]:
    before = takewhile(lambda item: item.build != entry.item.build, entry.lane.ready())
    waiting = [item.build for item in before] if entry.role is Role.READY else []
    builds = [*sorted(entry.lane.running), *waiting]
    if builds:
        yield HeldByOwn(builds=tuple(builds[:FIRST_FEW]), count=len(builds))


def _dependencies(item: QueueItem, queue: TargetQueue, now: datetime) -> Iterator[Held]:
    for package, builds in queue.holders(item, now):
        yield HeldByDependency(
            package=package, builds=tuple(builds[:FIRST_FEW]), count=len(builds), until=queue.patient_until(item)
        )


def _room(situation: Situation) -> Iterator[Held]:
    target = situation.queue.name
    builds = tuple(sorted(entry.item.build for entry in situation.given if entry.item.target == target))
    if situation.limit is not None and len(builds) >= situation.limit:
        yield HeldByTarget(target=target, limit=situation.limit, builds=builds)
    if len(situation.given) >= situation.workers:
        builds = tuple(sorted(entry.item.build for entry in situation.given))
        yield HeldByWorkers(workers=situation.workers, builds=builds)
