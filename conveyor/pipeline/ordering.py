"""Builds of commits that are ordered from afar. Whoever orders fetches nothing: the daemon finds the commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from conveyor.errors import (
    ConveyorError,
    DiskFailed,
    DiskFull,
    Interrupted,
    NotPossible,
    StoreUnusable,
    UnknownName,
    UserError,
)
from conveyor.model.build import Build, Outcome, State
from conveyor.model.commit import Commit
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.order import NewOrder, Order
from conveyor.model.package import Package
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.target import Target
from conveyor.pipeline.attempt import cause_of_error
from conveyor.pipeline.poll import Poll, Wanted
from conveyor.ports import Clock, OrderBook, Queue, Store

# What is not the order's: it waits until that is over.
OURS = (Interrupted, StoreUnusable, DiskFull, DiskFailed)
# For how long it is known what became of an order.
KEPT = timedelta(days=30)
LONGEST_REVISION = 200


def check_revision(revision: str) -> str:
    """A name that a commit may have; empty for the newest one.

    Raises:
        UserError: it is none.
    """
    if len(revision) > LONGEST_REVISION or not revision.isprintable() or revision.startswith("-"):
        raise UserError("the commit is none that a repository could have", hint="name a branch, a tag or a sha")
    return revision


class Ordering:
    """Carries out what was ordered: finds the commits, and puts their builds into the queue.

    Killed at any point, it does what is left when it is called again, and nothing twice.

    Args:
        book: what was ordered.
        poll: finds commits.
        store: what was built.
        queue: takes builds.
        packages: the packages of repos.yaml, by name.
        targets: its targets, by name.
        clock: the time.
    """

    def __init__(
        self,
        *,
        book: OrderBook,
        poll: Poll,
        store: Store,
        queue: Queue,
        packages: Mapping[str, Package],
        targets: Mapping[str, Target],
        clock: Clock,
    ) -> None:
        self._book = book
        self._poll = poll
        self._store = store
        self._queue = queue
        self._packages = packages
        self._targets = targets
        self._clock = clock

    def take(self) -> int:
        """Carry out all that waits; how many orders that were.

        Raises:
            Interrupted: it was stopped; what is left waits.
            StoreUnusable, DiskFull, DiskFailed: it cannot be done now; what is left waits.
        """
        waiting = self._book.waiting()
        for order in waiting:
            self._take(order)
        if waiting:
            self._book.forget(self._now() - KEPT)
        return len(waiting)

    def _take(self, order: Order) -> None:
        try:
            builds = self._builds(order.wanted)
        except OURS:
            raise
        except ConveyorError as error:
            self._book.settle(order.number, self._now(), cause=cause_of_error(error))
        else:
            self._book.settle(order.number, self._now(), builds=builds)

    def _builds(self, wanted: NewOrder) -> tuple[int, ...]:
        package = self._packages.get(wanted.package)
        if package is None:
            raise UnknownName(f"there is no package {wanted.package!r} any more", hint="see repos.yaml")
        targets = wanted.targets or package.targets
        for name in targets:
            if name not in self._targets:
                raise UnknownName(f"there is no target {name!r} any more", hint="see repos.yaml")
        commit = self._poll.find(package, Wanted(revision=wanted.revision or None))
        return tuple(self._queued(commit, target, wanted.actor) for target in targets)

    def _queued(self, commit: Commit, target: str, actor: str) -> int:
        """The build of a commit, which waits, runs, or has succeeded."""
        reason = Reason(kind=ReasonKind.REQUESTED, detail=actor)
        known = self._known(commit, target)
        if known is None:
            new = NewBuild(commit=commit, target=target, priority=Priority.REQUEST, reason=reason)
            made = self._queue.apply(Change(builds=(new,), events=(_ordered(commit, target, actor),)), self._now())
            if made:
                return made[0]
            known = self._known(commit, target)
        if known is None:
            raise AssertionError("a commit that got no build has one")
        self._press(known, reason)
        return known.id

    def _press(self, known: Build, reason: Reason) -> None:
        """Have a build that is there already carried out, unless it succeeded or runs."""
        try:
            if known.state is State.FINISHED and known.outcome is not Outcome.SUCCEEDED:
                self._queue.retry(known.id, reason, Priority.REQUEST, self._now())
            elif known.state is State.QUEUED and self._store.reason(known.id)[0] > Priority.REQUEST:
                self._queue.prioritize(known.id, Priority.REQUEST, reason.detail, self._now())
        except NotPossible:
            # Somebody else was quicker: it waits or runs by now.
            return

    def _known(self, commit: Commit, target: str) -> Build | None:
        found = self._store.of_commit(commit.id)
        mine = (each for each in found if (each.target, each.commit.package) == (target, commit.package))
        return next((each for each in mine if each.commit.id == commit.id), None)

    def _now(self) -> datetime:
        return self._clock.now()


def _ordered(commit: Commit, target: str, actor: str) -> NewEvent:
    return NewEvent(
        kind=EventKind.QUEUED,
        summary=f"{commit.package} {commit.short} is built for {target}: {actor} wants it",
        package=commit.package,
        target=target,
        detail={"commit": commit.id, "actor": actor},
    )
