"""From what somebody asks for to a finished build: queue, claim, and the way from there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from conveyor.model.build import Build, Outcome, State
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.pipeline.attempt import folder_of
from conveyor.pipeline.build import Job
from conveyor.pipeline.claims import Claims, is_dead
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.run import Report, Runner

WAIT_SECONDS = 0.5


class Orders:
    """Carries out orders, one after the other.

    Args:
        parts: the implementations.
        claims: takes builds for this process.
        runner: runs what was taken.
    """

    def __init__(self, parts: Parts, claims: Claims, runner: Runner) -> None:
        self._parts = parts
        self._store = parts.store
        self._claims = claims
        self._runner = runner

    def build(self, package: Package, target: Target, commit: Commit, *, keep_root: bool) -> Report:
        """Build a commit for a target, unless that succeeded before, and publish it.

        Two processes that are asked for the same build run it once: the second waits for the first.

        Raises:
            Interrupted: a person stopped it; the attempt is cancelled.
        """
        build = self._store.queue(commit, target.name, retry=True)
        while build.state is not State.FINISHED:
            claimed = self._claims.take(build.id)
            if claimed is not None:
                return self._runner.run(
                    claimed, Job(package=package, target=target, commit=commit, keep_root=keep_root)
                )
            build = self._wait(build)
        if build.outcome is Outcome.SUCCEEDED and commit.trunk:
            return self._runner.publish(build, target)
        return Report(build=build, ran=False, folder=folder_of(self._parts.builds, build), root=None)

    def shell(self, build: Build, target: Target, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal in the kept root of a build; returns its exit code.

        Raises:
            UnknownName: its root was not kept.
        """
        return self._runner.shell(build, target, argv)

    def _wait(self, build: Build) -> Build:
        seen = self._store.build(build.id)
        if seen.state is State.RUNNING and is_dead(seen.claim):
            self._claims.release(seen)
        elif seen.state is State.RUNNING:
            self._parts.progress.waiting(seen)
            time.sleep(WAIT_SECONDS)
        return self._store.build(build.id)
