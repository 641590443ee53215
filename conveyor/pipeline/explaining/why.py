"""`conveyor why`: why anything is as it is. One implementation for the command line, the API and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from conveyor.errors import RevisionMissing, SnapshotDamaged, UnknownName, UpstreamEmpty, VersionWentBackwards
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import Event, EventKind
from conveyor.model.lease import DAEMON
from conveyor.model.package import Package, PackagingRepository
from conveyor.model.promotion import CONSISTENT, CURRENT, PromotionPolicy
from conveyor.model.queue import Pause, Reason, ScopeKind
from conveyor.model.target import Target
from conveyor.model.waiting import Cycle, Waiting
from conveyor.model.watch import Head, Poke, Remote, Side
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining.build import BuildFacts, Wait, Work, explain_build
from conveyor.pipeline.explaining.names import Asked, Known, find_asked
from conveyor.pipeline.explaining.places import (
    MissingFacts,
    PackageFacts,
    PointerFacts,
    TargetFacts,
    explain_commit,
    explain_missing,
    explain_package,
    explain_pointer,
    explain_pointers,
    explain_target,
    not_built,
)
from conveyor.pipeline.explaining.polling import Followed, Sighting, Whereabouts
from conveyor.pipeline.explaining.queueview import work_of
from conveyor.pipeline.explaining.waits import wait_words
from conveyor.pipeline.holders import DaemonState, daemon_state
from conveyor.pipeline.pointing.standings import Standing, Standings, did_not_succeed
from conveyor.ports import Clock, Events, Git, Leases, Ledger, OrderBook, Queue, Repository, Store, Watch

# How far a chain of builds that led to one another is told, how many builds that hold a pointer back are told, and in
# how many packages a commit is looked for that has no build.
CHAIN = 10
HOLDING = 10
SEARCHED = 200
# How many of the last words on what stands still are looked through.
STALE = 20
# Of the tags of an upstream that moved or went within so long, so many are told.
MOVED_TAGS, LATELY = 3, timedelta(days=30)


class Waits(Protocol):
    """What the scheduler says of builds that wait."""

    def of(self, build_id: int) -> Waiting | None:
        """Why a build has not been started; None for one that does not wait (any more)."""

    def cycle(self, target: str, package: str) -> Cycle | None:
        """The circle of packages that build-depend on each other that a package is in; None for none."""

    def count(self, target: str) -> int:
        """How many builds wait for a target."""

    def first(self, target: str) -> int | None:
        """The number of the build that would start next on a target; None where none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What repos.yaml and the settings say.

    Attributes:
        packages, targets, promotions: by name.
        retries: how often a build that errored is tried again by itself.
        lost_after: seconds after which a daemon on another machine counts as gone when it was not heard of.
    """

    packages: Mapping[str, Package]
    targets: Mapping[str, Target]
    promotions: Mapping[str, PromotionPolicy]
    retries: int
    lost_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where answers come from.

    Attributes:
        store, queue, watch, orders, events, leases, ledger: what was recorded.
        repository: the published tree.
        standings: what tells where pointers stand.
        git: mirrors; nothing is fetched.
        waits: makes what tells why builds wait. It is called where such a build matters: it may read the whole queue.
        work: what a running build does, as far as this machine knows.
        clock: the time.
    """

    store: Store
    queue: Queue
    watch: Watch
    orders: OrderBook
    events: Events
    leases: Leases
    ledger: Ledger
    repository: Repository
    standings: Standings
    git: Git
    waits: Callable[[], Waits]
    work: Callable[[Build], Work]
    clock: Clock


