"""The queue of one target: which package's build is next."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from conveyor.model.queue import QueueItem
from conveyor.queue import shares
from conveyor.queue.dependencies import Dependencies
from conveyor.queue.lanes import Entries, Lane, Standing

# Beyond this many, and more than four for each lane, what is not valid any more is cleared away.
MANY = 256


@dataclass(slots=True, kw_only=True)
class Rules:
    """What holds for all targets.

    Attributes:
        together: builds of a dependency go first that were queued up to so much later.
        patience: for so long, from when it was queued, a build waits for dependencies.
        paused: names of paused packages.
    """

    together: timedelta
    patience: timedelta
    paused: Set[str] = field(default_factory=frozenset)


class TargetQueue:
    """See the module.

    A lane whose build may start stands in a heap. Whether it has to wait for a dependency is asked when it comes up. If
    so, it is noted at the dependency's lane, and looked at again when what it waits for is over.

    Args:
        name: the target's name.
        entries: all builds, by number.
        rules: what holds for all targets.
        dependencies: which packages go before which.

    Attributes:
        lanes: by the package's name.
        given: how many builds our workers have.
        age: how many half-lives of shares all starts took.
        busy: how many packages have builds that wait for their turn, or run.
        served: tells which target had its last start longest ago.
    """

    def __init__(self, name: str, entries: Entries, rules: Rules, dependencies: Dependencies) -> None:
        self.name = name
        self.dependencies = dependencies
        self.lanes: dict[str, Lane] = {}
        self.given = 0
        self.age = 0.0
        self.busy = 0
        self.served = 0
        self._entries = entries
        self._rules = rules
        self._heap: list[Standing] = []
        self._deadlines: list[tuple[datetime, int, Lane]] = []

    def lane(self, package: str) -> Lane:
        """The lane of a package."""
        if package not in self.lanes:
            self.lanes[package] = Lane(package, self._entries)
        return self.lanes[package]

    def copy(self, entries: Entries, rules: Rules) -> TargetQueue:
        """The same queue without its builds: for other entries and rules."""
        copy = TargetQueue(self.name, entries, rules, self.dependencies.copy())
        copy.age, copy.served = self.age, self.served
        for package, lane in self.lanes.items():
            copy.lane(package).share = lane.share
        return copy

    def park_as(self, other: TargetQueue) -> None:
        """Let the lanes wait for dependencies that do so in another queue, which this one is a copy of."""
        for lane in other.lanes.values():
            if lane.behind is not None and lane.parked is not None:
                item, urgency = lane.parked
                self._park(self.lanes[lane.package], item, urgency, self.lanes[lane.behind.package])

    def count_start(self, lane: Lane) -> None:
        """Count a start of a package's build."""
        lane.share = shares.with_start(lane.share, self.age)
        self.age += shares.half_lives(self.busy)

    def first(self, now: datetime) -> Standing | None:
        """The lane whose build is next; None where none may start."""
        while self._heap:
            standing = self._heap[0]
            lane = standing[3]
            if lane.standing is not standing:
                heappop(self._heap)
                continue
            item = self._entries[standing[2]].item
            behind = self._holder(item, now)
            if behind is None:
                return standing
            heappop(self._heap)
            self._park(lane, item, standing[0], behind)
        return None

    def holders(self, item: QueueItem, now: datetime) -> list[tuple[str, list[int]]]:
        """The dependencies that go before a build, by name, and which builds of each."""
        if not self._is_patient(item, now):
            return []
        latest = item.queued_at + self._rules.together
        lanes = [self.lanes[each] for each in self.dependencies.waits_for(item.package) if each in self.lanes]
        found = ((lane.package, lane.going_first(latest, paused=self._is_paused(lane))) for lane in lanes)
        return [(package, builds) for package, builds in found if builds]

    def patient_until(self, item: QueueItem) -> datetime:
        """From when on a build waits for dependencies no more."""
        return item.queued_at + self._rules.patience

    def changed(self, lane: Lane) -> None:
        """Put right what depends on a lane, after whatever changed of it."""
        if lane.counted != bool(lane.builds):
            lane.counted = bool(lane.builds)
            self.busy += 1 if lane.counted else -1
        self._release(lane)
        self._settle(lane)

    def refresh(self) -> None:
        """Look anew at packages whose dependencies changed."""
        for package in self.dependencies.refresh():
            lane = self.lanes.get(package)
            if lane is not None and lane.behind is not None:
                self._unpark(lane)

    def reconsider(self) -> None:
        """Look anew at all that waits for dependencies."""
        for lane in self.lanes.values():
            if lane.behind is not None:
                self._unpark(lane)

    def wake(self, now: datetime) -> None:
        """Let builds go on that have waited for dependencies for long enough."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, build, lane = heappop(self._deadlines)
            if lane.parked is not None and lane.parked[0].build == build:
                self._unpark(lane)

    def _holder(self, item: QueueItem, now: datetime) -> Lane | None:
        """The lane of the first of `holders`; asked for each decision, so without a list of builds."""
        packages = self.dependencies.waits_for(item.package)
        if not packages or not self._is_patient(item, now):
            return None
        latest = item.queued_at + self._rules.together
        for package in packages:
            lane = self.lanes.get(package)
            if lane is not None and (oldest := self._oldest(lane)) is not None and oldest <= latest:
                return lane
        return None

    def _is_patient(self, item: QueueItem, now: datetime) -> bool:
        """Whether a build waits for dependencies. One from the future tells that the clock was set back.

        Then times do not tell what came first, and each new build of a dependency would count as older.
        """
        return item.queued_at - self._rules.together <= now < self.patient_until(item)

    def _oldest(self, lane: Lane) -> datetime | None:
        return lane.oldest(paused=self._is_paused(lane))

    def _is_paused(self, lane: Lane) -> bool:
        return lane.package in self._rules.paused

    def _park(self, lane: Lane, item: QueueItem, urgency: int, behind: Lane) -> None:
        """Let a lane wait for another one, which takes over its urgency."""
        lane.standing = None
        lane.behind = behind
        lane.parked = (item, urgency)
        heappush(behind.waiting, (item.queued_at + self._rules.together, item.build, lane))
        patient = (self.patient_until(item), item.build)
        if lane.patient != patient:
            lane.patient = patient
            heappush(self._deadlines, (*patient, lane))
        behind.wish(urgency)
        self._settle(behind)

    def _unpark(self, lane: Lane) -> None:
        """Let a lane wait for its dependency no more, whatever comes then."""
        behind = self._part(lane)
        self._offer(lane)
        self._settle(behind)

    def _part(self, lane: Lane) -> Lane | None:
        behind = lane.behind
        if behind is not None and lane.parked is not None:
            behind.unwish(lane.parked[1])
        lane.behind = lane.parked = None
        return behind

    def _release(self, lane: Lane) -> None:
        """Let go on who waited for builds of a lane that are over."""
        oldest = self._oldest(lane)
        while lane.waiting and (oldest is None or lane.waiting[0][0] < oldest):
            _, build, other = heappop(lane.waiting)
            if other.behind is lane and other.parked is not None and other.parked[0].build == build:
                self._part(other)
                self._offer(other)

    def _settle(self, lane: Lane | None) -> None:
        """Put a lane where it belongs, then the one that it waited for, and so on."""
        while lane is not None:
            behind = None
            if not self._stays_parked(lane):
                behind = self._part(lane)
                self._offer(lane)
            lane = behind

    def _stays_parked(self, lane: Lane) -> bool:
        if lane.behind is None or lane.running or self._is_paused(lane):
            return False
        head = lane.head()
        return head is not None and lane.parked == (head, lane.urgency(head))

    def _offer(self, lane: Lane) -> None:
        """Give a lane its place in the heap, if a build of it may start."""
        head = None if lane.running or self._is_paused(lane) else lane.head()
        if head is None:
            lane.standing = None
            return
        place = (lane.urgency(head), lane.share, head.build)
        if lane.standing is None or lane.standing[:3] != place:
            lane.standing = (*place, lane)
            heappush(self._heap, lane.standing)
            self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) > max(MANY, 4 * len(self.lanes)):
            self._heap = [standing for standing in self._heap if standing[3].standing is standing]
            heapify(self._heap)
