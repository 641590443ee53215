"""Decisions which build is next, with builders that build nothing, in a process of its own: WHO COUNT FILE.

A decision is all that a build costs whoever decides: it is queued, found to be next, started and finished. For each one
that starts another one is queued, so that as many wait at the end as at the beginning.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Protocol

from conveyor.model.build import State
from conveyor.model.queue import Priority, QueueItem, Relations
from conveyor.queue import Scheduler

PACKAGES = 1000
TARGETS = ("debian", "centos")
WORKERS = 8
NEEDS = 3  # of the packages before it, at most
BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
BETWEEN = timedelta(seconds=1)
PRIORITIES = (Priority.FRESH, Priority.BACKLOG, Priority.BACKLOG, Priority.REBUILD)
DECISIONS = 10_000
# Sorting all that wait for each decision takes long.
SLOW_DECISIONS = 200
KIBI = 1024


class Decider(Protocol):
    """Somebody who decides."""

    def queue(self, item: QueueItem) -> None:
        """One more waits."""

    def start(self) -> QueueItem | None:
        """Start the next one; None where none may start now."""

    def finish(self, item: QueueItem) -> None:
        """One that was started is over."""


class Ours:
    """The scheduler, with fairness, one build of a package and target at once, and dependencies."""

    def __init__(self) -> None:
        self._scheduler = Scheduler(workers=WORKERS)
        self._now = BEGAN_AT + timedelta(hours=1)
        random = Random(1)
        for target in TARGETS:
            for number in range(PACKAGES):
                needed = {random.randrange(number) for _ in range(NEEDS)} if number else set()
                requires = tuple(_package(each) for each in sorted(needed))
                relations = Relations(requires=requires, provides=(_package(number),))
                self._scheduler.relate(target, _package(number), relations)

    def queue(self, item: QueueItem) -> None:
        """As the store tells it."""
        self._scheduler.apply((item,))

    def start(self) -> QueueItem | None:
        """Ask, and keep the books."""
        item = self._scheduler.next(self._now)
        if item is not None:
            self._scheduler.started(item.build)
        return item

    def finish(self, item: QueueItem) -> None:
        """As the worker and the store tell it."""
        self._scheduler.ended(item.build)
        self._scheduler.apply((replace(item, state=State.FINISHED),))


class Select:
    """A database in memory that is asked for the first one by an index on priority and number.

    It sees to it that no two builds of a package run on a target at once. It knows neither fairness nor dependencies.
    """

    question = """
        SELECT build FROM waiting WHERE NOT EXISTS (
            SELECT 1 FROM running WHERE running.package = waiting.package AND running.target = waiting.target
        ) ORDER BY priority, build LIMIT 1
    """

    def __init__(self) -> None:
        self._items: dict[int, QueueItem] = {}
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        self._database.executescript("""
            CREATE TABLE waiting (build INTEGER PRIMARY KEY, package TEXT, target TEXT, priority INTEGER);
            CREATE INDEX by_priority ON waiting (priority, build);
            CREATE TABLE running (package TEXT, target TEXT, PRIMARY KEY (package, target)) WITHOUT ROWID;
            CREATE TABLE share (package TEXT, target TEXT, starts INTEGER NOT NULL, PRIMARY KEY (package, target))
                WITHOUT ROWID;
        """)

    def queue(self, item: QueueItem) -> None:
        """A row more."""
        self._items[item.build] = item
        row = (item.build, item.package, item.target, int(item.priority))
        self._database.execute("INSERT INTO waiting VALUES (?, ?, ?, ?)", row)
        self._database.execute("INSERT OR IGNORE INTO share VALUES (?, ?, 0)", (item.package, item.target))

    def start(self) -> QueueItem | None:
        """Ask, and move the row."""
        found = self._database.execute(self.question).fetchone()
        if found is None:
            return None
        item = self._items.pop(found[0])
        lane = (item.package, item.target)
        self._database.execute("DELETE FROM waiting WHERE build = ?", found)
        self._database.execute("INSERT INTO running VALUES (?, ?)", lane)
        self._database.execute("UPDATE share SET starts = starts + 1 WHERE package = ? AND target = ?", lane)
        return item

    def finish(self, item: QueueItem) -> None:
        """A row less."""
        self._database.execute("DELETE FROM running WHERE package = ? AND target = ?", (item.package, item.target))


class FairSelect(Select):
    """The same with fairness: of each priority the package with the fewest starts first. No index has that order."""

    question = """
        SELECT build FROM waiting JOIN share USING (package, target) WHERE NOT EXISTS (
            SELECT 1 FROM running WHERE running.package = waiting.package AND running.target = waiting.target
        ) ORDER BY priority, starts, build LIMIT 1
    """


class Heap:
    """Python's heapq with priorities and numbers and nothing else: what keeping an order costs at least."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, QueueItem]] = []

    def queue(self, item: QueueItem) -> None:
        """One more."""
        heapq.heappush(self._heap, (item.priority, item.build, item))

    def start(self) -> QueueItem | None:
        """The first."""
        return heapq.heappop(self._heap)[2]

    def finish(self, item: QueueItem) -> None:
        """It keeps nothing of it."""


class Nobody:
    """Keeps the builds and decides nothing, for what these alone take."""

    def __init__(self) -> None:
        self._items: deque[QueueItem] = deque()

    def queue(self, item: QueueItem) -> None:
        """One more."""
        self._items.append(item)

    def start(self) -> QueueItem | None:
        """The oldest."""
        return self._items.popleft()

    def finish(self, item: QueueItem) -> None:
        """It keeps nothing of it."""


DECIDERS: Mapping[str, type[Decider]] = {
    "ours": Ours,
    "select": Select,
    "fair-select": FairSelect,
    "heap": Heap,
    "nobody": Nobody,
}


def main() -> int:
    """Decide, and write down what it took."""
    who, waiting, figures = sys.argv[1:]
    Path(figures).write_text(json.dumps(measure(DECIDERS[who], int(waiting))), encoding="utf-8")
    return 0


def measure(kind: type[Decider], waiting: int) -> dict[str, float]:
    """Microseconds of processor time for a decision, and KiB of memory with so many builds waiting."""
    decider = kind()
    builds = _builds()
    before = _resident()
    for _ in range(waiting):
        decider.queue(next(builds))
    memory = _resident() - before
    running = deque(each for each in (decider.start() for _ in range(WORKERS)) if each is not None)
    decisions = SLOW_DECISIONS if kind is FairSelect else DECISIONS
    fresh = [next(builds) for _ in range(decisions)]
    started = time.process_time()
    for item in fresh:
        decider.finish(running.popleft())
        decider.queue(item)
        following = decider.start()
        if following is not None:
            running.append(following)
    seconds = time.process_time() - started
    return {"microseconds": seconds / decisions * 1e6, "mebibytes": memory / KIBI}


def _builds() -> Iterator[QueueItem]:
    random = Random(2)
    for number in count(1):
        yield QueueItem(
            build=number,
            package=_package(random.randrange(PACKAGES)),
            target=random.choice(TARGETS),
            state=State.QUEUED,
            priority=random.choice(PRIORITIES),
            queued_at=BEGAN_AT + BETWEEN * (number // 10),
        )


def _package(number: int) -> str:
    return f"package{number:04}"


def _resident() -> int:
    """KiB of memory that this process has."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
