"""From what somebody asks for to a finished build: queue, claim, stages, outcome, publishing."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor import __version__
from conveyor.command import process_started
from conveyor.errors import ClaimLost, CommitSuperseded, ConveyorError, DiskFull, Fault, Interrupted
from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import Build, Cause, Claim, Outcome, Stage, State
from conveyor.model.commit import Commit
from conveyor.model.package import Package, PackagingRepository
from conveyor.model.provenance import Provenance
from conveyor.model.target import Target
from conveyor.pipeline.attempt import Attempt, cause_of
from conveyor.pipeline.build import ROOT, BuildStages, Job, Made
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.publish import Publisher

WAIT_SECONDS = 0.5
# What stays in the folder of an attempt that has ended.
KEPT = ("log", "packaging", ROOT)
OUTCOMES = {
    Fault.PACKAGE: Outcome.FAILED,
    Fault.USER: Outcome.FAILED,
    Fault.OURS: Outcome.ERRORED,
    Fault.NETWORK: Outcome.ERRORED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of an order.

    Attributes:
        build: the build, finished.
        ran: whether this process ran it; False where it was known already, or another process ran it.
        folder: the attempt's folder, with log, packaging and results.
        root: folder of the root that was kept; None if it was not.
    """

    build: Build
    ran: bool
    folder: Path | None
    root: Path | None


