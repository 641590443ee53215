"""From values to rows and back. No statement is run here."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, Select, select

from conveyor.errors import Fault
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, Stage, StageTime, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.queue import Priority, Reason, ReasonKind
from conveyor.store.tables import attempt, build, entry, upstream_commit
from conveyor.store.types import harmless

# A JSON column's value: [[stage, seconds], ...]
StageRows = list[list[str | float]]


def select_builds() -> Select[*tuple[object, ...]]:
    """Builds, each with its commit, its last attempt and what it brought."""
    last_attempt = (attempt.c.build_id == build.c.id) & (attempt.c.number == build.c.attempts)
    return select(build, upstream_commit, attempt, entry.c.published_at, entry.c.publish_seconds).select_from(
        build.join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .outerjoin(attempt, last_attempt)
        .outerjoin(entry, entry.c.build_id == build.c.id)
    )


def to_build(row: RowMapping) -> Build:
    """The value of a row of `select_builds`."""
    outcome = row[build.c.outcome]
    return Build(
        id=row[build.c.id],
        commit=to_commit(row),
        target=row[build.c.target],
        state=State(row[build.c.state]),
        outcome=None if outcome is None else Outcome(outcome),
        attempt=row[build.c.attempts],
        version=row[build.c.version],
        cause=_to_cause(row),
        stages=_to_stages(row),
        queued_at=row[build.c.queued_at],
        started_at=row[attempt.c.started_at],
        finished_at=row[attempt.c.finished_at],
        log=row[attempt.c.log],
        claim=_to_claim(row),
        published=row[entry.c.published_at] is not None,
        errors=row[build.c.errors],
        not_before=row[build.c.not_before],
        ended=row[build.c.ended],
        cancelled_by=row[build.c.cancelled_by],
    )


def to_attempt(row: RowMapping) -> AttemptRecord:
    """The value of a row of attempt."""
    columns = attempt.c
    outcome = row[columns.outcome]
    return AttemptRecord(
        number=row[columns.number],
        outcome=None if outcome is None else Outcome(outcome),
        cause=_to_cause(row),
        stages=tuple(StageTime(stage=Stage(stage), seconds=seconds) for stage, seconds in row[columns.stages]),
        queued_at=row[columns.queued_at],
        started_at=row[columns.started_at],
        finished_at=row[columns.finished_at],
        log=row[columns.log],
        buildroot=row[columns.buildroot_sha256],
    )


def to_reason(row: RowMapping) -> tuple[Priority, Reason]:
    """Why the build of a row is there, and how it goes before others."""
    columns = build.c
    reason = Reason(
        kind=ReasonKind(row[columns.reason]),
        detail=row[columns.reason_detail],
        build=row[columns.reason_build_id],
        cascade=row[columns.cascade],
    )
    return Priority(row[columns.priority]), reason


def from_reason(priority: Priority, reason: Reason) -> dict[str, object]:
    """The columns of build that say why it is there."""
    return {
        "priority": int(priority),
        "reason": reason.kind,
        "reason_detail": reason.detail,
        "reason_build_id": reason.build,
        "cascade": reason.cascade,
    }


def to_commit(row: RowMapping) -> Commit:
    """The commit of a row that holds all of upstream_commit's columns."""
    columns = upstream_commit.c
    return Commit(
        package=row[columns.package],
        upstream=CommitInfo(
            sha=row[columns.upstream_sha],
            committed_at=row[columns.committed_at],
            author=row[columns.author],
            subject=row[columns.subject],
        ),
        packaging_sha=row[columns.packaging_sha],
        extended=row[columns.extended],
        trunk=row[columns.trunk],
    )


def _to_cause(row: RowMapping) -> Cause | None:
    columns = attempt.c
    if row[columns.cause_fault] is None:
        return None
    stage = row[columns.cause_stage]
    return Cause(
        fault=Fault(row[columns.cause_fault]),
        stage=None if stage is None else Stage(stage),
        kind=row[columns.cause_kind],
        summary=row[columns.cause_summary],
        hint=row[columns.cause_hint],
        details=tuple(row[columns.cause_details]),
    )


def _to_stages(row: RowMapping) -> tuple[StageTime, ...]:
    stages = [StageTime(stage=Stage(stage), seconds=seconds) for stage, seconds in row[attempt.c.stages] or ()]
    if row[entry.c.publish_seconds] is not None:
        stages.append(StageTime(stage=Stage.PUBLISH, seconds=row[entry.c.publish_seconds]))
    return tuple(stages)


def _to_claim(row: RowMapping) -> Claim | None:
    columns = attempt.c
    if State(row[build.c.state]) is not State.RUNNING:
        return None
    return Claim(
        token=row[columns.token],
        host=row[columns.host],
        pid=row[columns.pid],
        process_started=row[columns.process_started],
        heartbeat_at=row[columns.heartbeat_at],
    )


def from_commit(commit: Commit) -> dict[str, object]:
    """The columns of upstream_commit."""
    return {
        "package": commit.package,
        "upstream_sha": commit.upstream.sha,
        "packaging_sha": commit.packaging_sha,
        "extended": commit.extended,
        "trunk": commit.trunk,
        "committed_at": commit.upstream.committed_at,
        "author": commit.upstream.author,
        "subject": commit.upstream.subject,
    }


def from_cause(cause: Cause | None) -> dict[str, object]:
    """The cause_ columns of attempt."""
    if cause is None:
        return {}
    return {
        "cause_fault": cause.fault,
        "cause_stage": cause.stage,
        "cause_kind": cause.kind,
        "cause_summary": cause.summary,
        "cause_hint": cause.hint,
        "cause_details": [harmless(line) for line in cause.details],
    }


def from_claim(claim: Claim) -> dict[str, object]:
    """The columns of attempt that say who works on it."""
    return {
        "token": claim.token,
        "host": claim.host,
        "pid": claim.pid,
        "process_started": claim.process_started,
        "heartbeat_at": claim.heartbeat_at,
    }


def from_stages(stages: Sequence[StageTime]) -> StageRows:
    """The stages column of attempt."""
    return [[stage.stage.value, stage.seconds] for stage in stages]