class Explainer:
    """Answers why anything is as it is.

    Args:
        sources: where answers come from.
        configured: what repos.yaml says.
    """

    def __init__(self, sources: Sources, configured: Configured) -> None:
        self._sources = sources
        self._configured = configured

    def why(self, named: str, *, package: str | None = None) -> Why:
        """The answer for whatever goes by a name.

        Args:
            named: a package, a target, a pointer, "target/pointer", a build's number, or the beginning of a commit's
                sha; or its kind before it: "package:nova".
            package: the package whose commit is meant; None where it does not matter.

        Raises:
            UnknownName: nothing goes by the name.
            AmbiguousName: more than one thing does; `cause` names them.
        """
        asked = find_asked(named, self._known(), self._sources.store, package=package)
        return self._answering().answer(asked, package)

    def of_build(self, build: Build) -> Why:
        """The answer for a build that was found already."""
        return self._answering().build(build)

    def of_package(self, name: str, latest: Mapping[str, Build]) -> Why:
        """The answer for a package that is configured or was built, as the caller knows.

        Args:
            name: its name.
            latest: by target, its latest builds of the trunk, as far as the caller has just read them.
        """
        answering = self._answering()
        answering.newest.update({(name, target): build for target, build in latest.items()})
        return answering.package(name)

    def _answering(self) -> _Answering:
        return _Answering(self._sources, self._configured)

    def _known(self) -> Known:
        policies = self._configured.promotions.values()
        return Known(
            packages=self._configured.packages,
            pointers={
                target: [
                    CURRENT,
                    CONSISTENT,
                    *(policy.name for policy in policies if target in policy.targets),
                    *self._sources.repository.pointers(target),
                ]
                for target in self._configured.targets
            },
        )


