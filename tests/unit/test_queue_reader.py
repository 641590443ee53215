"""What the daemon's scheduler is told of what is in the store, and when."""

from __future__ import annotations

from copy import deepcopy

from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind, Relations
from conveyor.queue import Scheduler
from conveyor.wiring import QueueReader
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, TARGET, commit

NEW = Reason(kind=ReasonKind.NEW_COMMIT)


def queued(queue: MemoryQueue, *packages: str) -> list[int]:
    builds = tuple(
        NewBuild(commit=commit(package, package=package), target=TARGET, priority=Priority.FRESH, reason=NEW)
        for package in packages
    )
    return list(queue.apply(Change(builds=builds), NOON))


def test_what_was_declared_before_a_build_was_queued_counts_for_it() -> None:
    store = MemoryStore(lambda: NOON)
    queue, scheduler = MemoryQueue(store), Scheduler(workers=1)
    reader = QueueReader(scheduler, queue, store.events)
    queued(queue, "other")
    reader.read()
    scheduler.started(1)
    scheduler.ended(1)
    queue.cancel(1, "ada", NOON)
    queue.set_relations(TARGET, "lib", Relations(requires=(), provides=("lib-dev",)))
    queue.set_relations(TARGET, "tool", Relations(requires=("lib-dev",), provides=()))
    _, lib = queued(queue, "tool", "lib")
    reader.read()
    first = scheduler.next(NOON)
    assert first is not None
    assert first.build == lib


def test_of_a_store_that_was_put_back_from_a_backup_only_what_it_has_counts() -> None:
    store = MemoryStore(lambda: NOON)
    queue, scheduler = MemoryQueue(store), Scheduler(workers=1)
    reader = QueueReader(scheduler, queue, store.events)
    queued(queue, "old")
    backup, number = deepcopy(store.records), store.changes
    queued(queue, "new", "newer")
    reader.read()
    store.records, store.changes = backup, number
    reader.read()
    assert [item.package for item in scheduler.order(NOON)] == ["old"]
