"""The queue, durably, and what polls know. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from conveyor.model.build import Build, Cause
from conveyor.model.event import Event, EventKind, NewEvent
from conveyor.model.lease import Lease
from conveyor.model.order import NewOrder, Order
from conveyor.model.queue import Change, Pause, Priority, QueueChanges, QueueSize, Reason, Relations, Scope
from conveyor.model.watch import Head, Poke, Remote, Side, Tags


class Queue(Protocol):
    """What waits for a worker. Builds are claimed and finished through `Store`."""

    def apply(self, change: Change, at: datetime) -> tuple[int, ...]:
        """Record what a poll found: all or nothing. The numbers of the builds made, in order.

        A commit that has a build for the target keeps it as it is; its number is left out. What is to be cancelled and
        still waits is superseded. To apply the same change again records its events again and nothing else.
        """

    def changes(self, since: int) -> QueueChanges:
        """What changed in the queue after the change `since`: builds queued, claimed, ended, put elsewhere.

        Builds of working copies are left out: only the command that was given one builds it. A pause and its end change
        no build, and raise the number. A build that has ended may be in the answer more than once over time.

        0 gives all builds that are queued or running, and none that has ended. So does a number that was not reached
        yet: the store was put back from a backup, and what was known of it is of a time that never was.
        """

    def retry(self, build_id: int, reason: Reason, priority: Priority, at: datetime) -> Build:
        """Put a finished build into the queue once more, its errors forgotten.

        Raises:
            UnknownName: there is no such build.
            NotPossible: it succeeded, or has not ended.
        """

    def again(self, build_id: int, not_before: datetime, at: datetime) -> Build | None:
        """Put an errored build back into the queue, to wait for a moment; None when it is not errored (any more).

        The kind of its reason becomes a retry; the rest of its reason, its priority and its errors stay.
        """

    def put_back(self, build_id: int, token: str, at: datetime) -> None:
        """Give a claimed build back, as if it had not been claimed: the attempt is cancelled and counts as no error.

        It waits again, unless it is to be cancelled: then it ends so.

        Raises:
            ClaimLost: the claim with this token is not alive.
        """

    def errored(self) -> tuple[Build, ...]:
        """Builds of trunk commits whose last attempt errored, that are not queued; the oldest first."""

    def give_up(self, build_id: int, at: datetime) -> None:
        """An errored build stays as it is until somebody asks for it: `errored` leaves it out from now on.

        An event tells that it was given up, and comes with it.
        """

    def cancel(self, build_id: int, actor: str, at: datetime) -> Build:
        """Cancel a build: at once while it waits; while it runs, `cancelling` has it until it has ended.

        For one that waits an event comes with it; the end of one that runs is told by who ends it. One that errors
        instead is given up, and one whose worker is lost does not wait again.

        Raises:
            UnknownName: there is no such build.
            NotPossible: it has ended.
        """

    def cancelling(self) -> tuple[Build, ...]:
        """Running builds that are to be cancelled."""

    def prioritize(self, build_id: int, priority: Priority, actor: str, at: datetime) -> Build:
        """Give a waiting build another priority; an event comes with it.

        Raises:
            UnknownName: there is no such build.
            NotPossible: it does not wait.
        """

    def forget_waits(self, latest: datetime) -> None:
        """Let no build wait for a later moment than this: after the clock was set back."""

    def pause(self, pause: Pause) -> bool:
        """Take no build from a part of the queue any more, with an event; False where it is paused already."""

    def resume(self, scope: Scope, actor: str, at: datetime) -> bool:
        """Take builds from it again, with an event; False where it is not paused."""

    def pauses(self) -> tuple[Pause, ...]:
        """What is paused, the oldest first."""

    def sizes(self) -> tuple[QueueSize, ...]:
        """How many builds of trunk commits wait and run, by target and state, sorted; none where there is none."""

    def relations(self, target: str) -> Mapping[str, Relations]:
        """What packages declare for a target, by the package's name, as last recorded."""

    def set_relations(self, target: str, package: str, relations: Relations) -> None:
        """Record what a package declares for a target."""


class Watch(Protocol):
    """What polls know."""

    def heads(self, package: str | None = None) -> Mapping[tuple[str, Side], Head]:
        """What was last seen of each package, or of one, by its name and side."""

    def tags(self, packages: Collection[str]) -> Mapping[str, Tags]:
        """The version tags that were last seen of packages, by the package's name, of those with a head upstream."""

    def remotes(self, urls: Collection[str] | None = None) -> Mapping[str, Remote]:
        """How polling goes, by URL: of all repositories, or of a few."""

    def last_polled(self, urls: Collection[str]) -> datetime | None:
        """When any of these repositories was last asked; None for never."""

    def polled(self, remotes: Collection[Remote]) -> None:
        """Record how polls went."""

    def poke(self, packages: Sequence[str], actor: str, at: datetime) -> None:
        """Ask for packages to be polled now."""

    def pokes(self) -> tuple[Poke, ...]:
        """What is asked for, the oldest first, each package once."""

    def poked(self, pokes: Collection[Poke]) -> None:
        """These were answered. Another poke of the same package stays."""

    def forget(self, packages: Collection[str], urls: Collection[str]) -> None:
        """Forget packages that are followed no more, and repositories that nobody needs. Their builds stay."""


class OrderBook(Protocol):
    """What is ordered from afar, and what became of it. The daemon settles it."""

    def add(self, new: NewOrder) -> Order:
        """Write an order down; it waits."""

    def order(self, number: int) -> Order:
        """An order.

        Raises:
            UnknownName: there is none, or none any more.
        """

    def waiting(self, package: str | None = None) -> tuple[Order, ...]:
        """Orders that wait, the oldest first; only a package's, if one is named."""

    def settle(self, number: int, at: datetime, *, builds: Sequence[int] = (), cause: Cause | None = None) -> None:
        """Say what became of an order that waits; one that is settled stays as it is.

        Args:
            number: the order's.
            at: now.
            builds: numbers of its builds.
            cause: why there are none; None where there are.
        """

    def forget(self, before: datetime) -> None:
        """Forget what was settled before."""


class Events(Protocol):
    """What happened, in order. Only ever added to."""

    def record(self, events: Sequence[NewEvent], at: datetime) -> tuple[Event, ...]:
        """Add events."""

    def after(self, number: int, *, limit: int = 500) -> tuple[Event, ...]:
        """Events with a higher number, the oldest first."""

    def newest(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        build: int | None = None,
        kinds: Collection[EventKind] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[Event, ...]:
        """Events, the newest first.

        Args:
            package: leaves out those about other packages; None for all.
            target: leaves out those about other targets; None for all.
            build: leaves out those about other builds; None for all.
            kinds: leaves out all others; empty for all.
            before: leaves out those with this number and higher ones.
            limit: how many at most.
        """


class Leases(Protocol):
    """Rights to act alone."""

    def take(self, lease: Lease, *, lost_after: float) -> Lease:
        """Take a right that nobody has, or whose holder was not heard of for `lost_after` seconds.

        A holder that was last heard of in the future, by the taker's clock, keeps it: better nobody acts than two.
        Returns the lease of who holds it now: the given one where it was taken.
        """

    def renew(self, name: str, token: str, at: datetime) -> bool:
        """Say that the holder is alive; False when the right was lost."""

    def release(self, name: str, token: str) -> None:
        """Give it back; nothing happens when it was lost."""

    def holder(self, name: str) -> Lease | None:
        """Who holds it; None for nobody."""