@dataclass
class _Answering:
    """One answer: what it reads more than once is read once, and the time stands still."""

    sources: Sources
    configured: Configured
    now: datetime = field(init=False)
    newest: dict[tuple[str, str], Build | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = self.sources.clock.now()

    @cached_property
    def daemon(self) -> DaemonState:
        return daemon_state(self.sources.leases.holder(DAEMON), self.now, self.configured.lost_after)

    @cached_property
    def waits(self) -> Waits:
        return self.sources.waits()

    @cached_property
    def pauses(self) -> tuple[Pause, ...]:
        return self.sources.queue.pauses()

    @cached_property
    def errored(self) -> frozenset[int]:
        return frozenset(build.id for build in self.sources.queue.errored())

    @cached_property
    def heads(self) -> Mapping[tuple[str, Side], Head]:
        return self.sources.watch.heads()

    @cached_property
    def remotes(self) -> Mapping[str, Remote]:
        return self.sources.watch.remotes()

    @cached_property
    def pokes(self) -> dict[str, Poke]:
        return {poke.package: poke for poke in self.sources.watch.pokes()}

    def answer(self, asked: Asked, package: str | None) -> Why:
        match asked.subject:
            case Subject.BUILD:
                return self.build(asked.builds[0])
            case Subject.COMMIT:
                return self.commit(asked) if asked.builds else self.missing(asked.name, package)
            case Subject.PACKAGE:
                return self.package(asked.name)
            case Subject.TARGET:
                return self.target(asked.name)
            case Subject.POINTER:
                return self.pointer(asked)

    def build(self, build: Build) -> Why:
        """Why a build is as it is."""
        store = self.sources.store
        priority, reason = store.reason(build.id)
        waiting = build.state is State.QUEUED
        return explain_build(
            BuildFacts(
                build=build,
                priority=priority,
                reason=reason,
                attempts=store.attempts(build.id) if build.attempt > 1 else (),
                now=self.now,
                daemon=self.daemon.runs,
                wait=self._wait(build) if waiting else None,
                work=work_of(build, self.sources.work),
                retried=build.outcome is Outcome.ERRORED and build.id in self.errored,
                retries=self.configured.retries,
                newer=self._newer(build),
                led_by=self._led_by(reason, {build.id}),
                moved_tags=self._moved_tags(build.commit.package) if _went_backwards(build) else (),
            )
        )

    def _moved_tags(self, package: str) -> tuple[Event, ...]:
        kinds = (EventKind.TAG_MOVED, EventKind.TAG_GONE)
        newest = self.sources.events.newest(package=package, kinds=kinds, limit=MOVED_TAGS)
        return tuple(event for event in newest if self.now - event.at < LATELY)

    def _wait(self, build: Build) -> Wait | None:
        waiting = self.waits.of(build.id)
        if waiting is None:
            return None
        return wait_words(waiting, self.waits.cycle(build.target, build.commit.package), self.now)

    def _newer(self, build: Build) -> Build | None:
        latest = self._latest(build.commit.package, build.target)
        return latest if latest is not None and latest.id > build.id else None

    def _latest(self, package: str, target: str) -> Build | None:
        place = (package, target)
        if place not in self.newest:
            found = self.sources.store.builds(package=package, target=target, trunk=True, limit=1)
            self.newest[place] = found[0] if found else None
        return self.newest[place]

    def _led_by(self, reason: Reason, seen: set[int]) -> tuple[tuple[Build, Reason], ...]:
        """The builds that led to one another, nearest first. The store of another time may lack some."""
        if reason.build is None or reason.build in seen or len(seen) > CHAIN:
            return ()
        try:
            build = self.sources.store.build(reason.build)
            _, before = self.sources.store.reason(reason.build)
        except UnknownName:
            return ()
        return ((build, before), *self._led_by(before, {*seen, build.id}))

    def commit(self, asked: Asked) -> Why:
        """Why the builds of a commit are as they are, and why targets have none."""
        commit = asked.builds[0].commit
        latest = {build.target: build for build in asked.builds}
        others = [build for build in asked.builds if latest[build.target] is not build]
        package = self.configured.packages.get(commit.package)
        lacking = [target for target in (package.targets if package else ()) if target not in latest]
        return explain_commit(
            asked.name,
            f"{commit.package}: {commit.upstream.subject}",
            [self.build(build) for build in (*latest.values(), *others)],
            [not_built(package, target, (), daemon=self.daemon.runs) for target in lacking if package],
        )

    def missing(self, named: str, package: str | None) -> Why:
        """Why a commit has no build."""
        packages = self.configured.packages
        if package is not None and package not in packages:
            raise UnknownName(f"repos.yaml has no package {package!r}", hint="'conveyor status' lists them")
        searched = [packages[package]] if package else [*packages.values()] if len(packages) <= SEARCHED else []
        sightings = [self._sighting(each, named.partition("_")[0]) for each in searched]
        chosen = [each for each in sightings if package or each.is_found]
        followed = {each.package.name: self.followed(each.package) for each in chosen}
        everywhere = () if chosen else [one for each in packages.values() for one in self.followed(each)]
        return explain_missing(
            MissingFacts(
                named=named,
                sightings=tuple(chosen),
                followed=followed,
                silent=tuple({each.url: each for each in everywhere if each.is_silent}.values()),
                looked=len(searched),
                packages=len(packages),
                daemon=self.daemon.runs,
                pokes=self.pokes,
                now=self.now,
            )
        )

    def _sighting(self, package: Package, sha: str) -> Sighting:
        """Where a commit is in a package's mirror, which may not be there."""
        git, url = self.sources.git, package.upstream
        seen = self._seen(package)
        if seen is None or git.contains(url, tip=seen, sha=seen) is None:
            return Sighting(package=package, where=Whereabouts.UNFETCHED, sha=sha)
        whole = self._resolved(url, sha)
        if whole is None or not whole.startswith(sha):  # a branch may be called like a sha
            return Sighting(package=package, where=Whereabouts.UNKNOWN, sha=sha)
        if git.contains(url, tip=seen, sha=whole):
            return Sighting(package=package, where=Whereabouts.BEHIND, sha=whole)
        tip = self._resolved(url, package.branch)
        ahead = tip is not None and git.contains(url, tip=tip, sha=whole)
        return Sighting(package=package, where=Whereabouts.AHEAD if ahead else Whereabouts.ELSEWHERE, sha=whole)

    def _resolved(self, url: str, revision: str) -> str | None:
        try:
            return self.sources.git.resolve(url, revision)
        except (RevisionMissing, UpstreamEmpty):
            return None

    def _seen(self, package: Package) -> str | None:
        """The newest commit of a package that is known: of what is followed, else of what was built."""
        head = self.heads.get((package.name, Side.UPSTREAM))
        if head is not None and head.sha is not None:
            return head.sha
        built = self.sources.store.builds(package=package.name, trunk=True, limit=1)
        return built[0].commit.upstream.sha if built else None

    def followed(self, package: Package) -> tuple[Followed, ...]:
        """The git repositories of a package among many that are asked for."""
        return _followed(package, self.heads, self.remotes)

    def _only_followed(self, package: Package) -> tuple[Followed, ...]:
        """The same of the only package that is asked for: there may be thousands of others."""
        watch, urls = self.sources.watch, {url for _, url, _ in _places(package)}
        return _followed(package, watch.heads(package.name), watch.remotes(urls))

    def package(self, name: str) -> Why:
        """Why a package is as it is, on each of its targets."""
        package = self.configured.packages.get(name)
        targets = package.targets if package else self._built_for(name)
        followed = self._only_followed(package) if package else ()
        builds = []
        for target in targets:
            latest = self._latest(name, target)
            if latest is not None:
                builds.append(self.build(latest))
            elif package is not None:
                builds.append(not_built(package, target, followed, daemon=self.daemon.runs))
        return explain_package(
            PackageFacts(
                name=name,
                package=package,
                followed=followed,
                poke=self.pokes.get(name),
                pauses=tuple(pause for pause in self.pauses if self._concerns(pause, name, targets)),
                orders=self.sources.orders.waiting(name),
                moved_tags=self._moved_tags(name),
                daemon=self.daemon.runs,
                builds=tuple(builds),
                pointers=self._not_in_consistent(name, targets),
                now=self.now,
            )
        )

    def _built_for(self, name: str) -> tuple[str, ...]:
        """The targets that a package was built for, of those that there are."""
        return tuple(target for target in self.configured.targets if self._latest(name, target) is not None)

    def _concerns(self, pause: Pause, package: str, targets: Sequence[str]) -> bool:
        scope = pause.scope
        names = {ScopeKind.ALL: ("",), ScopeKind.PACKAGE: (package,), ScopeKind.TARGET: targets}
        return scope.name in names[scope.kind]

    def _not_in_consistent(self, package: str, targets: Sequence[str]) -> tuple[Why, ...]:
        known = [target for target in targets if target in self.configured.targets]
        lacking = {target: lack for target in known if (lack := self._lack(package, target))}
        return tuple(self._held_back(package, target, lack) for target, lack in lacking.items())

    def _held_back(self, package: str, target: str, lack: str) -> Why:
        pointer = f"{target}/{CONSISTENT}"
        holding = sorted(self.sources.standings.holding(target, CONSISTENT), key=lambda name: name != package)
        lines = [did_not_succeed(target, name) for name in holding[:HOLDING]]
        more = len(holding) - len(lines)
        return Why(
            subject=Subject.POINTER,
            name=pointer,
            about=lack,
            state="held back",
            summary=next(iter(lines), "nothing holds it back: the next good build moves it"),
            lines=(*lines[1:], *([f"and {more} more"] if more else [])),
            hint=f"conveyor why {pointer}" if more else "",
        )

    def _lack(self, package: str, target: str) -> str:
        """What `consistent` lacks of a package's newest published build; empty for nothing."""
        newest = self.sources.store.published(target, package=package, limit=1)
        if not newest:
            return ""
        commit = self.sources.repository.pointed(target, CONSISTENT)
        if commit is None:
            return f"there is no {CONSISTENT} yet"
        try:
            packages = self.sources.standings.contents(target, commit)
        except (SnapshotDamaged, UnknownName) as error:
            return error.summary
        is_there = package in packages and packages[package] in {None, newest[0].commit}
        return "" if is_there else f"{package} {newest[0].version} is not in it"

    def target(self, name: str) -> Why:
        """Why a target works or stands still."""
        packages = [each for each in self.configured.packages.values() if name in each.targets]
        urls = {url for package in packages for _, url, _ in _places(package)}
        running = [build for build in self.sources.store.running() if build.target == name]
        first = self.waits.first(name)
        published = self.sources.store.published(name, limit=1)
        return explain_target(
            TargetFacts(
                name=name,
                packages=len(packages),
                pauses=tuple(pause for pause in self.pauses if self._concerns(pause, "", (name,))),
                daemon=self.daemon,
                disk=self._low_disk(),
                stale=self._stale(),
                waiting=self.waits.count(name),
                running=tuple(self.build(build) for build in running),
                first=self.build(self.sources.store.build(first)) if first is not None else None,
                polled_at=self.sources.watch.last_polled(urls),
                published=published[0] if published else None,
                pointers=tuple(
                    why
                    for each in self.sources.standings.of((name,))
                    if each.held_back and (why := self._pointer(each)).state != "newest"
                ),
                now=self.now,
            )
        )

    def _low_disk(self) -> Event | None:
        kinds = (EventKind.DISK_LOW, EventKind.DISK_FINE)
        last = self.sources.events.newest(kinds=kinds, limit=1)
        return last[0] if last and last[0].kind is EventKind.DISK_LOW else None

    def _stale(self) -> tuple[Event, ...]:
        """What was last told to stand still, and not to go on."""
        kinds = (EventKind.STALE, EventKind.STALE_NO_MORE)
        told = reversed(self.sources.events.newest(kinds=kinds, limit=STALE))
        last = {str(event.detail.get("work")): event for event in told}
        return tuple(event for event in last.values() if event.kind is EventKind.STALE)

    def pointer(self, asked: Asked) -> Why:
        """Why a pointer stands where it does, on one target or on all that have it."""
        targets = [asked.target] if asked.target else [*self.configured.targets]
        found = [each for each in self.sources.standings.of(targets) if each.pointer == asked.name]
        if asked.target:
            return self._pointer(found[0])
        return explain_pointers(asked.name, [self._pointer(each) for each in found])

    def _pointer(self, standing: Standing) -> Why:
        last = self.sources.ledger.entries(target=standing.target, pointer=standing.pointer, limit=1)
        return explain_pointer(
            PointerFacts(
                standing=standing,
                newest=self.sources.repository.pointed(standing.target, CURRENT),
                policy=self.configured.promotions.get(standing.pointer),
                last=last[0] if last else None,
                builds=self._holding(standing),
                now=self.now,
            )
        )

    def _holding(self, standing: Standing) -> tuple[Why, ...]:
        """Why the builds that hold `consistent` back did not succeed."""
        packages = self.sources.standings.holding(standing.target, standing.pointer)[:HOLDING]
        latest = (self._latest(name, standing.target) for name in packages)
        return tuple(self.build(build) for build in latest if build is not None)


def _places(package: Package) -> tuple[tuple[Side, str, str], ...]:
    """Side, address and branch of the git repositories of a package; a packaging folder is none."""
    upstream = (Side.UPSTREAM, package.upstream, package.branch)
    if not isinstance(package.packaging, PackagingRepository):
        return (upstream,)
    return (upstream, (Side.PACKAGING, package.packaging.url, package.packaging.branch))


def _followed(
    package: Package, heads: Mapping[tuple[str, Side], Head], remotes: Mapping[str, Remote]
) -> tuple[Followed, ...]:
    return tuple(
        Followed(side=side, url=url, ref=ref, head=heads.get((package.name, side)), remote=remotes.get(url))
        for side, url, ref in _places(package)
    )


def _went_backwards(build: Build) -> bool:
    return build.cause is not None and build.cause.kind == VersionWentBackwards.__name__
