"""What people ask of a Conveyor, here or on another machine: the commands and the API say and do the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from conveyor.errors import ConveyorError
from conveyor.model.build import Build
from conveyor.model.event import Event, EventKind
from conveyor.model.manifest import ManifestPackage
from conveyor.model.notice import Notice
from conveyor.model.order import Order
from conveyor.model.promotion import LedgerEntry, Vote, VotesWanted
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Pause, Priority, Scope
from conveyor.model.why import Why
from conveyor.pipeline.controls import Cancelled, Rebuilt
from conveyor.pipeline.explaining.queueview import Glance, QueueState
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.keeping.mirror import MirrorStanding
from conveyor.pipeline.looking.travel import Difference, Listed, Then
from conveyor.pipeline.pointing.rollback import Wish
from conveyor.pipeline.pointing.standings import Standing
from conveyor.pipeline.pointing.voting import Ballot

# Where a snapshot is, as a URL.
UrlOf = Callable[[PublishedSnapshot], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How everything stands.

    Attributes:
        builds: the trunk's latest build of each package on each of its targets.
        flaky: numbers of those of them that had another outcome for the same input.
        copies: builds that are no part of the trunk, and newer than those.
        queue: what runs, and how many wait.
        standings: where pointers stand.
        mirrors: how mirrors stand.
        signed_by: fingerprint of the key that signs what is published; None where nothing is signed.
        unsigned: why nothing is signed, for people; empty where it is.
    """

    builds: tuple[Build, ...]
    flaky: frozenset[int]
    copies: tuple[Build, ...]
    queue: Glance
    standings: tuple[Standing, ...]
    mirrors: tuple[MirrorStanding, ...]
    signed_by: str | None
    unsigned: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A snapshot that is there, what it holds, and how a client uses it.

    Attributes:
        snapshot: the snapshot.
        pointers: names of the pointers that point at it now, sorted.
        packages: what it holds, by name.
        lines: shell lines that make a client stay at it.
        follow: those that make it follow the pointer that was named; None where none was.
    """

    snapshot: PublishedSnapshot
    pointers: tuple[str, ...]
    packages: tuple[ManifestPackage, ...]
    lines: str
    follow: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What is to be promoted.

    Attributes:
        commit: as `find_commit` takes it.
        name: the promotion's name.
        targets: names of targets; none for those of the promotion.
        actor: who asks.
        note: a person's words.
        keep: whether retention keeps the snapshots for ever.
    """

    commit: str
    name: str
    targets: tuple[str, ...]
    actor: str
    note: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build, and where what it made is.

    Attributes:
        build: the build.
        repository: URL of its snapshot; empty where there is none, or none any more.
    """

    build: Build
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order, and how the builds stand that it is carried out with.

    Attributes:
        order: the order.
        builds: its builds, in the order of its targets; none while it waits, or where it was refused.
        daemon: whether a daemon runs, which carries it out.
    """

    order: Order
    builds: tuple[Built, ...]
    daemon: DaemonState


class Desk(Protocol):
    """Answers, and does what it is asked to. Names that are none raise UnknownName, what fails its own errors.

    Whoever acts is named `actor`; on another machine the token says who that is.
    """

    def url(self, snapshot: PublishedSnapshot) -> str:
        """Where a snapshot is."""

    def status(self, package: str | None) -> Status:
        """How everything stands; of builds only a package's, if one is named."""

    def why(self, name: str, package: str | None) -> Why:
        """Why something is as it is."""

    def queue(self, package: str | None, target: str | None, limit: int) -> QueueState:
        """The queue; of a package, for a target or both. Of what waits at most `limit`."""

    def events(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], limit: int
    ) -> tuple[Event, ...]:
        """What happened, the newest first."""

    def follow(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], after: int
    ) -> Iterator[Event]:
        """What happens after an event, as it happens; it has no end."""

    def ledger(self, target: str | None, pointer: str | None, limit: int) -> tuple[LedgerEntry, ...]:
        """What moved pointers, the newest first."""

    def verify_ledger(self, expect: str | None) -> LedgerEntry | None:
        """Check the ledger; its last entry, None where it has none."""

    def votes(self, commit: str, target: str | None) -> tuple[str, tuple[Vote, ...]]:
        """The id of a published commit, and what tests said of it, oldest first."""

    def newest_votes(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        """Votes on commits that were published for a target, the latest first."""

    def snapshots(self, target: str | None, package: str | None, limit: int) -> tuple[Listed, ...]:
        """Snapshots, of each target the one published last first, at most `limit` of each."""

    def snapshot(self, named: str, target: str | None) -> Shown:
        """What a snapshot holds."""

    def places(
        self, target: str | None, at: datetime, pointer: str
    ) -> tuple[tuple[Then, ...], tuple[ConveyorError, ...]]:
        """Where a pointer was on targets at a time; and why it was nowhere on others."""

    def notices(self, limit: int) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
        """What is still to be told; and what was not in the end, at most `limit`."""

    def difference(self, before: str, after: str, target: str | None) -> Difference:
        """What differs between two snapshots of a target."""

    def daemon(self) -> DaemonState:
        """Whether a daemon runs, which does what is asked for."""

    def unfinished(self, package: str, target: str | None, *, waiting: bool) -> tuple[int, ...]:
        """Numbers of a package's builds that wait or run, the oldest first."""

    def cancel(self, build: int, actor: str) -> Cancelled:
        """Cancel a build."""

    def retry(self, asked: str, target: str | None, actor: str) -> tuple[Build, ...]:
        """Try what did not succeed again: a build, or a package's latest ones."""

    def rebuild(self, asked: str, target: str | None, actor: str) -> tuple[Rebuilt, ...]:
        """Build something good anew: a build, or a package's newest good ones."""

    def order(self, package: str, revision: str, targets: Sequence[str], actor: str) -> Ordered:
        """Order a build of a commit, which the daemon finds.

        Args:
            package: the package's name.
            revision: branch, tag or sha; empty for the newest commit of the followed branch.
            targets: names of targets; empty for the package's own.
            actor: who asks.
        """

    def ordered(self, number: int) -> Ordered:
        """What has become of an order."""

    def prioritize(self, build: int, priority: Priority, actor: str) -> Build:
        """Give a waiting build another priority."""

    def pause(self, scope: Scope, note: str, actor: str) -> tuple[Pause, bool]:
        """Take no builds from a part of the queue: what holds it now, and whether that is this pause."""

    def resume(self, scope: Scope, actor: str) -> tuple[bool, tuple[Pause, ...]]:
        """Take builds from it again: whether it was paused, and what is paused still."""

    def poll(self, packages: Sequence[str] | None, actor: str) -> tuple[str, ...]:
        """Have packages polled now; None for all. Their names."""

    def vote(self, ballot: Ballot) -> tuple[Vote, tuple[ConveyorError, ...]]:
        """Take a vote; what kept promotions that wait for it from moving."""

    def plan(self, promotion: Promotion) -> Mapping[str, tuple[str | None, str]]:
        """Where a promotion would lead from and to, by target; nothing is moved."""

    def promote(self, promotion: Promotion) -> tuple[LedgerEntry, ...]:
        """Move a promotion; what the ledger has of it."""

    def rollback(self, wish: Wish) -> tuple[tuple[LedgerEntry, ...], tuple[ConveyorError, ...]]:
        """Move a pointer back: what the ledger has of it; and what could not be cleared up before."""
