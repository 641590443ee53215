"""The port `Store` in memory, for tests of what uses a store. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from conveyor.errors import ClaimLost, ContentChanged, UnknownName
from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, Stage, StageTime, State
from conveyor.model.commit import Commit
from conveyor.model.event import NewEvent
from conveyor.model.provenance import Provenance
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import REQUESTED, Priority, Reason
from conveyor.store.events import cancelled as cancelled_event
from conveyor.store.types import harmless, utc
from tests.fakes.events import MemoryEvents


@dataclass(slots=True, kw_only=True)
class Record:
    """What is known of a build. `MemoryQueue` changes it, too."""

    build: Build
    priority: Priority = Priority.REQUEST
    reason: Reason = REQUESTED
    given_up: bool = False
    changed: int = 0
    attempts: list[AttemptRecord] = field(default_factory=list)
    entry: SnapshotEntry | None = None
    provenance: Provenance | None = None
    failed_at: datetime | None = None
    published_at: datetime | None = None
    collected_at: datetime | None = None


class MemoryStore:
    """See `conveyor.ports.Store`."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self.records: dict[int, Record] = {}
        self.changes = 0
        self.events = MemoryEvents()
        self._tokens: set[str] = set()

    def change(self, record: Record, **values: object) -> Build:
        """Change a build, which is the queue's next change."""
        self.changes += 1
        record.changed = self.changes
        record.build = replace(record.build, **values)  # type: ignore[arg-type]
        return record.build

    def afresh(self, record: Record, priority: Priority, reason: Reason, **values: object) -> Build:
        """Let a build wait as one that was just asked for."""
        record.priority, record.reason, record.given_up = priority, reason, False
        return self.change(record, errors=0, not_before=None, ended="", cancelled_by="", **values)

    def queue(self, commit: Commit, target: str, *, retry: bool) -> Build:
        record = self.known(commit, target) or self.add(commit, target, self._now())
        build = record.build
        if retry and build.state is State.QUEUED:
            asked = record.priority > Priority.REQUEST
            reason = REQUESTED if asked else record.reason
            self.afresh(record, min(record.priority, Priority.REQUEST), reason)
        elif retry and build.outcome not in {None, Outcome.SUCCEEDED}:
            self.afresh(record, Priority.REQUEST, REQUESTED, state=State.QUEUED, outcome=None, queued_at=self._now())
        return record.build

    def known(self, commit: Commit, target: str) -> Record | None:
        """The build of a commit on a target."""
        for record in self.records.values():
            known = record.build.commit
            if (known.package, known.id, known.packaging_sha, known.trunk, record.build.target) == (
                (commit.package, commit.id, commit.packaging_sha, commit.trunk, target)
            ):
                return record
        return None

    def add(self, commit: Commit, target: str, at: datetime) -> Record:
        """Make a build."""
        build = Build(
            id=len(self.records) + 1,
            commit=_harmless(commit),
            target=target,
            state=State.QUEUED,
            outcome=None,
            attempt=0,
            version=None,
            cause=None,
            stages=(),
            queued_at=utc(at),
            started_at=None,
            finished_at=None,
            log=None,
            claim=None,
            published=False,
        )
        self.records[build.id] = Record(build=build)
        self.change(self.records[build.id])
        return self.records[build.id]

    def claim(
        self, build_id: int, claim: Claim, *, events: Callable[[Build], Sequence[NewEvent]] | None = None
    ) -> Build | None:
        record = self.records.get(build_id)
        if record is None or record.build.state is not State.QUEUED:
            return None
        if claim.token in self._tokens:
            raise ValueError(f"token {claim.token} was used before")
        self._tokens.add(claim.token)
        record.attempts.append(_begun(record.build, claim))
        claimed = self.change(
            record,
            state=State.RUNNING,
            attempt=record.build.attempt + 1,
            cause=None,
            stages=(),
            started_at=utc(claim.heartbeat_at),
            finished_at=None,
            log=None,
            claim=claim,
            not_before=None,
        )
        self.events.record(events(claimed) if events else (), claim.heartbeat_at)
        return claimed

    def heartbeat(self, build_id: int, token: str, at: datetime) -> bool:
        record = self.claimed(build_id, token)
        if record is None or record.build.claim is None:
            return False
        record.build = replace(record.build, claim=replace(record.build.claim, heartbeat_at=utc(at)))
        return True

    def set_log(self, build_id: int, token: str, log: str) -> None:
        record = self.held(build_id, token)
        record.build = replace(record.build, log=log)
        _change_attempt(record, log=log)

    def set_buildroot(self, build_id: int, token: str, sha256: str) -> None:
        _change_attempt(self.held(build_id, token), buildroot=sha256)

    def release(
        self,
        build_id: int,
        cause: Cause,
        at: datetime,
        *,
        token: str | None = None,
        events: Sequence[NewEvent] = (),
    ) -> None:
        record = self.claimed(build_id, token)
        if record is None:
            return
        _change_attempt(record, outcome=Outcome.ERRORED, cause=cause, finished_at=utc(at))
        record.build = replace(record.build, cause=cause, errors=record.build.errors + 1)
        if not record.build.cancelled_by:
            self.events.record(events, at)
        self.leave(record, at, queued_at=utc(at))

    def put_back(self, record: Record, at: datetime) -> None:
        """The attempt of a running build never was."""
        _change_attempt(record, outcome=Outcome.CANCELLED, finished_at=utc(at))
        self.leave(record, at)

    def leave(self, record: Record, at: datetime, **values: object) -> None:
        """A running build waits again, or is cancelled if somebody wants that."""
        ended = {"claim": None, "finished_at": utc(at)}
        if not record.build.cancelled_by:
            self.change(record, state=State.QUEUED, **ended, **values)
            return
        why = "it was to be cancelled as its worker left"
        cancelled = self.change(record, state=State.FINISHED, outcome=Outcome.CANCELLED, ended=why, **ended)
        self.events.record([cancelled_event(cancelled)], at)

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
        if entry is not None and outcome is not Outcome.SUCCEEDED:
            raise ValueError("only a successful build has artifacts")
        record = self.held(build_id, token)
        if record.build.commit.trunk and outcome is Outcome.SUCCEEDED:
            record.entry = self._checked(record.build, entry)
            record.provenance = provenance
        told = {"outcome": outcome, "cause": cause, "stages": tuple(stages), "finished_at": utc(at)}
        _change_attempt(record, **told)
        build = record.build
        if outcome in {Outcome.FAILED, Outcome.ERRORED}:
            record.failed_at = utc(at)
        record.given_up = outcome is Outcome.ERRORED and build.cancelled_by != ""
        errors = {Outcome.SUCCEEDED: 0, Outcome.ERRORED: build.errors + 1}
        self.events.record(events, at)
        return self.change(
            record,
            state=State.FINISHED,
            version=version or (entry.version if entry else build.version),
            claim=None,
            errors=errors.get(outcome, build.errors),
            cancelled_by="" if outcome in {Outcome.SUCCEEDED, Outcome.FAILED} else build.cancelled_by,
            **told,
        )

    def _checked(self, build: Build, entry: SnapshotEntry | None) -> SnapshotEntry:
        built = (build.commit.package, build.commit.upstream.sha, build.commit.packaging_sha, build.commit.extended)
        if entry is None or (entry.package, entry.upstream_sha, entry.packaging_sha, entry.extended) != built:
            raise ValueError("the entry is of another build, or missing")
        seen: dict[tuple[str, str, str], Artifact] = {}
        for made in (one for one in entry.artifacts if one.kind is ArtifactKind.BINARY):
            key = (made.name, made.version, made.architecture)
            known = self.published_artifact(build.target, *key) or seen.setdefault(key, made)
            if known.sha256 != made.sha256:
                raise ContentChanged(f"{made.filename} is already published for {build.target} with other content")
        return entry

    def mark_published(self, build_id: int, publish_seconds: float, *, events: Sequence[NewEvent] = ()) -> Build:
        build = self.build(build_id)
        record = self.records[build_id]
        if record.entry is None:
            raise ValueError(f"build {build_id} is no successful build of a trunk commit")
        if not build.published:
            stages = (*build.stages, StageTime(stage=Stage.PUBLISH, seconds=publish_seconds))
            record.build = replace(build, published=True, stages=stages)
            record.published_at = self._now()
            self.events.record(events, record.published_at)
        return record.build

    def build(self, build_id: int) -> Build:
        if build_id not in self.records:
            raise UnknownName(f"there is no build {build_id}")
        return self.records[build_id].build

    def attempts(self, build_id: int) -> tuple[AttemptRecord, ...]:
        return tuple(self.records[build_id].attempts) if build_id in self.records else ()

    def reason(self, build_id: int) -> tuple[Priority, Reason]:
        self.build(build_id)
        return self.records[build_id].priority, self.records[build_id].reason

    def builds(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        trunk: bool | None = None,
        limit: int = 50,
    ) -> tuple[Build, ...]:
        newest_first = (self.records[build_id].build for build_id in sorted(self.records, reverse=True))
        found = [
            build
            for build in newest_first
            if package in {None, build.commit.package} and target in {None, build.target}
            if trunk in {None, build.commit.trunk}
        ]
        return tuple(found[:limit])

    def of_commit(self, prefix: str) -> tuple[Build, ...]:
        builds = (self.records[number].build for number in sorted(self.records))
        return tuple(build for build in builds if build.commit.trunk and build.commit.id.startswith(prefix))

    def running(self) -> tuple[Build, ...]:
        running = [record.build for record in self.records.values() if record.build.state is State.RUNNING]
        return tuple(sorted(running, key=lambda build: (build.started_at, build.id)))

    def unpublished(self) -> tuple[Build, ...]:
        return tuple(record.build for _, record in self._successes() if not record.build.published)

    def entries(self, target: str) -> tuple[SnapshotEntry, ...]:
        newest = {entry.package: (entry, record) for entry, record in self._of_target(target)}
        return tuple(
            replace(entry, latest_succeeded=not self._failed_since(entry, record.build))
            for _, (entry, record) in sorted(newest.items())
        )

    def newest_builds(self, target: str) -> Mapping[str, int]:
        return {entry.package: record.build.id for entry, record in self._of_target(target)}

    def entry(self, build_id: int) -> SnapshotEntry:
        record = self.records.get(build_id)
        if record is None or record.entry is None:
            raise UnknownName(f"build {build_id} is no successful build of a trunk commit")
        return replace(record.entry, latest_succeeded=not self._failed_since(record.entry, record.build))

    def provenance(self, build_id: int) -> Provenance | None:
        record = self.records.get(build_id)
        return None if record is None else record.provenance

    def failing(self, target: str) -> tuple[str, ...]:
        good = {entry.package: (entry.succeeded_at, record.build.id) for entry, record in self._of_target(target)}
        failed = (
            record.build.commit.package
            for record in self.records.values()
            if record.failed_at is not None
            and (record.build.target, record.build.commit.trunk) == (target, True)
            and (record.failed_at, record.build.id) > good.get(record.build.commit.package, (record.failed_at, 0))
        )
        return tuple(sorted(set(failed)))

    def published_versions(self, target: str, package: str) -> tuple[str, ...]:
        return tuple(
            record.build.version or entry.version
            for entry, record in self._of_target(target)
            if entry.package == package
        )

    def published_artifact(self, target: str, name: str, version: str, architecture: str) -> Artifact | None:
        wanted = (ArtifactKind.BINARY, name, version, architecture)
        made = (made for entry, _ in self._of_target(target) for made in entry.artifacts)
        return next((one for one in made if (one.kind, one.name, one.version, one.architecture) == wanted), None)

    def publishers(self, target: str, names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, set[str]] = defaultdict(set)
        for entry in self.entries(target):
            for made in entry.artifacts:
                if made.kind is ArtifactKind.BINARY and made.name in names:
                    found[made.name].add(entry.package)
        return {name: tuple(sorted(packages)) for name, packages in found.items()}

    def published(
        self,
        target: str,
        *,
        until: datetime | None = None,
        package: str | None = None,
        commit: str | None = None,
        limit: int | None = None,
    ) -> tuple[PublishedSnapshot, ...]:
        found = [
            PublishedSnapshot(
                build=record.build.id,
                target=target,
                commit=record.build.commit.id,
                package=entry.package,
                version=entry.version,
                published_at=record.published_at,
                collected_at=record.collected_at,
            )
            for entry, record in self._of_target(target)
            if record.published_at is not None
            and (until is None or record.published_at <= until)
            and package in {None, entry.package}
            and record.build.commit.id.startswith(commit or "")
        ]
        return tuple(sorted(found, key=lambda one: (one.published_at, one.build), reverse=True)[:limit])

    def mark_collected(self, builds: Collection[int], at: datetime) -> None:
        for number in builds:
            record = self.records.get(number)
            if record is None or record.published_at is None:
                raise ValueError(f"build {number} has no published snapshot")
            record.collected_at = record.collected_at or utc(at)

    def close(self) -> None:
        pass

    def _successes(self) -> list[tuple[SnapshotEntry, Record]]:
        """Successful trunk builds, the first that succeeded first."""
        found = [(record.entry, record) for record in self.records.values() if record.entry is not None]
        return sorted(found, key=lambda pair: (pair[0].succeeded_at, pair[1].build.id))

    def _of_target(self, target: str) -> list[tuple[SnapshotEntry, Record]]:
        return [(entry, record) for entry, record in self._successes() if record.build.target == target]

    def _failed_since(self, entry: SnapshotEntry, build: Build) -> bool:
        return any(
            (record.failed_at, record.build.id) > (entry.succeeded_at, build.id)
            for record in self.records.values()
            if record.failed_at is not None
            and record.build.commit.trunk
            and (record.build.target, record.build.commit.package) == (build.target, entry.package)
        )

    def claimed(self, build_id: int, token: str | None) -> Record | None:
        """A running build, if the claim is the token's; any for None."""
        record = self.records.get(build_id)
        if record is None or record.build.claim is None or token not in {None, record.build.claim.token}:
            return None
        return record

    def held(self, build_id: int, token: str) -> Record:
        """The build that the token's claim is on."""
        record = self.claimed(build_id, token)
        if record is None:
            raise ClaimLost(f"the claim of build {build_id} was lost")
        return record


def _begun(build: Build, claim: Claim) -> AttemptRecord:
    """The attempt that begins with a claim."""
    return AttemptRecord(
        number=build.attempt + 1,
        outcome=None,
        cause=None,
        stages=(),
        queued_at=build.queued_at,
        started_at=utc(claim.heartbeat_at),
        finished_at=None,
        log=None,
        buildroot=None,
    )


def _change_attempt(record: Record, **values: object) -> None:
    record.attempts[-1] = replace(record.attempts[-1], **values)  # type: ignore[arg-type]


def _harmless(commit: Commit) -> Commit:
    upstream = replace(
        commit.upstream,
        committed_at=utc(commit.upstream.committed_at),
        author=harmless(commit.upstream.author),
        subject=harmless(commit.upstream.subject),
    )
    return replace(commit, upstream=upstream)
