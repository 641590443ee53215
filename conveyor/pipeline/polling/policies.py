"""What is built of what was seen: the package's policy, as one change for the store. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.package import CommitPolicy, Package
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.pipeline.polling.sightings import PackagingSighting, Sighting
from conveyor.pipeline.polling.tidings import short

# Of many builds an event names so many.
MOST_TOLD = 100
NEW_PACKAGING = "the packaging changed: it is built with what it is now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A build of a package that waits or runs.

    Attributes:
        build: its number.
        target: the target's name.
        priority: its priority.
        running: whether it runs.
        commit: what it builds.
    """

    build: int
    target: str
    priority: Priority
    running: bool
    commit: Commit


@dataclass(slots=True)
class _Plan:
    """A change in the making."""

    builds: list[NewBuild] = field(default_factory=list)
    superseded: dict[int, str] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)


def decide(
    package: Package,
    seen: Sighting,
    packaging: PackagingSighting,
    unfinished: Sequence[Unfinished],
    missing: Collection[str],
) -> Change:
    """What one look at a package's repositories brings.

    Args:
        package: the package.
        seen: what was seen of its upstream.
        packaging: what was seen of its packaging. While nothing can be built with it, nothing of upstream counts as
            seen: it is there the next time.
        unfinished: the package's builds that wait or run, in the order of their numbers.
        missing: targets for which it was never built.
    """
    if not packaging.sha:
        return Change(heads=(packaging.head,) if packaging.head else (), events=packaging.events)
    plan = _Plan()
    for target in package.targets:
        mine = [build for build in unfinished if build.target == target and not is_requested(build)]
        _Target(package, target, seen, packaging, plan).decide(mine, is_new=target in missing)
    # Targets take turns, so that the oldest commit comes first on all of them.
    order = {
        sha: number for number, sha in enumerate(dict.fromkeys(build.commit.upstream.sha for build in plan.builds))
    }
    builds = sorted(plan.builds, key=lambda build: order[build.commit.upstream.sha])
    return Change(
        builds=tuple(builds),
        superseded=plan.superseded,
        cancelled=plan.cancelled,
        heads=tuple(head for head in (seen.head, packaging.head) if head is not None),
        tags={} if seen.tags is None else {package.name: seen.tags},
        events=(*packaging.events, *seen.events, *_superseded_events(package, plan)),
    )


def remove(package: str, unfinished: Sequence[Unfinished]) -> Change:
    """What becomes of a package that repos.yaml has no more: nobody could build it."""
    reason = f"{package} is not in repos.yaml any more"
    waiting = [build.build for build in unfinished if not build.running]
    detail = {"superseded": len(waiting)}
    event = NewEvent(
        kind=EventKind.PACKAGE_REMOVED,
        summary=f"{reason}; what was published of it stays",
        package=package,
        detail=detail,
    )
    return Change(superseded=dict.fromkeys(waiting, reason), events=(event,))


def is_requested(build: Unfinished) -> bool:
    """Whether a person wants this very build: nothing that is seen takes its place."""
    return build.priority <= Priority.REQUEST


