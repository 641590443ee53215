"""Which packages are built anew, without a commit of their own, because what they build with has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import Build, Outcome
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.package import Package, RebuildPolicy
from conveyor.model.provenance import InstalledPackage
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.target import Format, Target
from conveyor.pipeline.interfaces import Interfaces
from conveyor.ports import Events, Queue, Store, Toolchain

LOOKED_AT = 20  # builds of a package, to find its latest of the trunk
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A build dependency that is another one than it was.

    Attributes:
        package: the package that makes it.
        build: that package's newest good build, by its number.
        succeeded_at: when that build ended, with zone.
        cascade: how many builds for changed dependencies led to one another up to that build.
        detail: what changed, in one line.
    """

    package: str
    build: int
    succeeded_at: datetime
    cascade: int
    detail: str


class Rebuilds:
    """Decides by what is recorded alone, so that it may be asked again after a kill, and at any time.

    Args:
        store: what was built, with what in its root.
        queue: gets the rebuilds.
        events: hear of what is not rebuilt any more.
        toolchains: compare versions.
        interfaces: what others are built against.
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
        packages: Mapping[str, Package],
        limit: int,
    ) -> None:
        self._store = store
        self._queue = queue
        self._events = events
        self._toolchains = toolchains
        self._interfaces = interfaces
        self._packages = packages
        self._limit = limit
        self._buildroots: dict[int, tuple[InstalledPackage, ...]] = {}

    def plan(self, target: Target, at: datetime) -> tuple[int, ...]:
        """Queue what is due on a target; the numbers of the builds that are new or wait once more."""
        busy = {item.package for item in self._queue.changes(0).items if item.target == target.name}
        wanting = [
            package
            for package in self._packages.values()
            if package.following.rebuild is not RebuildPolicy.NEVER
            and target.name in package.targets
            and package.name not in busy
        ]
        if not wanting:
            return ()
        state = _State.of(self._store, target)
        return tuple(number for package in wanting for number in self._plan_one(package, target, state, at))

    def order(self, build: Build, actor: str, at: datetime) -> tuple[int, ...]:
        """Queue a rebuild of a good build, because somebody wants it; none where one waits already."""
        reason = Reason(kind=ReasonKind.REQUESTED, detail=f"{actor} wants it built anew", build=build.id)
        return self._rebuild(build, Priority.REQUEST, reason, at)

    def _plan_one(self, package: Package, target: Target, state: _State, at: datetime) -> Iterator[int]:
        latest = self._latest(package.name, target.name)
        good = state.newest.get(package.name)
        if latest is None or good is None:
            return
        changed = tuple(self._changed(package, target, state, good))
        late = tuple(each for each in changed if latest.started_at is None or latest.started_at < each.succeeded_at)
        if not late:
            return
        reason = _reason(late)
        if reason.cascade > self._limit:
            self._stop(package, target, late, at)
        elif latest.id == good:
            yield from self._rebuild(latest, Priority.REBUILD, reason, at)
        elif latest.outcome is Outcome.FAILED:
            yield self._queue.retry(latest.id, reason, Priority.REBUILD, at).id

    def _latest(self, package: str, target: str) -> Build | None:
        builds = self._store.builds(package=package, target=target, limit=LOOKED_AT)
        return next((build for build in builds if build.commit.trunk), None)

    def _changed(self, package: Package, target: Target, state: _State, good: int) -> Iterator[Changed]:
        installed: dict[str, list[InstalledPackage]] = {}
        for one in self._buildroot(good):
            maker = state.makers.get(one.name)
            if maker is not None and maker[0].package != package.name and self._is_older(target, one, maker[1]):
                installed.setdefault(maker[0].package, []).append(one)
        for name, old in installed.items():
            entry = state.entries[name]
            detail = self._detail(package.following.rebuild, target, entry, old)
            if detail:
                number = state.newest[name]
                reason = self._store.reason(number)[1]
                yield Changed(
                    package=name,
                    build=number,
                    succeeded_at=entry.succeeded_at,
                    cascade=reason.cascade,
                    detail=detail,
                )

    def _is_older(self, target: Target, installed: InstalledPackage, newest: Artifact) -> bool:
        return self._toolchains[target.format].compare(installed.version, newest.version) < 0

    def _detail(
        self, policy: RebuildPolicy, target: Target, entry: SnapshotEntry, old: Sequence[InstalledPackage]
    ) -> str:
        """What of a dependency changed so that the policy wants a rebuild; empty for nothing."""
        step = f"{entry.package} {old[0].version} became {entry.version}"
        if policy is RebuildPolicy.ALWAYS:
            return step
        gone = self._interfaces.gone(target, old, entry)
        if gone is None:
            return f"{step}; what it was is not known any more"
        if not gone:
            return ""
        more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
        return f"{step}, without {', '.join(gone[:SHOWN])}{more}"

    def _buildroot(self, build: int) -> tuple[InstalledPackage, ...]:
        if build not in self._buildroots:
            provenance = self._store.provenance(build)
            self._buildroots[build] = (provenance.buildroot if provenance else None) or ()
        return self._buildroots[build]

    def _rebuild(self, build: Build, priority: Priority, reason: Reason, at: datetime) -> tuple[int, ...]:
        commit = build.commit.rebuilt(build.commit.rebuild + 1)
        event = NewEvent(
            kind=EventKind.QUEUED,
            summary=f"{commit.package} is built anew for {build.target}: {reason.detail}",
            package=commit.package,
            target=build.target,
            detail={"commit": commit.id, "because_of": reason.build},
        )
        new = NewBuild(commit=commit, target=build.target, priority=priority, reason=reason)
        return self._queue.apply(Change(builds=(new,), events=(event,)), at)

    def _stop(self, package: Package, target: Target, changed: Sequence[Changed], at: datetime) -> None:
        """Say once for each build that would lead to it that a rebuild is left out."""
        last = max(changed, key=lambda each: each.build)
        told = self._events.newest(package=package.name, target=target.name, kinds=[EventKind.CASCADE_STOPPED], limit=1)
        if told and told[0].detail.get("because_of") == last.build:
            return
        summary = (
            f"{package.name} is not built anew for {target.name} ({last.detail}): "
            f"{self._limit} rebuilds led to one another"
        )
        event = NewEvent(
            kind=EventKind.CASCADE_STOPPED,
            summary=summary,
            package=package.name,
            target=target.name,
            detail={"because_of": last.build},
        )
        self._events.record([event], at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What a target's trunk holds: entries by package, makers by binary package, newest good builds by package."""

    entries: Mapping[str, SnapshotEntry]
    makers: Mapping[str, tuple[SnapshotEntry, Artifact]]
    newest: Mapping[str, int]

    @classmethod
    def of(cls, store: Store, target: Target) -> _State:
        entries = {entry.package: entry for entry in store.entries(target.name)}
        makers = {
            artifact.name: (entry, artifact)
            for entry in entries.values()
            for artifact in entry.artifacts
            if artifact.kind is ArtifactKind.BINARY
        }
        return cls(entries=entries, makers=makers, newest=store.newest_builds(target.name))


def _reason(changed: Sequence[Changed]) -> Reason:
    """All that changed, with the build that came last as what led to it."""
    return Reason(
        kind=ReasonKind.DEPENDENCY,
        detail="; ".join(each.detail for each in changed),
        build=max(each.build for each in changed),
        cascade=1 + max(each.cascade for each in changed),
    )
