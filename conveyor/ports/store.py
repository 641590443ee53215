"""What happened, durably."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, StageTime
from conveyor.model.commit import Commit
from conveyor.model.event import NewEvent
from conveyor.model.provenance import Provenance
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Priority, Reason


class Store(Protocol):
    """What happened, durably. Each method is one transaction."""

    def queue(self, commit: Commit, target: str, *, retry: bool) -> Build:
        """The build of a commit on a target that a person asks for, made when it does not exist.

        Args:
            commit: what to build.
            target: for what.
            retry: put a build that finished with another outcome than "succeeded" back into the queue, and one that
                waits before those that nobody asked for; its errors are forgotten.
        """

    def claim(
        self, build_id: int, claim: Claim, *, events: Callable[[Build], Sequence[NewEvent]] | None = None
    ) -> Build | None:
        """Take a queued build and start its next attempt; None when it is not queued (any more).

        What `events` makes of the claimed build is recorded with it.
        """

    def heartbeat(self, build_id: int, token: str, at: datetime) -> bool:
        """Say that the claim is alive; False when it was lost."""

    def set_buildroot(self, build_id: int, token: str, sha256: str) -> None:
        """Remember what is installed in the running attempt's root, by its hash.

        Raises:
            ClaimLost: the claim with this token is not alive.
        """

    def set_log(self, build_id: int, token: str, log: str) -> None:
        """Remember where the running attempt's log is, relative to the data directory.

        Raises:
            ClaimLost: the claim with this token is not alive.
        """

    def release(
        self,
        build_id: int,
        cause: Cause,
        at: datetime,
        *,
        token: str | None = None,
        events: Sequence[NewEvent] = (),
    ) -> None:
        """End the attempt of a dead claim as errored and put the build back into the queue.

        One that is to be cancelled ends so instead, with an event.

        Args:
            build_id: the build; nothing happens when it is not running.
            cause: why.
            at: when.
            token: the dead claim's, so that a claim made meanwhile is left alone; None for any.
            events: what tells of it. A build that was to be cancelled ends as that, with an event of its own instead.
        """

    def finish(
        self,
        build_id: int,
        token: str,
        *,
        outcome: Outcome,
        at: datetime,
        version: str | None,
        cause: Cause | None,
        stages: Sequence[StageTime],
        entry: SnapshotEntry | None,
        provenance: Provenance | None = None,
        events: Sequence[NewEvent] = (),
    ) -> Build:
        """End the running attempt. `entry` holds the artifacts of a successful one, `provenance` how they were made.

        The events are recorded with it.

        Raises:
            ClaimLost: the claim with this token is not alive.
            ContentChanged: an artifact's name, version and architecture exists with other content.
        """

    def mark_published(self, build_id: int, publish_seconds: float, *, events: Sequence[NewEvent] = ()) -> Build:
        """Remember that the build's snapshot is published, and record the events unless it was remembered before."""

    def build(self, build_id: int) -> Build:
        """One build.

        Raises:
            UnknownName: there is none.
        """

    def attempts(self, build_id: int) -> tuple[AttemptRecord, ...]:
        """The attempts of a build, the first one first; none where there is no such build."""

    def reason(self, build_id: int) -> tuple[Priority, Reason]:
        """Why a build is there, and how it goes before others.

        Raises:
            UnknownName: there is no such build.
        """

    def builds(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        trunk: bool | None = None,
        limit: int = 50,
    ) -> tuple[Build, ...]:
        """Builds, newest first.

        Args:
            package: leaves out those of other packages; None for all.
            target: leaves out those for other targets; None for all.
            trunk: whether only those of trunk commits, or only those of others; None for both.
            limit: how many at most.
        """

    def of_commit(self, prefix: str) -> tuple[Build, ...]:
        """Builds of the trunk's commits whose id begins so, on all targets, in the order in which they were made."""

    def running(self) -> tuple[Build, ...]:
        """Builds that are claimed."""

    def unpublished(self) -> tuple[Build, ...]:
        """Successful builds of trunk commits whose snapshot is not published, oldest first."""

    def entries(self, target: str) -> tuple[SnapshotEntry, ...]:
        """For each package its newest successful build of a trunk commit, sorted by package.

        Newest is the build that finished last; `latest_succeeded` says whether a later one did not succeed.
        """

    def newest_builds(self, target: str) -> Mapping[str, int]:
        """The numbers of the builds whose entries `entries` gives, by package."""

    def entry(self, build_id: int) -> SnapshotEntry:
        """What a successful build of a trunk commit brings into a snapshot.

        Raises:
            UnknownName: there is no such build.
        """

    def provenance(self, build_id: int) -> Provenance | None:
        """How a successful build of a trunk commit was made; None where that was not recorded."""

    def failing(self, target: str) -> tuple[str, ...]:
        """Packages whose latest finished build of a trunk commit did not succeed, sorted; cancelled ones left out."""

    def published_versions(self, target: str, package: str) -> tuple[str, ...]:
        """EVR strings of the package's successful trunk builds, of other commits included."""

    def published_artifact(self, target: str, name: str, version: str, architecture: str) -> Artifact | None:
        """The binary artifact that is already known under this name, version and architecture."""

    def publishers(self, target: str, names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Who publishes binary packages of these names: the packages whose entries have them, sorted, by name.

        An entry is that of `entries`; a name that no entry has is left out.
        """

    def published(
        self,
        target: str,
        *,
        until: datetime | None = None,
        package: str | None = None,
        commit: str | None = None,
        limit: int | None = None,
    ) -> tuple[PublishedSnapshot, ...]:
        """Snapshots of a target, the one published last first, collected ones included.

        Args:
            target: the target's name.
            until: leaves out those published later.
            package: leaves out those of other packages' builds.
            commit: leaves out those whose commit's id begins otherwise.
            limit: how many at most.
        """

    def mark_collected(self, builds: Collection[int], at: datetime) -> None:
        """Remember that the snapshots of these builds were removed; what was remembered first stays."""

    def close(self) -> None:
        """Let go of the database."""
