"""What people ask of the queue: cancel, retry, rebuild, pause, and so on. For the command line and the API."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from conveyor.errors import NotPossible, UnknownName
from conveyor.model.build import Build, Outcome, State
from conveyor.model.lease import DAEMON
from conveyor.model.package import Package
from conveyor.model.queue import Pause, Priority, Reason, ReasonKind, Scope, ScopeKind
from conveyor.pipeline.explaining.words import named
from conveyor.pipeline.holders import DaemonState, daemon_state, interrupt, is_here
from conveyor.pipeline.rebuilds.rebuilding import order, unfinished_rebuild
from conveyor.ports import Clock, Leases, Queue, Store, Watch


class Ending(Enum):
    """How a build that is cancelled comes to its end."""

    ENDED = auto()  # it waited, and is cancelled
    BY_DAEMON = auto()  # it runs, and the daemon of its machine ends it
    INTERRUPTED = auto()  # it runs, and was sent a signal
    GONE = auto()  # its process has ended without a word
    ELSEWHERE = auto()  # it runs on another machine, where no daemon is


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A build that is cancelled, or about to be.

    Attributes:
        build: the build, as it is now.
        ending: how it ends.
        again: whether somebody had cancelled it before.
    """

    build: Build
    ending: Ending
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A build that is to be built anew.

    Attributes:
        good: the good build.
        rebuild: the one that is made of it once more, as it is now.
        is_new: whether it was put into the queue now; else it waited or ran already.
    """

    good: Build
    rebuild: Build
    is_new: bool


class Controls:
    """Acts on the queue. What is done is in the event log, with who did it.

    Args:
        store: what was built.
        queue: what waits and runs.
        watch: takes requests to poll.
        leases: knows whether a daemon runs.
        packages: the packages of repos.yaml, by name.
        targets: names of the targets.
        clock: the time.
        lost_after: seconds after which a daemon on another machine counts as gone when it was not heard of.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        watch: Watch,
        leases: Leases,
        packages: Mapping[str, Package],
        targets: Collection[str],
        clock: Clock,
        lost_after: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._watch = watch
        self._leases = leases
        self._packages = packages
        self._targets = targets
        self._clock = clock
        self._lost_after = lost_after

    def daemon(self) -> DaemonState:
        """Whether a daemon runs, which does what is asked for."""
        return daemon_state(self._leases.holder(DAEMON), self._clock.now(), self._lost_after)

    def unfinished(self, package: str, target: str | None, *, waiting: bool) -> tuple[int, ...]:
        """Numbers of a package's builds that wait or run, the oldest first.

        Args:
            package: the package's name.
            target: only those for this target; None for all.
            waiting: leaves out those that run.
        """
        return tuple(
            item.build
            for item in self._queue.changes(0).items
            if item.package == package and target in {None, item.target}
            if item.state is State.QUEUED or not waiting
        )

    def cancel(self, build_id: int, actor: str) -> Cancelled:
        """Cancel a build. One that runs is sent a signal here where no daemon of its machine does it.

        Raises:
            UnknownName: there is no such build.
            NotPossible: it has ended.
            PermissionMissing: its process is another user's; it is marked as cancelled all the same.
        """
        again = bool(self._store.build(build_id).cancelled_by)
        build = self._queue.cancel(build_id, actor, self._clock.now())
        return Cancelled(build=build, ending=self._end(build), again=again)

    def _end(self, build: Build) -> Ending:
        claim = build.claim
        if build.state is not State.RUNNING or claim is None:
            return Ending.ENDED
        daemon = self.daemon()
        if daemon.runs and daemon.lease is not None and daemon.lease.host == claim.host:
            return Ending.BY_DAEMON
        if not is_here(claim):
            return Ending.ELSEWHERE
        return Ending.INTERRUPTED if interrupt(claim) else Ending.GONE

    def retry(self, asked: str, target: str | None, actor: str) -> tuple[Build, ...]:
        """Put what did not succeed into the queue once more: a build, or the latest ones of a package.

        Args:
            asked: a build's number, or a package's name.
            target: of a package only the build for this target; None for all.
            actor: who asks.

        Raises:
            UnknownName: there is no such build or package.
            NotPossible: nothing can be tried again.
        """
        if asked.isascii() and asked.isdigit():
            build = self._store.build(int(asked))
            if target not in {None, build.target}:
                raise NotPossible(f"build {build.id} is for {build.target}", hint="leave out --target")
            return (self._retry(build, actor),)
        builds = tuple(self._latest(asked, target))
        wrong = [build for build in builds if build.outcome in {Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED}]
        if not wrong:
            raise _nothing_to_retry(asked, builds)
        return tuple(self._retry(build, actor) for build in wrong)

    def _latest(self, package: str, target: str | None) -> Iterator[Build]:
        targets = self._packages[package].targets if target is None else (target,)
        for one in targets:
            yield from self._store.builds(package=package, target=one, trunk=True, limit=1)

    def _retry(self, build: Build, actor: str) -> Build:
        self._check_retry(build)
        reason = Reason(kind=ReasonKind.REQUESTED, detail=actor)
        return self._queue.retry(build.id, reason, Priority.REQUEST, self._clock.now())

    def _check_retry(self, build: Build) -> None:
        package = build.commit.package
        if build.outcome is Outcome.SUCCEEDED:
            raise NotPossible(
                f"{named(build)} succeeded, and is not tried again",
                hint=f"to build it anew all the same: conveyor rebuild {package}",
            )
        if build.state is not State.FINISHED:
            raise NotPossible(
                f"{named(build)} has not ended: it is {build.state}",
                hint=f"why it is not done yet: conveyor why {build.id}",
            )
        if not build.commit.trunk:
            raise NotPossible(
                f"{named(build)} is not part of the trunk: the daemon does not build it",
                hint="run the same 'conveyor build' again",
            )
        self._check_configured(build)

    def _check_configured(self, build: Build) -> None:
        package = build.commit.package
        if package not in self._packages or build.target not in self._packages[package].targets:
            raise NotPossible(
                f"repos.yaml does not build {package} for {build.target} any more",
                hint="add it there, then try again",
            )

    def rebuild(self, asked: str, target: str | None, actor: str) -> tuple[Rebuilt, ...]:
        """Build something good anew: a build, or the newest good ones of a package.

        Args:
            asked: a build's number, or a package's name.
            target: of a package only for this target; None for all.
            actor: who asks.

        Raises:
            UnknownName: there is no such build or package.
            NotPossible: there is nothing good that could be built anew.
        """
        if asked.isascii() and asked.isdigit():
            chosen: tuple[Build, ...] = (self._newest_good(self._store.build(int(asked)), target),)
        else:
            chosen = tuple(self._good(asked, target))
            if not chosen:
                raise _never_good(asked, tuple(self._latest(asked, target)))
        return tuple(self._rebuild(build, actor) for build in chosen)

    def _good(self, package: str, target: str | None) -> Iterator[Build]:
        """A package's newest good build on each of its targets."""
        for one in self._packages[package].targets if target is None else (target,):
            number = self._store.newest_builds(one).get(package)
            if number is not None:
                yield self._store.build(number)

    def _newest_good(self, build: Build, target: str | None) -> Build:
        """The build, if it can be built anew."""
        package = build.commit.package
        if target not in {None, build.target}:
            raise NotPossible(f"build {build.id} is for {build.target}", hint="leave out --target")
        self._check_configured(build)
        newest = self._store.newest_builds(build.target).get(package)
        if newest is None:
            raise _never_good(package, (build,))
        if newest != build.id:
            raise NotPossible(
                f"{named(build)} is not the newest good build of {package} for {build.target}",
                hint=f"build that one anew: conveyor rebuild {newest}",
            )
        return build

    def _rebuild(self, good: Build, actor: str) -> Rebuilt:
        now = self._clock.now()
        made = order(self._store, self._queue, good, actor, now)
        if made:
            return Rebuilt(good=good, rebuild=self._store.build(made[0]), is_new=True)
        waiting = unfinished_rebuild(self._store, good)
        if waiting is None:
            raise NotPossible(f"{named(good)} is being built anew by somebody else", hint="'conveyor queue' shows it")
        if waiting.state is State.QUEUED and self._store.reason(waiting.id)[0] > Priority.REQUEST:
            waiting = self._queue.prioritize(waiting.id, Priority.REQUEST, actor, now)
        return Rebuilt(good=good, rebuild=waiting, is_new=False)

    def pause(self, scope: Scope, note: str, actor: str) -> tuple[Pause, bool]:
        """Take no builds from a part of the queue: what holds it now, and whether that is this pause.

        Raises:
            UnknownName: there is no such package or target.
        """
        self._check(scope)
        pause = Pause(scope=scope, actor=actor, note=note, at=self._clock.now())
        if self._queue.pause(pause):
            return pause, True
        before = next((each for each in self._queue.pauses() if each.scope == scope), pause)
        return before, False

    def resume(self, scope: Scope, actor: str) -> tuple[bool, tuple[Pause, ...]]:
        """Take builds from it again: whether it was paused, and what is paused still."""
        resumed = self._queue.resume(scope, actor, self._clock.now())
        return resumed, self._queue.pauses()

    def _check(self, scope: Scope) -> None:
        known: dict[ScopeKind, Collection[str]] = {
            ScopeKind.ALL: ("",),
            ScopeKind.PACKAGE: self._packages,
            ScopeKind.TARGET: self._targets,
        }
        if scope.name not in known[scope.kind]:
            raise UnknownName(f"there is no {scope.kind} {scope.name!r}", hint="'conveyor status' lists what there is")

    def prioritize(self, build_id: int, priority: Priority, actor: str) -> Build:
        """Give a waiting build another priority.

        Raises:
            UnknownName: there is no such build.
            NotPossible: it does not wait.
        """
        return self._queue.prioritize(build_id, priority, actor, self._clock.now())

    def poll(self, packages: Sequence[str], actor: str) -> None:
        """Have packages polled now."""
        self._watch.poke(packages, actor, self._clock.now())


def _nothing_to_retry(package: str, builds: Sequence[Build]) -> NotPossible:
    told = ", ".join(f"build {build.id} for {build.target} {build.outcome or build.state}" for build in builds)
    succeeded = any(build.outcome is Outcome.SUCCEEDED for build in builds)
    hint = f"to build it anew all the same: conveyor rebuild {package}" if succeeded else f"conveyor why {package}"
    if not builds:
        told, hint = "it was never built", f"conveyor build {package}"
    return NotPossible(f"no build of {package} is to be tried again: {told}", hint=hint)


def _never_good(package: str, builds: Sequence[Build]) -> NotPossible:
    told = ", ".join(f"build {build.id} for {build.target} {build.outcome or build.state}" for build in builds)
    ended = any(build.state is State.FINISHED for build in builds)
    hint = f"try that again: conveyor retry {package}" if ended else f"conveyor why {builds[0].id}" if builds else ""
    return NotPossible(
        f"{package} was never built well: {told or 'it was never built'}", hint=hint or f"conveyor build {package}"
    )
