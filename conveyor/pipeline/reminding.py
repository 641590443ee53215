"""Reminds of what stays as it is: packages that have failed for long, and a `consistent` that has stood still for long.

What was told and when is read from the events, and all that is told at once is one transaction: so a kill neither loses
a reminder nor doubles it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from conveyor.model.event import Event, EventKind, NewEvent
from conveyor.model.promotion import CONSISTENT, CURRENT
from conveyor.pipeline.happenings import BAD, GOOD
from conveyor.pipeline.pointing.evidence import told_seconds
from conveyor.pipeline.pointing.standings import Standings
from conveyor.ports import Events, Repository, Store

REMINDERS = (EventKind.STILL_FAILING, EventKind.POINTER_HELD_BACK)
# At most so often anybody is reminded of anything, so that what is due within a day is told together.
PAUSE = timedelta(days=1)
# How many jumps of the clock count, and how far back failures are looked at of a time without events.
MOST_JUMPS, LOOKED_BACK = 1000, 500
PAGE = 500
# Of the packages that hold a pointer back, the summary names so many, and the detail so many.
MOST_NAMED, MOST_TOLD = 5, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streak:
    """A package that fails on a target: since when, and its latest failure there."""

    target: str
    first: Event
    last: Event


class Reminder:
    """Looks for what somebody is to be reminded of.

    Args:
        events: what happened, and what was told.
        store: which packages fail.
        repository: where pointers lead.
        standings: what holds them back.
        built: by target, the packages that are built for it.
        after: for how long something must have been so; and how long until the next reminder of it.
    """

    def __init__(
        self,
        *,
        events: Events,
        store: Store,
        repository: Repository,
        standings: Standings,
        built: Mapping[str, Collection[str]],
        after: timedelta,
    ) -> None:
        self._events = events
        self._store = store
        self._repository = repository
        self._standings = standings
        self._built = built
        self._after = after

    def remind(self, now: datetime) -> int:
        """Record an event for each thing that somebody is to be reminded of; how many.

        Raises:
            StoreUnusable: the store does not answer.
        """
        ages = _Ages(self._events, now)
        if ages.is_within(self._events.newest(kinds=REMINDERS, limit=1), min(PAUSE, self._after)):
            return 0
        told = [*self._failing(ages), *self._held_back(ages)]
        if told:
            self._events.record(told, now)
        return len(told)

    def _failing(self, ages: _Ages) -> Iterator[NewEvent]:
        by_package: dict[str, list[_Streak]] = defaultdict(list)
        for target, packages in self._built.items():
            for name in self._store.failing(target):
                streak = self._streak(name, target) if name in packages else None
                if streak is not None and ages.of(streak.first) >= self._after:
                    by_package[name].append(streak)
        for name, streaks in sorted(by_package.items()):
            last = self._events.newest(package=name, kinds=[EventKind.STILL_FAILING], limit=1)
            if not ages.is_within(last, self._after):
                yield from (_still_failing(name, streak, ages.of(streak.first)) for streak in streaks)

    def _streak(self, package: str, target: str) -> _Streak | None:
        """How a package fails on a target; None where its last good build was followed by errors alone."""

        def newest(kinds: Collection[EventKind], limit: int = 1) -> Sequence[Event]:
            return self._events.newest(package=package, target=target, kinds=kinds, limit=limit)

        last = newest((*GOOD, *BAD))
        if not last or last[0].kind in GOOD:
            return None
        first = newest((*GOOD, EventKind.FAILED))
        # What failed before there were events has no first failure among them.
        begun = first[0] if first and first[0].kind is EventKind.FAILED else newest(BAD, LOOKED_BACK)[-1]
        return _Streak(target=target, first=begun, last=last[0])

    def _held_back(self, ages: _Ages) -> Iterator[NewEvent]:
        for target in sorted(self._built):
            pointed = self._repository.pointers(target)
            for pointer in sorted({CONSISTENT, *(name for name in pointed if name.startswith(CONSISTENT))}):
                holding = self._standings.holding(target, pointer)
                is_behind = pointed.get(pointer) != pointed.get(CURRENT)
                if holding and is_behind and self._is_due(target, pointer, ages):
                    yield self._pointer_held_back(target, pointer, pointed.get(pointer), holding)

    def _is_due(self, target: str, pointer: str, ages: _Ages) -> bool:
        """Whether a pointer did not follow what was published long ago, and nobody was told of that lately."""
        if not self._stands_still(target, pointer, ages):
            return False
        told = self._events.newest(target=target, kinds=[EventKind.POINTER_HELD_BACK], limit=PAGE)
        return not ages.is_within([event for event in told if event.detail.get("pointer") == pointer][:1], self._after)

    def _stands_still(self, target: str, pointer: str, ages: _Ages) -> bool:
        """Whether `current` moved on long ago, and the pointer has not moved since."""
        before = None
        while moves := self._events.newest(target=target, kinds=[EventKind.POINTER_MOVED], before=before, limit=PAGE):
            for event in moves:
                moved = event.detail.get("pointer")
                if moved == pointer:
                    return False
                if moved == CURRENT and ages.of(event) >= self._after:
                    return True
            before = moves[-1].number
        return False

    def _pointer_held_back(self, target: str, pointer: str, commit: str | None, holding: Sequence[str]) -> NewEvent:
        seconds = int(self._after.total_seconds())
        more = f" and {len(holding) - MOST_NAMED} more" if len(holding) > MOST_NAMED else ""
        return NewEvent(
            kind=EventKind.POINTER_HELD_BACK,
            summary=f"{pointer} of {target} has not followed what is published for more than {told_seconds(seconds)}: "
            f"the latest build of {', '.join(holding[:MOST_NAMED])}{more} did not succeed",
            target=target,
            detail={
                "pointer": pointer,
                "commit": commit,
                "seconds": seconds,
                "count": len(holding),
                "packages": list(holding[:MOST_TOLD]),
            },
        )


class _Ages:
    """How long ago events happened. By how much the clock was set on or back since counts for nothing.

    Args:
        events: what happened, jumps of the clock included.
        now: the time.
    """

    def __init__(self, events: Events, now: datetime) -> None:
        self._now = now
        self._jumps = [
            (event.number, timedelta(seconds=seconds))
            for event in events.newest(kinds=[EventKind.CLOCK_JUMPED], limit=MOST_JUMPS)
            if isinstance(seconds := event.detail.get("seconds"), int | float)
        ]

    def of(self, event: Event) -> timedelta:
        """How long ago an event happened; negative where the clock was set back, and nobody saw it."""
        jumped = (by for number, by in self._jumps if number > event.number)
        return self._now - event.at - sum(jumped, timedelta())

    def is_within(self, events: Sequence[Event], time: timedelta) -> bool:
        """Whether the first of these events is not that old; not where it is from the future: that is not known."""
        return bool(events) and timedelta() <= self.of(events[0]) < time


def _still_failing(package: str, streak: _Streak, age: timedelta) -> NewEvent:
    detail = {
        "attempt": streak.last.detail.get("attempt"),
        "since": streak.first.at.isoformat(),
        "seconds": int(age.total_seconds()),
    }
    return NewEvent(
        kind=EventKind.STILL_FAILING,
        summary=f"{package} has failed on {streak.target} for {told_seconds(int(age.total_seconds()))}",
        package=package,
        target=streak.target,
        build=streak.last.build,
        detail=detail,
    )