class Orders:
    """Carries out orders, one after the other.

    Args:
        parts: the implementations.
        publisher: publishes what succeeded.
        data: the data directory.
        follow: lets promotions follow what was published; returns what kept any from it.
    """

    def __init__(
        self,
        parts: Parts,
        publisher: Publisher,
        data: Path,
        follow: Callable[[], tuple[ConveyorError, ...]] = tuple,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._publisher = publisher
        self._data = data
        self._follow = follow

    def build(self, package: Package, target: Target, commit: Commit, *, keep_root: bool) -> Report:
        """Build a commit for a target, unless that succeeded before, and publish it.

        Two processes that are asked for the same build run it once: the second waits for the first.

        Raises:
            Interrupted: a person stopped it; the attempt is cancelled.
        """
        build = self._store.queue(commit, target.name, retry=True)
        while build.state is not State.FINISHED:
            claimed = self._store.claim(build.id, self._claim())
            if claimed is not None:
                job = Job(package=package, target=target, commit=commit, keep_root=keep_root)
                return self._run(claimed, job)
            build = self._wait(build)
        if build.outcome is Outcome.SUCCEEDED and commit.trunk and not build.published:
            self._publisher.publish(build, target)
            self._promote(build)
            build = self._store.build(build.id)
        return Report(build=build, ran=False, folder=self._folder(build), root=None)

    def shell(self, build: Build, target: Target, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal in the kept root of a build; returns its exit code.

        Raises:
            UnknownName: its root was not kept.
        """
        kept = (self._folder(build) or self._parts.builds) / ROOT
        return self._parts.builders[target.builder].shell(target, kept, argv)

    def release_dead(self) -> None:
        """Put builds whose process on this machine is gone back into the queue."""
        for build in self._store.running():
            if _is_dead(build.claim):
                self._release(build)

    def _wait(self, build: Build) -> Build:
        seen = self._store.build(build.id)
        if seen.state is State.RUNNING and _is_dead(seen.claim):
            self._release(seen)
        elif seen.state is State.RUNNING:
            self._parts.progress.waiting(seen)
            time.sleep(WAIT_SECONDS)
        return self._store.build(build.id)

    def _release(self, build: Build) -> None:
        self._throw_away(self._folder(build))
        cause = cause_of("the process that built it was killed")
        token = build.claim.token if build.claim else None
        self._store.release(build.id, cause, self._parts.clock.now(), token=token)

    def _run(self, build: Build, job: Job) -> Report:
        folder = self._folder(build)
        if folder is None or build.claim is None:
            raise AssertionError("a claimed build has an attempt and a claim")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        attempt = Attempt(build, folder, self._parts.progress)
        self._store.set_log(build.id, build.claim.token, str(attempt.log.relative_to(self._data)))
        stages = BuildStages(self._parts, attempt, job)
        finished = self._finish(attempt, job, stages)
        if finished.outcome is Outcome.SUCCEEDED and job.commit.trunk:
            finished = self._publish(attempt, job, finished)
        kept = stages.kept if stages.kept.exists() else None
        return Report(build=finished, ran=True, folder=folder, root=kept)

    def _publish(self, attempt: Attempt, job: Job, build: Build) -> Build:
        try:
            with attempt.running(Stage.PUBLISH):
                self._publisher.publish(build, job.target)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"the build of {job.package.name} for {job.target.name} succeeded, but was not published",
                hint="the next 'conveyor build' publishes it",
            ) from error
        self._promote(build)
        return self._store.build(build.id)

    def _promote(self, build: Build) -> None:
        """Let promotions follow; what keeps them from it is no reason to call the build anything but good."""
        for problem in self._follow():
            if build.log is not None:
                with contextlib.suppress(OSError), (self._data / build.log).open("a", encoding="utf-8") as log:
                    log.write(f"conveyor: a promotion did not move: {problem.summary}\n")

    def _finish(self, attempt: Attempt, job: Job, stages: BuildStages) -> Build:
        """Run the stages and record the outcome: from here on a good build stays good."""
        try:
            return self._succeeded(attempt, job, stages.run(), stages.version)
        except CommitSuperseded as error:
            return self._ended(attempt, Outcome.SUPERSEDED, attempt.cause(error), stages.version)
        except ConveyorError as error:
            return self._ended(attempt, OUTCOMES[error.fault], attempt.cause(error), stages.version)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return self._ended(attempt, Outcome.ERRORED, attempt.cause(disk_full(self._data)), stages.version)
        except KeyboardInterrupt as error:
            # The claim is gone where the outcome was recorded just before: then it stands.
            with contextlib.suppress(ClaimLost):
                self._ended(attempt, Outcome.CANCELLED, cause_of("it was cancelled"), stages.version)
            raise Interrupted(f"the build of {job.package.name} for {job.target.name} was cancelled") from error

    def _succeeded(self, attempt: Attempt, job: Job, made: Made, version: str | None) -> Build:
        if not job.commit.trunk:
            shutil.rmtree(attempt.folder / "source", ignore_errors=True)
            return self._ended(attempt, Outcome.SUCCEEDED, None, version)
        with self._publisher.keeping(job.target):
            artifacts = self._publisher.keep(job.target, made.files)
            entry = self._entry(job, artifacts, version)
            return self._ended(attempt, Outcome.SUCCEEDED, None, version, entry, provenance_of(job, made))

    def _entry(self, job: Job, artifacts: tuple[Artifact, ...], version: str | None) -> SnapshotEntry:
        packaging = job.package.packaging
        return SnapshotEntry(
            package=job.package.name,
            upstream_url=job.package.upstream,
            upstream_sha=job.commit.upstream.sha,
            packaging_url=packaging.url if isinstance(packaging, PackagingRepository) else "",
            packaging_sha=job.commit.packaging_sha,
            extended=job.commit.extended,
            component=job.package.component,
            version=version or "",
            succeeded_at=self._parts.clock.now(),
            latest_succeeded=True,
            artifacts=artifacts,
        )

    def _ended(
        self,
        attempt: Attempt,
        outcome: Outcome,
        cause: Cause | None,
        version: str | None,
        entry: SnapshotEntry | None = None,
        provenance: Provenance | None = None,
    ) -> Build:
        claim = attempt.build.claim
        if claim is None:
            raise AssertionError("a running attempt has a claim")
        # First, so that a full disk has room for the rest, and a kill right after the outcome leaves nothing behind.
        if outcome is not Outcome.SUCCEEDED or entry is not None:
            self._throw_away(attempt.folder)
        if cause is not None:
            with contextlib.suppress(OSError):
                attempt.write(f"conveyor: {outcome}: {cause.summary}")
        return self._store.finish(
            attempt.build.id,
            claim.token,
            outcome=outcome,
            at=entry.succeeded_at if entry else self._parts.clock.now(),
            version=version,
            cause=cause,
            stages=attempt.stages,
            entry=entry,
            provenance=provenance,
        )

    def _throw_away(self, folder: Path | None) -> None:
        """Remove what an ended attempt needs no more: all but its log, its packaging and a kept root."""
        paths = folder.iterdir() if folder is not None and folder.is_dir() else ()
        for path in [path for path in paths if path.name not in KEPT]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _folder(self, build: Build) -> Path | None:
        return self._parts.builds / str(build.id) / str(build.attempt) if build.attempt else None

    def _claim(self) -> Claim:
        pid = os.getpid()
        return Claim(
            token=uuid.uuid4().hex,
            host=platform.node(),
            pid=pid,
            process_started=process_started(pid) or 0,
            heartbeat_at=self._parts.clock.now(),
        )


def provenance_of(job: Job, made: Made) -> Provenance:
    """How a build was made, as far as its stages know."""
    packaging, commit = job.package.packaging, made.rendered.render_input.packaging.commit
    return Provenance(
        builder=job.target.builder,
        conveyor_version=__version__,
        buildroot=made.buildroot,
        upstream_branch=job.package.branch,
        packaging_branch=packaging.branch if isinstance(packaging, PackagingRepository) else "",
        packaging_commit=commit.sha if commit else "",
        packaged_at=commit.committed_at if commit else None,
    )


def disk_full(data: Path) -> DiskFull:
    """The error for a disk without room."""
    return DiskFull(
        "the disk is full",
        cause=f"nothing more can be written below {data}",
        hint="free some room, then run the same command again: what was built is kept",
    )


def _is_dead(claim: Claim | None) -> bool:
    return claim is not None and claim.host == platform.node() and process_started(claim.pid) != claim.process_started
