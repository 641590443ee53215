"""From a claimed build to its end: folder, stages, outcome, publishing."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from conveyor import __version__
from conveyor.errors import ClaimLost, CommitSuperseded, ConveyorError, DiskFull, Fault, Interrupted
from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import Build, Cause, Outcome, Stage
from conveyor.model.package import PackagingRepository
from conveyor.model.provenance import Provenance
from conveyor.model.target import Target
from conveyor.pipeline.attempt import ROOT, Attempt, cause_of, folder_of, throw_away
from conveyor.pipeline.build import BuildStages, Job, Made
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.heartbeat import beating
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.publish import Publisher

OUTCOMES = {
    Fault.PACKAGE: Outcome.FAILED,
    Fault.USER: Outcome.FAILED,
    Fault.OURS: Outcome.ERRORED,
    Fault.NETWORK: Outcome.ERRORED,
}


class PutBack(KeyboardInterrupt):
    """Raised into the stages of a build that is to be given back to the queue rather than cancelled."""


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


class Runner:
    """Runs claimed builds, one after the other.

    Args:
        parts: the implementations.
        publisher: publishes what succeeded.
        happenings: tells what becomes of builds.
        data: the data directory.
        follow: lets promotions follow what was published; returns what kept any from it.
        stages_only: makes what is held while the stages run. Who has signals raise KeyboardInterrupt there alone keeps
            them from what comes before and after, which is short, and would be left half-done.
    """

    def __init__(
        self,
        parts: Parts,
        publisher: Publisher,
        happenings: Happenings,
        data: Path,
        follow: Callable[[], tuple[ConveyorError, ...]] = tuple,
        stages_only: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._publisher = publisher
        self._happenings = happenings
        self._data = data
        self._follow = follow
        self._stages_only = stages_only

    def run(self, build: Build, job: Job) -> Report:
        """Run a claimed build, record its outcome, and publish it if it is good.

        Raises:
            Interrupted: a person stopped it; the attempt is cancelled.
            PutBack: as it was raised into the stages; the claim is still held.
            ClaimLost: another process was given the build; this attempt does not count.
        """
        folder = folder_of(self._parts.builds, build)
        if folder is None or build.claim is None:
            raise AssertionError("a claimed build has an attempt and a claim")
        with beating(self._store, self._parts.clock, build):
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

    def publish(self, build: Build, target: Target) -> Report:
        """Publish a good build of a trunk commit that is not published yet; one that is stays as it is."""
        if not build.published:
            self._publisher.publish(build, target)
            self._promote(build)
            build = self._store.build(build.id)
        return Report(build=build, ran=False, folder=folder_of(self._parts.builds, build), root=None)

    def shell(self, build: Build, target: Target, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal in the kept root of a build; returns its exit code.

        Raises:
            UnknownName: its root was not kept.
        """
        kept = (folder_of(self._parts.builds, build) or self._parts.builds) / ROOT
        return self._parts.builders[target.builder].shell(target, kept, argv)

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
            with self._stages_only():
                made = stages.run()
            return self._succeeded(attempt, job, made, stages.version)
        except CommitSuperseded as error:
            return self._ended(attempt, Outcome.SUPERSEDED, attempt.cause(error), stages.version)
        except ConveyorError as error:
            return self._ended(attempt, OUTCOMES[error.fault], attempt.cause(error), stages.version)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return self._ended(attempt, Outcome.ERRORED, attempt.cause(disk_full(self._data)), stages.version)
        except PutBack:
            throw_away(attempt.folder)
            raise
        except KeyboardInterrupt as error:
            # The claim is gone where the outcome was recorded just before: then it stands.
            with contextlib.suppress(ClaimLost):
                self._ended(attempt, Outcome.CANCELLED, self._cancelled(attempt.build), stages.version)
            raise Interrupted(f"the build of {job.package.name} for {job.target.name} was cancelled") from error

    def _cancelled(self, build: Build) -> Cause:
        actor = self._store.build(build.id).cancelled_by
        return cause_of(f"{actor} cancelled it" if actor else "it was cancelled")

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
            throw_away(attempt.folder)
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
            events=self._happenings.ended(attempt.build, outcome, cause, version),
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
        bootstrap=made.rendered.render_input.bootstrap,
    )


def disk_full(data: Path) -> DiskFull:
    """The error for a disk without room."""
    return DiskFull(
        "the disk is full",
        cause=f"nothing more can be written below {data}",
        hint="free some room, then run the same command again: what was built is kept",
    )
