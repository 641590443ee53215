"""Builds of commits that are ordered from afar. Whoever orders fetches nothing: the daemon finds the commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from conveyor.errors import (
    ConveyorError,
    DiskFailed,
    DiskFull,
    NotPossible,
    StoreUnusable,
    UnknownName,
    UserError,
)
from conveyor.model.build import Build, Cause, Outcome, State
from conveyor.model.commit import Commit
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.order import NewOrder, Order
from conveyor.model.package import Package
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.target import Target
from conveyor.pipeline.attempt import cause_of_error
from conveyor.pipeline.finding import Finding
from conveyor.pipeline.poll import Wanted
from conveyor.ports import Clock, OrderBook, Queue, Store

# What is not the order's: it waits until that is over.
OURS = (StoreUnusable, DiskFull, DiskFailed)
# For how long it is known what became of an order.
KEPT = timedelta(days=30)
LONGEST_REVISION = 200
PATIENCE = 1.0


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

    Orders of one package are carried out one after the other, those of different packages at once. Killed at any
    point, it does what is left when it is called again, and nothing twice. One thread at a time may use it.

    Args:
        book: what was ordered.
        finding: finds commits.
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
        finding: Finding,
        store: Store,
        queue: Queue,
        packages: Mapping[str, Package],
        targets: Mapping[str, Target],
        clock: Clock,
    ) -> None:
        self._book = book
        self._finding = finding
        self._store = store
        self._queue = queue
        self._packages = packages
        self._targets = targets
        self._clock = clock
        self._begun: dict[str, Order] = {}  # whose commits are looked for, by package

    def take(self, patience: float | None = PATIENCE) -> int:
        """Carry out what waits, each order as soon as its commit is found; how many orders are settled now.

        Args:
            patience: seconds to wait for commits; what takes longer goes on, for the next call. None to wait for all.

        Raises:
            StoreUnusable, DiskFull, DiskFailed: some cannot be carried out now; they wait.
        """
        left = {order.number: order for order in self._book.waiting()}
        troubles: list[BaseException] = []
        settled = self._begin(left)
        for found in self._finding.ended(patience):
            order = self._begun.pop(found.package)
            left.pop(order.number, None)
            if isinstance(found.commit, OURS):
                troubles.append(found.commit)
            else:
                settled += self._settle(order, found.commit, troubles)
            settled += self._begin(left)
        if settled:
            self._book.forget(self._now() - KEPT)
        if troubles:
            raise troubles[0]
        return settled

    def close(self) -> None:
        """Look for nothing any more; what is left waits."""
        self._finding.close()

    def _begin(self, left: dict[int, Order]) -> int:
        """Look for the commit of each package's oldest order; how many orders were settled because they cannot be."""
        refused = 0
        for order in [*left.values()]:
            wanted = order.wanted
            if self._finding.looks_for(wanted.package):
                continue
            try:
                package = self._configured(wanted)
            except UnknownName as error:
                del left[order.number]
                refused += self._settle(order, error, [])
            else:
                self._begun[package.name] = order
                self._finding.begin(package, Wanted(revision=wanted.revision or None))
        return refused

    def _settle(self, order: Order, found: Commit | BaseException, troubles: list[BaseException]) -> int:
        """Say what becomes of an order; what is a defect is added to the troubles, and ends the order too."""
        cause: Cause | None = None
        builds: tuple[int, ...] = ()
        match found:
            case Commit():
                builds = self._builds(order.wanted, found)
            case ConveyorError():
                cause = cause_of_error(found)
            case _:
                troubles.append(found)
                what = f"the commit of {order.wanted.package} cannot be looked for"
                cause = cause_of_error(ConveyorError(what, cause="a defect of Conveyor, which the daemon's log tells"))
        self._book.settle(order.number, self._now(), builds=builds, cause=cause)
        return 1

    def _configured(self, wanted: NewOrder) -> Package:
        """The package that is wanted, which with its targets may have gone from repos.yaml since."""
        package = self._packages.get(wanted.package)
        if package is None:
            raise UnknownName(f"there is no package {wanted.package!r} any more", hint="see repos.yaml")
        for name in wanted.targets or package.targets:
            if name not in self._targets:
                raise UnknownName(f"there is no target {name!r} any more", hint="see repos.yaml")
        return package

    def _builds(self, wanted: NewOrder, commit: Commit) -> tuple[int, ...]:
        targets = wanted.targets or self._packages[wanted.package].targets
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
