"""Builds of one package on one target: they start one after the other, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from heapq import heappop, heappush

from conveyor.model.queue import Priority, QueueItem
from conveyor.queue import shares


class Role(Enum):
    """What a build does in its lane."""

    READY = "ready"  # it waits for its turn
    RESTING = "resting"  # it waits for a moment, and holds nobody back
    RUNNING = "running"


class Entry:
    """A build that is queued or running.

    Attributes:
        item: the build, as it was when it last took its place here.
        lane: its lane.
        role: what it does there.
        given: whether a worker of ours has it.
        news: what was heard of it since a worker has it; None for nothing.
    """

    __slots__ = ("given", "item", "lane", "news", "role")

    def __init__(self, item: QueueItem, lane: Lane) -> None:
        self.item = item
        self.lane = lane
        self.role = Role.RESTING
        self.given = False
        self.news: QueueItem | None = None


Entries = Mapping[int, Entry]
# Urgency, share, number of the build: the least goes first. One is valid while its lane knows it.
Standing = tuple[int, float, int, "Lane"]


class Lane:
    """See the module. Heaps hold what was once true; what is not any more is dropped when it comes up.

    Args:
        package: the package's name.
        entries: all builds, by number.

    Attributes:
        builds: how many of its builds wait for their turn, or run.
        counted: whether it is counted among the target's busy ones.
        share: how much the package had of the target lately.
        running: numbers of its builds that run.
        standing: its place among the lanes of the target that may start a build; None for none.
        behind: the lane of a dependency that it waits for; None for none.
        waiting: the lanes that wait for this one: until when builds queued here go before them, the number of their
            build that waits, and the lane.
        parked: the build that waits for `behind`, and the urgency that it has; None for none.
        patient: what the patience with dependencies is counted for already: the moment of its end, and the build.
    """

    __slots__ = (
        "_commits",
        "_entries",
        "_queued",
        "_rebuilds",
        "_wishes",
        "behind",
        "builds",
        "counted",
        "package",
        "parked",
        "patient",
        "running",
        "share",
        "standing",
        "waiting",
    )

    def __init__(self, package: str, entries: Entries) -> None:
        self.package = package
        self.builds = 0
        self.counted = False
        self.share = shares.NONE
        self.running: set[int] = set()
        self.standing: Standing | None = None
        self.behind: Lane | None = None
        self.waiting: list[tuple[datetime, int, Lane]] = []
        self.parked: tuple[QueueItem, int] | None = None
        self.patient: tuple[datetime, int] | None = None
        self._entries = entries
        self._commits: list[int] = []
        self._rebuilds: list[int] = []
        self._queued: list[tuple[datetime, int]] = []
        self._wishes: dict[int, int] = {}

    def join(self, entry: Entry, role: Role) -> None:
        """Take a build in."""
        entry.role = role
        item = entry.item
        if role is Role.RUNNING:
            self.running.add(item.build)
        if role is Role.READY:
            heappush(self._rebuilds if _is_rebuild(item) else self._commits, item.build)
            if item.priority <= Priority.REQUEST:
                self.wish(item.priority)
        if role is not Role.RESTING:
            self.builds += 1
            heappush(self._queued, (item.queued_at, item.build))

    def leave(self, entry: Entry) -> None:
        """Let a build go. It counts no more once its role is another one, or it is gone from the entries."""
        if entry.role is Role.RUNNING:
            self.running.discard(entry.item.build)
        if entry.role is Role.READY and entry.item.priority <= Priority.REQUEST:
            self.unwish(entry.item.priority)
        if entry.role is not Role.RESTING:
            self.builds -= 1
        entry.role = Role.RESTING

    def wish(self, urgency: int) -> None:
        """Somebody waits for all that is in this lane."""
        self._wishes[urgency] = self._wishes.get(urgency, 0) + 1

    def unwish(self, urgency: int) -> None:
        """One of those that waited for this lane does so no more."""
        self._wishes[urgency] -= 1
        if not self._wishes[urgency]:
            del self._wishes[urgency]

    def head(self) -> QueueItem | None:
        """The build that is to start next."""
        for heap, rebuilds in ((self._commits, False), (self._rebuilds, True)):
            while heap:
                entry = self._entries.get(heap[0])
                if entry is not None and entry.role is Role.READY and _is_rebuild(entry.item) is rebuilds:
                    return entry.item
                heappop(heap)
        return None

    def urgency(self, head: QueueItem) -> int:
        """The priority with which its next build starts: its own, or that of somebody's wish."""
        return min(head.priority, *self._wishes) if self._wishes else head.priority

    def oldest(self, *, paused: bool) -> datetime | None:
        """When the first of the builds was queued that may go before others; None where there is none.

        Args:
            paused: whether only those count that run.
        """
        if paused:
            return min((self._entries[build].item.queued_at for build in self.running), default=None)
        while self._queued:
            queued_at, build = self._queued[0]
            entry = self._entries.get(build)
            if entry is not None and entry.role is not Role.RESTING and entry.item.queued_at == queued_at:
                return queued_at
            heappop(self._queued)
        return None

    def going_first(self, latest: datetime, *, paused: bool) -> list[int]:
        """Numbers of the builds queued until then that may go before others, those that run first.

        Args:
            latest: until when.
            paused: whether only those count that run.
        """
        running = [self._entries[build].item for build in sorted(self.running)]
        items = running if paused else [*running, *self.ready()]
        return [item.build for item in items if item.queued_at <= latest]

    def ready(self) -> Iterator[QueueItem]:
        """Its builds that wait for their turn, in their order."""
        for heap, rebuilds in ((self._commits, False), (self._rebuilds, True)):
            for build in sorted(set(heap)):
                entry = self._entries.get(build)
                if entry is not None and entry.role is Role.READY and _is_rebuild(entry.item) is rebuilds:
                    yield entry.item


def _is_rebuild(item: QueueItem) -> bool:
    """A rebuild brings nothing that a commit after it would not bring, so commits pass it."""
    return item.priority >= Priority.REBUILD
