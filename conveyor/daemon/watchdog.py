"""Notices when nothing is polled, built or published for too long although it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conveyor.model.build import State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import Pause, QueueItem, ScopeKind
from conveyor.pipeline.pointing.evidence import told_seconds
from conveyor.ports import Events, Queue, Store, Watch

BUILDING = (
    EventKind.STARTED,
    EventKind.SUCCEEDED,
    EventKind.WORKS_AGAIN,
    EventKind.FAILED,
    EventKind.FAILED_AGAIN,
    EventKind.ERRORED,
    EventKind.CANCELLED,
    EventKind.SUPERSEDED,
)
LOOKED_BACK = 50


class Work(StrEnum):
    """What can stand still."""

    POLLING = "polling"
    BUILDING = "building"
    PUBLISHING = "publishing"


TOLD = {
    Work.POLLING: ("no repository has answered", "repositories answer again"),
    Work.BUILDING: ("no build has begun or ended, though some wait", "builds go on"),
    Work.PUBLISHING: ("nothing was published, though good builds wait for it", "what waited was published"),
}


@dataclass(slots=True)
class _Seen:
    """What was seen of a kind of work.

    Attributes:
        mark: what changes when it goes on.
        since: since when it has not, in monotonic seconds.
        stale: whether that was said.
    """

    mark: object
    since: float
    stale: bool


class Watchdog:
    """Looks whether work goes on. Time is measured by a clock that nobody sets, so that a jump alarms nobody.

    Args:
        queue: what waits.
        watch: how polling goes.
        events: what happened.
        store: what waits to be published.
        stale_after: seconds without a sign of life after which work counts as standing still.
        polls: whether the daemon polls.
        monotonic: the clock.

    Attributes:
        stale_after: may be set to another time.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        watch: Watch,
        events: Events,
        store: Store,
        stale_after: float,
        polls: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._watch = watch
        self._events = events
        self._store = store
        self.stale_after = stale_after
        self._polls = polls
        self._monotonic = monotonic
        self._seen: dict[Work, _Seen] = {}
        self._stale = self._said_before()

    @property
    def stale(self) -> frozenset[Work]:
        """What stands still, as of the last look."""
        return self._stale

    def look(self, now: datetime) -> frozenset[Work]:
        """Look, and record an event for what has come to a standstill since the last look, or goes on again.

        Raises:
            StoreUnusable: the store does not answer.
        """
        told = [event for work in Work if (event := self._look(work, now)) is not None]
        if told:
            self._events.record(told, now)
        self._stale = frozenset(work for work, seen in self._seen.items() if seen.stale)
        return self._stale

    def _look(self, work: Work, now: datetime) -> NewEvent | None:
        mark = self._mark(work)
        seen = self._seen.get(work)
        if seen is None:
            seen = self._seen[work] = _Seen(mark, self._monotonic(), work in self._stale)
        waited = self._monotonic() - seen.since
        if mark is None or mark != seen.mark:
            was_stale = seen.stale
            self._seen[work] = _Seen(mark, self._monotonic(), stale=False)
            return _event(work, EventKind.STALE_NO_MORE, waited) if was_stale else None
        if seen.stale or waited <= self.stale_after or not self._should(work, now):
            return None
        seen.stale = True
        return _event(work, EventKind.STALE, waited)

    def _mark(self, work: Work) -> object:
        """What changes when work goes on; None where there is none to do."""
        match work:
            case Work.POLLING:
                remotes = self._watch.remotes().values() if self._polls else ()
                answers = [remote.answered_at for remote in remotes if remote.answered_at is not None]
                return max(answers, default="never") if remotes else None
            case Work.BUILDING:
                return self._last(*BUILDING) if self._queue.sizes() else None
            case Work.PUBLISHING:
                return self._last(EventKind.PUBLISHED) if self._store.unpublished() else None

    def _last(self, *kinds: EventKind) -> int:
        newest = self._events.newest(kinds=kinds, limit=1)
        return newest[0].number if newest else 0

    def _should(self, work: Work, now: datetime) -> bool:
        """Whether work is to be done after all: builds may be paused, or wait for a moment."""
        if work is not Work.BUILDING:
            return True
        pauses = self._queue.pauses()
        return any(_may_begin(item, pauses, now) for item in self._queue.changes(0).items)

    def _said_before(self) -> frozenset[Work]:
        """What an earlier daemon said that it stands still, and not that it goes on."""
        newest = self._events.newest(kinds=(EventKind.STALE, EventKind.STALE_NO_MORE), limit=LOOKED_BACK)
        last = {str(event.detail.get("work")): event.kind for event in reversed(newest)}
        return frozenset(work for work in Work if last.get(work) is EventKind.STALE)


def _may_begin(item: QueueItem, pauses: tuple[Pause, ...], now: datetime) -> bool:
    if item.state is not State.QUEUED:
        return True
    held = {(pause.scope.kind, pause.scope.name) for pause in pauses}
    scopes = {(ScopeKind.ALL, ""), (ScopeKind.TARGET, item.target), (ScopeKind.PACKAGE, item.package)}
    return not held & scopes and (item.not_before is None or item.not_before <= now)


def _event(work: Work, kind: EventKind, waited: float) -> NewEvent:
    standing, going = TOLD[work]
    how_long = told_seconds(int(waited))
    summary = f"{standing} for {how_long}" if kind is EventKind.STALE else going
    return NewEvent(kind=kind, summary=summary, detail={"work": work, "seconds": round(waited)})
