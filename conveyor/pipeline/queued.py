"""Builds that wait in the queue, taken by their numbers: what a worker of the daemon does."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from conveyor.errors import ClaimLost
from conveyor.model.build import Build, Outcome, State
from conveyor.model.package import Package
from conveyor.model.queue import Change
from conveyor.model.target import Target
from conveyor.pipeline.build import Job
from conveyor.pipeline.claims import Claims
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.run import PutBack, Report, Runner
from conveyor.ports import Clock, Queue, Store


class QueuedBuilds:
    """Builds what waits, one after the other.

    Args:
        store: what happened.
        queue: what waits.
        clock: the time.
        claims: takes builds for this process.
        runner: runs what was taken.
        happenings: tells of what is never built.
        packages: the configured packages, by name.
        targets: the configured targets, by name.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        clock: Clock,
        claims: Claims,
        runner: Runner,
        happenings: Happenings,
        packages: Mapping[str, Package],
        targets: Mapping[str, Target],
    ) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._claims = claims
        self._runner = runner
        self._happenings = happenings
        self._packages = packages
        self._targets = targets

    def build(self, number: int) -> Report | None:
        """Build what waits under a number, or publish what succeeded and was not published.

        None where there is nothing to do any more: another process has it, or it was cancelled or superseded.

        Raises:
            Interrupted: it was cancelled.
            PutBack: it was given back to the queue.
            UnknownName: there is no such build.
        """
        build = self._store.build(number)
        package, target = self._packages.get(build.commit.package), self._targets.get(build.target)
        if target is not None and build.outcome is Outcome.SUCCEEDED and build.commit.trunk and not build.published:
            return self._runner.publish(build, target)
        if build.state is not State.QUEUED:
            return None
        if package is None or target is None:
            self._supersede(
                build, "repos.yaml has " + ("the package" if package is None else "the target") + " no more"
            )
            return None
        claimed = self._claims.take(number)
        if claimed is None or claimed.claim is None:
            return None
        try:
            return self._runner.run(claimed, Job(package=package, target=target, commit=build.commit, keep_root=False))
        except PutBack:
            with contextlib.suppress(ClaimLost):
                self._queue.put_back(number, claimed.claim.token, self._clock.now())
            raise

    def _supersede(self, build: Build, why: str) -> None:
        change = Change(superseded={build.id: why}, events=self._happenings.superseded(build, why))
        self._queue.apply(change, self._clock.now())
