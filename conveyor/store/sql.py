"""The port `Store` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from conveyor.errors import UnknownName
from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, StageTime
from conveyor.model.commit import Commit
from conveyor.model.event import NewEvent
from conveyor.model.provenance import Provenance
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Priority, Reason
from conveyor.store import builds, entries, snapshots
from conveyor.store import provenance as made
from conveyor.store.builds import Ending
from conveyor.store.database import Database
from conveyor.store.events import append as append_events
from conveyor.store.newest import NewestEntries


class SqlStore:
    """See `conveyor.ports.Store`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.
        now: the time at which builds are queued and published.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._newest = NewestEntries()

    def queue(self, commit: Commit, target: str, *, retry: bool) -> Build:
        """See the port. A trunk commit and a working copy with the same shas are two builds."""
        with self._database.writing() as connection:
            build_id = builds.queue(connection, commit, target, self._now(), retry=retry)
            return builds.get(connection, build_id)

    def claim(
        self, build_id: int, claim: Claim, *, events: Callable[[Build], Sequence[NewEvent]] | None = None
    ) -> Build | None:
        """See the port. The attempt starts when the claim was last heard of."""
        with self._database.writing() as connection:
            if not builds.claim(connection, build_id, claim):
                return None
            claimed = builds.get(connection, build_id)
            append_events(connection, events(claimed) if events else (), claim.heartbeat_at)
            return claimed

    def heartbeat(self, build_id: int, token: str, at: datetime) -> bool:
        """See the port."""
        with self._database.writing() as connection:
            return builds.change_live_attempt(connection, build_id, token, heartbeat_at=at)

    def set_buildroot(self, build_id: int, token: str, sha256: str) -> None:
        """See the port."""
        self._change_claimed(build_id, token, buildroot_sha256=sha256)

    def set_log(self, build_id: int, token: str, log: str) -> None:
        """See the port."""
        self._change_claimed(build_id, token, log=log)

    def _change_claimed(self, build_id: int, token: str, **values: object) -> None:
        with self._database.writing() as connection:
            if not builds.change_live_attempt(connection, build_id, token, **values):
                raise builds.lost(build_id)

    def release(
        self,
        build_id: int,
        cause: Cause,
        at: datetime,
        *,
        token: str | None = None,
        events: Sequence[NewEvent] = (),
    ) -> None:
        """See the port."""
        ending = Ending(outcome=Outcome.ERRORED, at=at, cause=cause, stages=())
        with self._database.writing() as connection:
            builds.release(connection, build_id, token, ending, events)

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
        """See the port. A successful build of a trunk commit must bring an entry, others than successful must not."""
        if entry is not None and outcome is not Outcome.SUCCEEDED:
            raise ValueError(f"build {build_id} {outcome} and so has no artifacts")
        ending = Ending(outcome=outcome, at=at, cause=cause, stages=stages)
        with self._database.writing() as connection:
            builds.finish(connection, build_id, token, ending, version or (entry.version if entry else None))
            finished = builds.get(connection, build_id)
            if entry is not None:
                entries.add_artifacts(connection, build_id, entry.artifacts)
            if finished.commit.trunk and outcome is Outcome.SUCCEEDED:
                entries.add_entry(connection, finished, _of_build(entry, finished))
                if provenance is not None:
                    made.add(connection, build_id, provenance)
            append_events(connection, events, at)
            return finished

    def mark_published(self, build_id: int, publish_seconds: float, *, events: Sequence[NewEvent] = ()) -> Build:
        """See the port. Doing it again changes nothing."""
        with self._database.writing() as connection:
            before, now = builds.get(connection, build_id), self._now()
            has_entry = entries.publish(connection, build_id, publish_seconds, now)
            published = builds.get(connection, build_id)
            if not has_entry:
                raise ValueError(f"build {build_id} is no successful build of a trunk commit")
            if not before.published:
                append_events(connection, events, now)
            return published

    def build(self, build_id: int) -> Build:
        """See the port."""
        with self._database.reading() as connection:
            return builds.get(connection, build_id)

    def attempts(self, build_id: int) -> tuple[AttemptRecord, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return builds.attempts(connection, build_id)

    def reason(self, build_id: int) -> tuple[Priority, Reason]:
        """See the port."""
        with self._database.reading() as connection:
            return builds.reason(connection, build_id)

    def builds(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        trunk: bool | None = None,
        limit: int = 50,
    ) -> tuple[Build, ...]:
        """See the port. Newest is the build that was made last."""
        with self._database.reading() as connection:
            return builds.newest(connection, package, target, trunk, limit)

    def of_commit(self, prefix: str) -> tuple[Build, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return builds.of_commit(connection, prefix)

    def running(self) -> tuple[Build, ...]:
        """See the port. The one that was claimed first comes first."""
        with self._database.reading() as connection:
            return builds.chosen(connection, builds.running_ids())

    def unpublished(self) -> tuple[Build, ...]:
        """See the port. Oldest is the build that succeeded first."""
        with self._database.reading() as connection:
            waiting = builds.chosen(connection, entries.unpublished_ids())
        return tuple(sorted(waiting, key=lambda build: (build.finished_at, build.id)))

    def entries(self, target: str) -> tuple[SnapshotEntry, ...]:
        """See the port. Only failed and errored builds count as not having succeeded."""
        with self._database.reading() as connection:
            return self._newest.read(connection, target)

    def newest_builds(self, target: str) -> Mapping[str, int]:
        """See the port."""
        with self._database.reading() as connection:
            return entries.newest_by_package(connection, target)

    def entry(self, build_id: int) -> SnapshotEntry:
        """See the port."""
        with self._database.reading() as connection:
            found = entries.of_builds(connection, [build_id])
        if build_id not in found:
            raise UnknownName(f"build {build_id} is no successful build of a trunk commit")
        return found[build_id]

    def provenance(self, build_id: int) -> Provenance | None:
        """See the port."""
        with self._database.reading() as connection:
            return made.of_build(connection, build_id)

    def failing(self, target: str) -> tuple[str, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return entries.failing(connection, target)

    def published_versions(self, target: str, package: str) -> tuple[str, ...]:
        """See the port. The first that succeeded comes first."""
        with self._database.reading() as connection:
            return entries.versions(connection, target, package)

    def published_artifact(self, target: str, name: str, version: str, architecture: str) -> Artifact | None:
        """See the port."""
        with self._database.reading() as connection:
            return entries.package_artifact(connection, target, name, version, architecture)

    def publishers(self, target: str, names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """See the port."""
        with self._database.reading() as connection:
            return entries.publishers(connection, target, names)

    def published(
        self,
        target: str,
        *,
        until: datetime | None = None,
        package: str | None = None,
        commit: str | None = None,
        limit: int | None = None,
    ) -> tuple[PublishedSnapshot, ...]:
        """See the port. Of two published at the same moment the one made later comes first."""
        with self._database.reading() as connection:
            return snapshots.published(connection, target, until=until, package=package, commit=commit, limit=limit)

    def mark_collected(self, builds: Collection[int], at: datetime) -> None:
        """See the port.

        Raises:
            ValueError: a build has no published snapshot.
        """
        with self._database.writing() as connection:
            snapshots.mark_collected(connection, builds, at)

    def close(self) -> None:
        """See the port."""
        self._database.close()


def _of_build(entry: SnapshotEntry | None, build: Build) -> SnapshotEntry:
    """The entry, if it is the build's; what it says of the commit is not stored twice.

    Raises:
        ValueError: it is another's, or missing.
    """
    commit = build.commit
    built = (commit.package, commit.upstream.sha, commit.packaging_sha, commit.extended)
    if entry is None or (entry.package, entry.upstream_sha, entry.packaging_sha, entry.extended) != built:
        raise ValueError(f"build {build.id} succeeded with the entry of another build, or none")
    return entry
