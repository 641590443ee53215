"""How everything stands, in memory: what a front page shows at once, without a question for each cell."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Annotated, cast

from fastapi import Depends, Request

from conveyor.documents.builds import build_as_json
from conveyor.documents.text import compact
from conveyor.model.build import Build, State
from conveyor.model.queue import QueueItem
from conveyor.pipeline.explaining.queueview import Glance
from conveyor.pipeline.flakiness import flaky
from conveyor.pipeline.pointing.standings import Standing
from conveyor.ports import Events, Ledger, Lookup, Queue
from conveyor.web.site import Here, Site
from conveyor.wiring import make_queue_view

# Seconds after which pointers are looked at anew though nothing was recorded: an age that a promotion waits for passes.
STANDINGS_AFTER = 10.0
_EVENTS_AT_ONCE = 1_000
Place = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A package on a target.

    Attributes:
        newest: the trunk's build that was made last.
        judged: the last one that succeeded, failed or errored; None where there is none yet. It is another one than
            the newest while that waits or runs, or where that was cancelled or superseded.
        flaky: whether the newest had another outcome for the same input.
    """

    newest: Build
    judged: Build | None
    flaky: bool

    @property
    def shown(self) -> Build:
        """The build whose outcome says how the package stands."""
        return self.judged or self.newest

    @cached_property
    def document(self) -> str:
        """The newest build as documents have it: made once, as none of it ever changes."""
        return compact(build_as_json(self.newest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How everything stood at a moment.

    Attributes:
        number: of the last change of the queue that is in it.
        event: number of the last event that is in it.
        cells: what was built, by package and target, of what repos.yaml has, in its order.
        counts: by target, how many packages stand so: by the outcome of the build that is shown, or its state.
        waiting: by target, how many builds wait.
        queue: what runs, with its stages, how many wait in all, and whether a daemon runs.
        standings: where pointers stand, and what holds them back.
    """

    number: int
    event: int
    cells: Mapping[Place, Cell]
    counts: Mapping[str, Mapping[str, int]]
    waiting: Mapping[str, int]
    queue: Glance
    standings: tuple[Standing, ...]

    @property
    def flaky(self) -> frozenset[int]:
        """Numbers of the newest builds that are flaky."""
        return frozenset(cell.newest.id for cell in self.cells.values() if cell.flaky)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was read: replaced as a whole."""

    number: int = 0
    event: int = 0
    cells: Mapping[Place, Cell] = field(default_factory=dict)
    unfinished: Mapping[int, QueueItem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """What is made of what was read, for what repos.yaml has."""

    known: _Known
    site: Site
    cells: Mapping[Place, Cell]
    counts: Mapping[str, Mapping[str, int]]
    waiting: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pointers:
    """Where pointers stood when this was so."""

    of: tuple[object, ...]
    at: float
    standings: tuple[Standing, ...]


class Overview:
    """Knows how everything stands. Threads may ask at once; to ask costs what has changed since somebody asked.

    Args:
        lookup: finds builds.
        queue: tells what changed.
        events: tell what changed otherwise: what was published.
        ledger: tells which pointers moved.
        monotonic: a clock that nobody sets, in seconds.
    """

    def __init__(
        self,
        lookup: Lookup,
        queue: Queue,
        events: Events,
        ledger: Ledger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._queue = queue
        self._events = events
        self._ledger = ledger
        self._monotonic = monotonic
        self._lock = Lock()
        self._standing = Lock()
        self._known = _Known()
        self._grid: _Grid | None = None
        self._pointers: _Pointers | None = None

    def look(self, site: Site) -> Look:
        """How everything stands now."""
        known = self.refresh()
        grid = self._grid
        if grid is None or grid.known is not known or grid.site is not site:
            grid = self._grid = _grid(known, site)
        return Look(
            number=known.number,
            event=known.event,
            cells=grid.cells,
            counts=grid.counts,
            waiting=grid.waiting,
            queue=make_queue_view(site.settings, site.repos, site.conveyor.records).glance(),
            standings=self.standings(site, known),
        )

    def refresh(self) -> _Known:
        """Read what has changed, and tell what is known then."""
        with self._lock:
            changes = self._queue.changes(self._known.number)
            if changes.number < self._known.number:  # the store was put back from a backup
                self._known = _Known()
                changes = self._queue.changes(0)
            known = self._known
            told = self._told(known) if known.number else self._newest_event()
            of = {item.build for item in changes.items}
            of |= {build for _, build in told if build is not None}
            if known.number and changes.number == known.number and not told:
                return known
            unfinished = dict(known.unfinished)
            for item in changes.items:
                unfinished.pop(item.build, None)
                if item.state is not State.FINISHED:
                    unfinished[item.build] = item
            self._known = _Known(
                number=changes.number,
                event=max([known.event, *(number for number, _ in told)]),
                cells={**known.cells, **self._cells(of if known.number else None)},
                unfinished=unfinished,
            )
            return self._known

    def standings(self, site: Site, known: _Known) -> tuple[Standing, ...]:
        """Where pointers stand."""
        newest = self._ledger.entries(limit=1)
        of = (known.number, known.event, newest[0].number if newest else 0, site.repos)
        with self._standing:
            pointers, now = self._pointers, self._monotonic()
            if pointers is None or pointers.of != of or now - pointers.at >= STANDINGS_AFTER:
                standings = site.desk.standings.of(tuple(site.repos.targets))
                pointers = self._pointers = _Pointers(of=of, at=now, standings=standings)
            return pointers.standings

    def _told(self, known: _Known) -> list[tuple[int, int | None]]:
        """The numbers of events since, each with its build."""
        found: list[tuple[int, int | None]] = []
        while True:
            events = self._events.after(found[-1][0] if found else known.event, limit=_EVENTS_AT_ONCE)
            found += [(event.number, event.build) for event in events]
            if len(events) < _EVENTS_AT_ONCE:
                return found

    def _newest_event(self) -> list[tuple[int, int | None]]:
        return [(event.number, None) for event in self._events.newest(limit=1)]

    def _cells(self, of: set[int] | None) -> Mapping[Place, Cell]:
        if of is not None and not of:
            return {}
        latest = self._lookup.latest(of)
        attempts = self._lookup.attempts([each.newest.id for each in latest if each.newest.attempt > 1])
        return {
            (each.newest.commit.package, each.newest.target): Cell(
                newest=each.newest,
                judged=each.judged,
                flaky=flaky(attempts.get(each.newest.id, ())) is not None,
            )
            for each in latest
        }


def _grid(known: _Known, site: Site) -> _Grid:
    places = [(name, target) for name, package in site.repos.packages.items() for target in package.targets]
    cells = {place: known.cells[place] for place in places if place in known.cells}
    waits = (item for item in known.unfinished.values() if item.state is State.QUEUED)
    return _Grid(
        known=known,
        site=site,
        cells=cells,
        counts=_counts(cells, tuple(site.repos.targets)),
        waiting=Counter(item.target for item in waits),
    )


def _counts(cells: Mapping[Place, Cell], targets: tuple[str, ...]) -> Mapping[str, Mapping[str, int]]:
    counts: dict[str, Counter[str]] = {target: Counter() for target in targets}
    for (_, target), cell in cells.items():
        counts[target][cell.shown.outcome or cell.shown.state] += 1
    return counts


def _overview(request: Request, site: Here) -> Look:
    return cast(Overview, request.app.state.overview).look(site)


# What a route takes that shows how everything stands.
Looked = Annotated[Look, Depends(_overview)]
