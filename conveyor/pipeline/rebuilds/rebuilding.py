"""Which packages are built once more, without a commit of their own, because what they build with has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.errors import BuildDependencyMissing, NotInstallable
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.package import Package, RebuildPolicy
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.target import Format, Target
from conveyor.model.waiting import Cycle
from conveyor.pipeline.rebuilds.changed_dependencies import Changed, ChangedDependencies
from conveyor.pipeline.rebuilds.circles import Bootstrap, Circles, lacking
from conveyor.pipeline.rebuilds.interfaces import Interfaces
from conveyor.pipeline.rebuilds.trunk_state import Contents, TrunkState
from conveyor.ports import Events, Queue, Store, Toolchain

MISSING = BuildDependencyMissing.__name__
NOT_INSTALLABLE = NotInstallable.__name__
# Names of packages: Debian Policy, 5.6.7, and what Fedora's naming guidelines allow beside it.
PACKAGE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9+._-]*[A-Za-z0-9+])?")
# What ends so stays so until somebody or something asks for it.
FINAL = (Outcome.FAILED, Outcome.CANCELLED)
# So many of a package's newest builds for a target are looked at.
LOOKED_AT = 50
# So many of a target's events about circles are looked through for one that was told.
TOLD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A package on a target that nothing waits or runs of.

    Attributes:
        package: the package.
        target: the target.
        latest: its latest build.
        good: the number of its newest good build; None where there is none.
        state: what the trunk holds.
        circles: what the target's packages declare.
    """

    package: Package
    target: Target
    latest: Build
    good: int | None
    state: TrunkState
    circles: Circles

    @property
    def is_good(self) -> bool:
        """Whether its latest build is its newest good one."""
        return self.latest.id == self.good

    @property
    def lacks_dependency(self) -> bool:
        """Whether its latest build failed because something that it builds with was not there."""
        cause = self.latest.cause
        return self.latest.outcome is Outcome.FAILED and cause is not None and cause.kind == MISSING

    @property
    def named_when_installed(self) -> frozenset[str]:
        """What the package manager named, names of packages among it, when the packages could not be installed."""
        cause = self.latest.cause
        if self.latest.outcome is not Outcome.FAILED or cause is None or cause.kind != NOT_INSTALLABLE:
            return frozenset()
        return frozenset(PACKAGE_NAME.findall("\n".join([cause.summary, *cause.details])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A build that is wanted.

    Attributes:
        reason: why.
        priority: with what priority; None for that of the build that is tried again.
        retry: whether the latest build is tried again; else the newest good one is built anew.
    """

    reason: Reason
    priority: Priority | None = Priority.REBUILD
    retry: bool = False


class Rebuilds:
    """Decides by what is recorded alone, so that it may be asked again after a kill, and at any time.

    Args:
        store: what was built, with what in its root.
        queue: gets the rebuilds.
        events: hear of what is not rebuilt any more, and of circles.
        toolchains: compare versions.
        interfaces: what others are built against.
        bootstrap: knows packages that build-depend on each other.
        packages: the configured packages, by name.
        limit: how many rebuilds may lead to one another.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        events: Events,
        toolchains: Mapping[Format, Toolchain],
        interfaces: Interfaces,
        bootstrap: Bootstrap,
        packages: Mapping[str, Package],
        limit: int,
    ) -> None:
        self._store = store
        self._queue = queue
        self._events = events
        self._changed = ChangedDependencies(store, toolchains, interfaces)
        self._bootstrap = bootstrap
        self._packages = packages
        self._limit = limit
        self._contents: dict[str, Contents] = {}
        self._told: set[tuple[str, tuple[str, ...]]] = set()

    def plan(self, target: Target, at: datetime) -> tuple[int, ...]:
        """Queue what is due on a target; the numbers of the builds that are new or wait once more."""
        circles = self._bootstrap.circles(target.name)
        for cycle in circles.cycles:
            self._tell(cycle, at)
        busy = {item.package for item in self._queue.changes(0).items if item.target == target.name}
        failing = frozenset(self._store.failing(target.name))
        chosen = [
            package
            for name, package in self._packages.items()
            if target.name in package.targets and name not in busy and (_has_policy(package) or name in failing)
        ]
        if not chosen:
            return ()
        state = self._state(target.name)
        return tuple(number for package in chosen for number in self._plan_one(package, target, state, circles, at))

    def order(self, build: Build, actor: str, at: datetime) -> tuple[int, ...]:
        """Queue a rebuild of a good build, because somebody wants it; none where one waits or runs already."""
        return order(self._store, self._queue, build, actor, at)

    def _state(self, target: str) -> TrunkState:
        known = self._contents.get(target)
        if known is None or known.newest != self._store.newest_builds(target):
            known = self._contents[target] = Contents.of(self._store, target)
        return TrunkState(self._store, target, known)

    def _plan_one(
        self, package: Package, target: Target, state: TrunkState, circles: Circles, at: datetime
    ) -> Sequence[int]:
        latest = self._latest(package.name, target.name)
        if latest is None:
            return ()
        good = state.contents.newest.get(package.name)
        case = Case(package=package, target=target, latest=latest, good=good, state=state, circles=circles)
        wish = (
            self._full(case)
            or self._first(case)
            or self._complete(case)
            or self._installed(case)
            or self._by_policy(case, at)
        )
        if wish is None:
            return ()
        if not wish.retry:
            priority = wish.priority or Priority.REBUILD
            return build_anew(self._store, self._queue, case.latest, priority, wish.reason, at)
        priority = wish.priority or self._store.reason(case.latest.id)[0]
        return (self._queue.retry(case.latest.id, wish.reason, priority, at).id,)

    def _latest(self, package: str, target: str) -> Build | None:
        """The latest build that says something about the package: one that was superseded does not."""
        for limit in (1, LOOKED_AT):
            builds = self._store.builds(package=package, target=target, trunk=True, limit=limit)
            found = next((build for build in builds if build.outcome is not Outcome.SUPERSEDED), None)
            if found is not None:
                return found
        return None

    def _full(self, case: Case) -> Wish | None:
        """Once more with all that it builds with, where it was built without some of it."""
        if not case.package.following.bootstrap or case.good is None:
            return None
        if not self._changed.root(case.package.name, case.state, case.good).bootstrap:
            return None
        needed = case.circles.needed(case.package.name)
        if any(case.state.published_at(name) is None for name in needed):
            return None
        detail = f"it was built without {_listed(needed)} before" if needed else "it is in no circle any more"
        return self._again(case, ReasonKind.BOOTSTRAP, needed, detail)

    def _first(self, case: Case) -> Wish | None:
        """Once more without what needs it in turn, where nobody knew of that when it was tried."""
        if not case.package.following.bootstrap or not case.lacks_dependency:
            return None
        without = lacking(case.circles, case.package.name, case.state.contents.newest)
        if not without or self._store.reason(case.latest.id)[1].kind is ReasonKind.BOOTSTRAP:
            return None
        detail = f"it is built without {_listed(without)}, which need it in turn"
        return Wish(reason=Reason(kind=ReasonKind.BOOTSTRAP, detail=detail), priority=None, retry=True)

    def _complete(self, case: Case) -> Wish | None:
        """Once more where something of what it builds with was not there, and some of that came since."""
        if not case.lacks_dependency:
            return None
        providers = case.circles.providers(case.package.name, case.state.contents.newest)
        return self._with(case, providers, "it could not be built before there was")

    def _installed(self, case: Case) -> Wish | None:
        """Once more where it could not be installed, and packages that were named in that came since."""
        makers = case.state.contents.makers
        named = {makers[name][0].package for name in case.named_when_installed if name in makers}
        return self._with(case, sorted(named - {case.package.name}), "it could not be installed before there was")

    def _with(self, case: Case, packages: Sequence[str], why: str) -> Wish | None:
        """The latest build once more, where some of these packages came since."""
        new = [name for name in packages if case.state.since(name, case.latest.started_at)]
        if not new:
            return None
        came = ", ".join(f"{name} {case.state.contents.entries[name].version}" for name in new)
        reason = self._reason(case, ReasonKind.DEPENDENCY, new, f"{why} {came}")
        return Wish(reason=reason, priority=None, retry=True)

    def _by_policy(self, case: Case, at: datetime) -> Wish | None:
        if case.package.following.rebuild is RebuildPolicy.NEVER or case.good is None:
            return None
        changed = tuple(self._changed.of(case.package, case.target, case.state, case.good))
        late = [each for each in changed if case.state.since(each.package, case.latest.started_at)]
        if not late:
            return None
        names = [each.package for each in late]
        reason = self._reason(case, ReasonKind.DEPENDENCY, names, "; ".join(each.detail for each in late))
        if reason.cascade > self._limit:
            self._stop(case, late, reason, at)
            return None
        return self._wish(case, reason)

    def _again(self, case: Case, kind: ReasonKind, names: Sequence[str], detail: str) -> Wish | None:
        """A rebuild, unless one failed since these packages came."""
        if not case.is_good and not any(case.state.since(name, case.latest.started_at) for name in names):
            return None
        return self._wish(case, self._reason(case, kind, names, detail))

    def _wish(self, case: Case, reason: Reason) -> Wish | None:
        if case.is_good:
            return Wish(reason=reason)
        return Wish(reason=reason, retry=True) if case.latest.outcome in FINAL else None

    def _reason(self, case: Case, kind: ReasonKind, names: Sequence[str], detail: str) -> Reason:
        """All that changed, with the build that came last as what led to it."""
        if not names:
            return Reason(kind=kind, detail=detail)
        build = max(case.state.contents.newest[name] for name in names)
        cascade = 1 + max(case.state.cascade(name) for name in names)
        return Reason(kind=kind, detail=detail, build=build, cascade=cascade)

    def _stop(self, case: Case, late: Sequence[Changed], reason: Reason, at: datetime) -> None:
        """Say once for each build that would lead to it that a rebuild is left out."""
        package, target = case.package.name, case.target.name
        told = self._events.newest(package=package, target=target, kinds=[EventKind.CASCADE_STOPPED], limit=1)
        if told and told[0].detail.get("because_of") == reason.build:
            return
        event = NewEvent(
            kind=EventKind.CASCADE_STOPPED,
            summary=f"{package} is not built anew for {target} ({late[-1].detail}): "
            f"{self._limit} rebuilds led to one another",
            package=package,
            target=target,
            detail={"because_of": reason.build},
        )
        self._events.record([event], at)

    def _tell(self, cycle: Cycle, at: datetime) -> None:
        """Say once of a circle that nobody of it is built first."""
        key = cycle.target, cycle.packages
        if not cycle.unordered or key in self._told:
            return
        known = self._events.newest(target=cycle.target, kinds=[EventKind.CYCLE], limit=TOLD)
        if not any(event.detail.get("packages") == list(cycle.packages) for event in known):
            self._events.record([_of_cycle(cycle)], at)
        self._told.add(key)


def order(store: Store, queue: Queue, build: Build, actor: str, at: datetime) -> tuple[int, ...]:
    """Queue a rebuild of a good build, because somebody wants it; none where one waits or runs already."""
    if unfinished_rebuild(store, build) is not None:
        return ()
    reason = Reason(kind=ReasonKind.REQUESTED, detail=f"{actor} wants it built anew", build=build.id)
    return build_anew(store, queue, build, Priority.REQUEST, reason, at)


def unfinished_rebuild(store: Store, build: Build) -> Build | None:
    """A rebuild of what a build is of that waits or runs; None for none."""
    again = (other for other in _alike(store, build) if other.commit.rebuild and other.state is not State.FINISHED)
    return next(again, None)


def build_anew(
    store: Store, queue: Queue, build: Build, priority: Priority, reason: Reason, at: datetime
) -> tuple[int, ...]:
    """Queue the next rebuild of a good build; its number."""
    commit = build.commit.rebuilt(1 + max(other.commit.rebuild for other in (build, *_alike(store, build))))
    event = NewEvent(
        kind=EventKind.QUEUED,
        summary=f"{commit.package} is built anew for {build.target}: {reason.detail}",
        package=commit.package,
        target=build.target,
        detail={"commit": commit.id, "because_of": reason.build},
    )
    new = NewBuild(commit=commit, target=build.target, priority=priority, reason=reason)
    return queue.apply(Change(builds=(new,), events=(event,)), at)


def _alike(store: Store, build: Build) -> Iterator[Build]:
    """The package's builds of the same upstream commit and packaging for the same target, the newest first."""
    commit = build.commit
    for other in store.builds(package=commit.package, target=build.target, trunk=True, limit=LOOKED_AT):
        if (other.commit.upstream.sha, other.commit.packaging_sha) == (commit.upstream.sha, commit.packaging_sha):
            yield other


def _has_policy(package: Package) -> bool:
    return package.following.bootstrap or package.following.rebuild is not RebuildPolicy.NEVER


def _of_cycle(cycle: Cycle) -> NewEvent:
    way = " -> ".join([*cycle.way, cycle.way[0]]) if cycle.way else _listed(cycle.packages)
    return NewEvent(
        kind=EventKind.CYCLE,
        summary=f"{_listed(cycle.packages)} build-depend on each other for {cycle.target} ({way}): "
        "they are built in no particular order until one of them has 'bootstrap: true'",
        target=cycle.target,
        detail={"packages": list(cycle.packages), "way": list(cycle.way), "unordered": list(cycle.unordered)},
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