@dataclass(frozen=True, slots=True)
class _Target:
    """The decision for one target."""

    package: Package
    target: str
    seen: Sighting
    packaging: PackagingSighting
    plan: _Plan

    def decide(self, mine: Sequence[Unfinished], *, is_new: bool) -> None:
        """Plan the builds of the target.

        Args:
            mine: builds that wait or run and that nobody asked for.
            is_new: whether the package was never built for it.
        """
        kept = [build for build in mine if not self._drop(build)]
        wanted = [*self._moved(kept), *self._new(is_new=is_new)]
        wanted = list(({build.commit.upstream.sha: build for build in wanted}).values())
        kept = [build for build in kept if build.build not in self.plan.superseded]
        if wanted and self.package.following.commits is CommitPolicy.NEWEST:
            reason = f"{short(wanted[-1].commit.upstream.sha)} is newer"
            self._supersede(kept, reason)
            wanted = [*_never(wanted[:-1], reason), wanted[-1]]
        elif wanted and self.package.following.max_waiting is not None:
            wanted = self._at_most(self.package.following.max_waiting, kept, wanted)
        self.plan.builds += _ranked(wanted)

    def _drop(self, build: Unfinished) -> bool:
        """Give up a build whose commit is on the branch no more; False for others."""
        sha = build.commit.upstream.sha
        is_elsewhere = self.seen.replaced and sha not in {commit.sha for commit in self.seen.new}
        if not is_elsewhere and sha not in self.seen.dropped:
            return False
        head = self.seen.head
        where = f"{head.ref}, which is at {short(head.sha)} now" if head else "the branch"
        self._supersede([build], f"it is no longer on {where}")
        return True

    def _moved(self, kept: Sequence[Unfinished]) -> Iterator[NewBuild]:
        """Waiting builds with earlier packaging, over to what it is now; the newest commit in any case."""
        if not self.packaging.changed:
            return
        for build in kept:
            if not build.running and build.commit.packaging_sha != self.packaging.sha:
                self.plan.superseded[build.build] = NEW_PACKAGING
                yield self._build(build.commit.upstream, ReasonKind.NEW_PACKAGING)
        if not self.seen.new and self.seen.newest is not None:
            self._cancel([build for build in kept if build.commit.upstream == self.seen.newest], NEW_PACKAGING)
            yield self._build(self.seen.newest, ReasonKind.NEW_PACKAGING)

    def _new(self, *, is_new: bool) -> Iterator[NewBuild]:
        if is_new:
            if self.seen.newest is not None:
                yield self._build(self.seen.newest, ReasonKind.NEW_PACKAGE)
            return
        for commit in self.seen.new:
            yield self._build(commit, self.seen.reason, self.seen.details.get(commit.sha, ""))

    def _at_most(self, most: int, kept: Sequence[Unfinished], wanted: Sequence[NewBuild]) -> list[NewBuild]:
        """Let so many wait: the oldest that are too many are superseded."""
        waiting = [build for build in kept if not build.running]
        excess = max(len(waiting) + len(wanted) - most, 0)
        reason = f"newer commits wait, and no more than {most} may ('max_waiting')"
        self._supersede(waiting[:excess], reason)
        surplus = max(excess - len(waiting), 0)
        return [*_never(wanted[:surplus], reason), *wanted[surplus:]]

    def _supersede(self, builds: Sequence[Unfinished], reason: str) -> None:
        self.plan.superseded.update({build.build: reason for build in builds if not build.running})
        self._cancel(builds, reason)

    def _cancel(self, builds: Sequence[Unfinished], reason: str) -> None:
        if self.package.following.cancel_superseded:
            self.plan.cancelled.update({build.build: reason for build in builds if build.running})

    def _build(self, upstream: CommitInfo, kind: ReasonKind, detail: str = "") -> NewBuild:
        commit = Commit(package=self.package.name, upstream=upstream, packaging_sha=self.packaging.sha)
        reason = Reason(kind=kind, detail=detail)
        return NewBuild(commit=commit, target=self.target, priority=Priority.BACKLOG, reason=reason)


def _never(builds: Sequence[NewBuild], reason: str) -> list[NewBuild]:
    """Builds that are recorded, and not made."""
    return [replace(build, superseded=reason) for build in builds]


def _ranked(builds: Sequence[NewBuild]) -> Iterator[NewBuild]:
    """Builds of one target, oldest first, with the newest before others."""
    yield from builds[:-1]
    if builds:
        yield replace(builds[-1], priority=Priority.FRESH)


def _superseded_events(package: Package, plan: _Plan) -> Iterator[NewEvent]:
    """An event for each reason for which builds that waited are superseded."""
    for reason in dict.fromkeys(plan.superseded.values()):
        builds = [build for build, why in plan.superseded.items() if why == reason]
        count = "a waiting build is" if len(builds) == 1 else f"{len(builds)} waiting builds are"
        yield NewEvent(
            kind=EventKind.SUPERSEDED,
            summary=f"{package.name}: {count} superseded: {reason}",
            package=package.name,
            build=builds[0] if len(builds) == 1 else None,
            detail={"count": len(builds), "builds": builds[:MOST_TOLD]},
        )
