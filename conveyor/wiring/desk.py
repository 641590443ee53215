"""What people ask of a Conveyor, answered from the store and the published tree of this site."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError, UnknownName, UserError
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Build
from conveyor.model.event import Event, EventKind
from conveyor.model.notice import Notice
from conveyor.model.order import NewOrder, Order
from conveyor.model.promotion import LedgerEntry, Vote, VotesWanted
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Pause, Priority, Scope, ScopeKind
from conveyor.model.why import Why
from conveyor.pipeline.controls import Cancelled, Controls, Rebuilt
from conveyor.pipeline.desk import Built, Ordered, Promotion, Shown, Status
from conveyor.pipeline.explaining.queueview import QueueState
from conveyor.pipeline.explaining.why import Explainer
from conveyor.pipeline.flakiness import flaky
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.keeping.mirror import MirrorStanding
from conveyor.pipeline.looking.travel import Difference, Listed, Then, Travel
from conveyor.pipeline.ordering import check_revision
from conveyor.pipeline.pointing.promote import Asked, check_name
from conveyor.pipeline.pointing.rollback import Wish
from conveyor.pipeline.pointing.standings import Standings
from conveyor.pipeline.pointing.verify_ledger import check_head, verify_ledger
from conveyor.pipeline.pointing.voting import Ballot
from conveyor.repository.names import shard
from conveyor.wiring.conveyor import Conveyor, Records
from conveyor.wiring.explaining import make_controls, make_explainer, make_queue_view
from conveyor.wiring.mirroring import make_mirroring
from conveyor.wiring.promotions import make_standings, make_voting
from conveyor.wiring.signing import unsigned_note
from conveyor.wiring.travel import make_travel

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# How many of the newest builds are looked through for those that are no part of the trunk.
LOOKED_AT = 500
FOLLOW_SECONDS = 0.5
READ_AT_ONCE = 500


class LocalDesk:
    """See `conveyor.pipeline.desk.Desk`.

    Args:
        settings: the site's settings.
        repos: packages and targets.
        records: what was recorded.
        conveyor: opens what moves pointers and takes votes; the caller closes it.
    """

    def __init__(self, settings: Settings, repos: Repos, records: Records, conveyor: Callable[[], Conveyor]) -> None:
        self._settings = settings
        self._repos = repos
        self._records = records
        self._conveyor = conveyor

    @cached_property
    def standings(self) -> Standings:
        """What tells where pointers stand. It remembers what snapshots hold, which never changes."""
        return make_standings(self._records, self._repos)

    @cached_property
    def explainer(self) -> Explainer:
        """What answers why."""
        return make_explainer(self._settings, self._repos, self._records, self.standings)

    def url(self, snapshot: PublishedSnapshot) -> str:
        """See the port."""
        return self._records.tree.url(snapshot.target, shard(snapshot.commit))

    def status(self, package: str | None) -> Status:
        """See the port."""
        if package is not None:
            self._repos.package(package)
        builds = tuple(self._latest(package))
        attempts = self._records.lookup.attempts([build.id for build in builds if build.attempt > 1])
        return Status(
            builds=builds,
            flaky=frozenset(number for number, each in attempts.items() if flaky(each) is not None),
            copies=tuple(self.copies(package, builds)),
            queue=make_queue_view(self._settings, self._repos, self._records).glance(),
            standings=self.standings.of(tuple(self._repos.targets)),
            mirrors=self.mirrors(),
            signed_by=self._settings.signing.key,
            unsigned=unsigned_note(self._settings.signing),
        )

    def _latest(self, package: str | None) -> Iterator[Build]:
        if package is not None:
            for target in self._repos.packages[package].targets:
                yield from self._records.store.builds(package=package, target=target, trunk=True, limit=1)
            return
        latest = {
            (each.newest.commit.package, each.newest.target): each.newest for each in self._records.lookup.latest()
        }
        for name, entry in self._repos.packages.items():
            yield from (latest[name, target] for target in entry.targets if (name, target) in latest)

    def copies(self, package: str | None, builds: Sequence[Build]) -> Iterator[Build]:
        """Of each package on each target the newest build that is no part of the trunk, if newer than the trunk's."""
        latest = {(build.commit.package, build.target): build.id for build in builds}
        for copy in self._records.lookup.copies(package, among=LOOKED_AT):
            place = (copy.commit.package, copy.target)
            if copy.target in self._repos.built_for(copy.commit.package) and copy.id > latest.get(place, 0):
                latest[place] = copy.id
                yield copy

    def mirrors(self) -> tuple[MirrorStanding, ...]:
        """How the site's mirrors stand."""
        if not self._settings.mirrors:
            return ()
        records = self._records
        return make_mirroring(
            self._settings,
            self._repos,
            store=records.store,
            ledger=records.ledger,
            states=records.mirrors,
            tree=records.tree,
        ).standings()

    def why(self, name: str, package: str | None) -> Why:
        """See the port."""
        return self.explainer.why(name, package=package)

    def queue(self, package: str | None, target: str | None, limit: int) -> QueueState:
        """See the port."""
        view = make_queue_view(self._settings, self._repos, self._records)
        return view.look(package=self._package(package), target=self._target(target), limit=limit)

    def events(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], limit: int
    ) -> tuple[Event, ...]:
        """See the port."""
        if not limit:
            return ()
        return self._records.events.newest(package=package, target=target, kinds=kinds, limit=limit)

    def follow(
        self, package: str | None, target: str | None, kinds: Collection[EventKind], after: int
    ) -> Iterator[Event]:
        """See the port."""
        while True:
            more = self._records.events.after(after, limit=READ_AT_ONCE)
            for event in more:
                fits = package in {None, event.package} and target in {None, event.target}
                if fits and (not kinds or event.kind in kinds):
                    yield event
            if more:
                after = more[-1].number
            else:
                time.sleep(FOLLOW_SECONDS)

    def ledger(self, target: str | None, pointer: str | None, limit: int) -> tuple[LedgerEntry, ...]:
        """See the port."""
        return self._records.ledger.entries(target=target, pointer=pointer, limit=limit)

    def verify_ledger(self, expect: str | None) -> LedgerEntry | None:
        """See the port."""
        noted = {"--expect": check_head(expect)} if expect is not None else {}
        for target in self._repos.targets:
            head = self._records.tree.ledger_head(target)
            if head is not None:
                noted[f"repos/{target}/ledger-head"] = head
        return verify_ledger(self._records.ledger, noted)

    def votes(self, commit: str, target: str | None) -> tuple[str, tuple[Vote, ...]]:
        """See the port."""
        tested = self._target(target)
        subject = make_voting(self._records, self._repos).subject(commit, tested)
        return subject, self._records.votes.of(subject, target=tested)

    def newest_votes(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        """See the port."""
        self._target(wanted.target)
        return self._records.votes.newest(wanted)

    def snapshots(self, target: str | None, package: str | None, limit: int) -> tuple[Listed, ...]:
        """See the port."""
        return tuple(
            listed
            for name in self._targets(target)
            for listed in self._travel().listed(name, package=package, limit=limit)
        )

    def snapshot(self, named: str, target: str | None) -> Shown:
        """See the port."""
        travel = self._travel()
        held = travel.held(self._only_target(travel, target, named), named)
        own = [each.name for each in held.manifest.own.artifacts if each.kind is ArtifactKind.BINARY]
        names, of = sorted(set(own)), held.snapshot
        # What writes to the tree knows how clients of each format are told.
        tree = self._conveyor().tree
        return Shown(
            snapshot=of,
            pointers=held.pointers,
            packages=held.manifest.packages,
            lines=tree.client_lines(of.target, shard(of.commit), names),
            follow=tree.client_lines(of.target, named, names) if named in held.pointers else None,
        )

    def places(
        self, target: str | None, at: datetime, pointer: str
    ) -> tuple[tuple[Then, ...], tuple[ConveyorError, ...]]:
        """See the port.

        Raises:
            UnknownName: no target had such a pointer then.
        """
        found: list[Then] = []
        missing: list[UnknownName] = []
        for one in self._targets(target):
            try:
                found.append(self._travel().at(one, at, pointer))
            except UnknownName as error:
                missing.append(error)
        if missing and not found:
            raise missing[0]
        return tuple(found), tuple(missing)

    def notices(self, limit: int) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
        """See the port."""
        outbox = self._records.outbox
        return outbox.waiting(), outbox.given_up(limit=limit)

    def difference(self, before: str, after: str, target: str | None) -> Difference:
        """See the port."""
        travel = self._travel()
        return travel.difference(self._only_target(travel, target, before, after), before, after)

    def daemon(self) -> DaemonState:
        """See the port."""
        return self._controls().daemon()

    def unfinished(self, package: str, target: str | None, *, waiting: bool) -> tuple[int, ...]:
        """See the port."""
        return self._controls().unfinished(package, self._target(target), waiting=waiting)

    def cancel(self, build: int, actor: str) -> Cancelled:
        """See the port."""
        return self._controls().cancel(build, actor)

    def retry(self, asked: str, target: str | None, actor: str) -> tuple[Build, ...]:
        """See the port."""
        return self._controls().retry(self._build_or_package(asked), self._target(target), actor)

    def rebuild(self, asked: str, target: str | None, actor: str) -> tuple[Rebuilt, ...]:
        """See the port."""
        return self._controls().rebuild(self._build_or_package(asked), self._target(target), actor)

    def order(self, package: str, revision: str, targets: Sequence[str], actor: str) -> Ordered:
        """See the port."""
        new = NewOrder(
            package=self._repos.package(package).name,
            revision=check_revision(revision),
            targets=tuple(dict.fromkeys(self._repos.target(name).name for name in targets)),
            actor=actor,
            at=self._records.clock.now(),
        )
        return self._ordered(self._records.order_book.add(new))

    def ordered(self, number: int) -> Ordered:
        """See the port."""
        return self._ordered(self._records.order_book.order(number))

    def _ordered(self, order: Order) -> Ordered:
        builds = (self._records.store.build(number) for number in order.builds)
        built = tuple(Built(build=build, repository=self.repository(build)) for build in builds)
        return Ordered(order=order, builds=built, daemon=self.daemon())

    def repository(self, build: Build) -> str:
        """URL of the snapshot of a build; empty where there is none, or none any more."""
        if not build.published:
            return ""
        commit = build.commit
        found = self._records.store.published(build.target, package=commit.package, commit=commit.id)
        there = (each for each in found if each.build == build.id and each.collected_at is None)
        snapshot = next(there, None)
        return "" if snapshot is None else self.url(snapshot)

    def prioritize(self, build: int, priority: Priority, actor: str) -> Build:
        """See the port."""
        return self._controls().prioritize(build, priority, actor)

    def pause(self, scope: Scope, note: str, actor: str) -> tuple[Pause, bool]:
        """See the port."""
        self._package(scope.name if scope.kind is ScopeKind.PACKAGE else None)
        self._target(scope.name if scope.kind is ScopeKind.TARGET else None)
        return self._controls().pause(scope, note, actor)

    def resume(self, scope: Scope, actor: str) -> tuple[bool, tuple[Pause, ...]]:
        """See the port."""
        return self._controls().resume(scope, actor)

    def poll(self, packages: Sequence[str] | None, actor: str) -> tuple[str, ...]:
        """See the port."""
        names = [*self._repos.packages] if packages is None else [self._repos.package(name).name for name in packages]
        chosen = tuple(dict.fromkeys(names))
        self._controls().poll(chosen, actor)
        return chosen

    def vote(self, ballot: Ballot) -> tuple[Vote, tuple[ConveyorError, ...]]:
        """See the port."""
        self._target(ballot.target)
        voted = make_voting(self._records, self._repos).vote(ballot)
        return voted, self._conveyor().promoter.follow()

    def plan(self, promotion: Promotion) -> Mapping[str, tuple[str | None, str]]:
        """See the port."""
        asked = self._asked(promotion)
        plan = self._conveyor().promoter.plan(asked)
        tree = self._records.tree
        return {
            target: (tree.pointed(target, promotion.name), snapshot.commit) for target, snapshot in plan.chosen.items()
        }

    def promote(self, promotion: Promotion) -> tuple[LedgerEntry, ...]:
        """See the port."""
        asked = self._asked(promotion)
        return self._conveyor().promoter.promote(asked)

    def rollback(self, wish: Wish) -> tuple[tuple[LedgerEntry, ...], tuple[ConveyorError, ...]]:
        """See the port."""
        for target in wish.targets:
            self._target(target)
        conveyor = self._conveyor()
        # What others moved, or were interrupted in, comes first: the last move is then the last one indeed.
        problems = tuple(conveyor.pointers.recover(self._repos.targets))
        return conveyor.rollback.run(wish), problems

    def _asked(self, promotion: Promotion) -> Asked:
        check_name(promotion.name)
        policy = self._repos.promotion(promotion.name)
        targets = tuple(self._repos.target(one).name for one in promotion.targets)
        return Asked(
            commit=promotion.commit,
            policy=policy,
            targets=targets,
            actor=promotion.actor,
            note=promotion.note,
            keep=promotion.keep,
        )

    def _controls(self) -> Controls:
        return make_controls(self._settings, self._repos, self._records)

    def _travel(self) -> Travel:
        records = self._records
        return make_travel(self._settings, store=records.store, ledger=records.ledger, tree=records.tree)

    def _package(self, name: str | None) -> str | None:
        return None if name is None else self._repos.package(name).name

    def _target(self, name: str | None) -> str | None:
        return None if name is None else self._repos.target(name).name

    def _targets(self, target: str | None) -> tuple[str, ...]:
        return tuple(self._repos.targets) if target is None else (self._repos.target(target).name,)

    def _build_or_package(self, asked: str) -> str:
        return asked if asked.isascii() and asked.isdigit() else self._repos.package(asked).name

    def _only_target(self, travel: Travel, target: str | None, *named: str) -> str:
        """The target that is named, or the only one that has all of the snapshots.

        Raises:
            UnknownName: no target has them.
            UserError: several have.
        """
        targets = self._targets(target)
        if len(targets) == 1:
            return targets[0]
        having = [each for each in targets if all(travel.knows(each, name) for name in named)]
        if len(having) == 1:
            return having[0]
        told = " and ".join(repr(name) for name in named)
        if not having:
            raise UnknownName(f"no target has a snapshot {told}", hint="'conveyor snapshot list' shows them")
        raise UserError(f"{len(having)} targets have a snapshot {told}", hint=f"add --target {having[0]}, or another")
