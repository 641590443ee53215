"""From values to rows and back. No statement is run here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from conveyor.errors import Fault
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, Stage, StageTime, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.queue import Priority, Reason, ReasonKind
from conveyor.store.tables import attempt, build, entry, upstream_commit
from conveyor.store.types import harmless

# A JSON column's value: [[stage, seconds], ...]
StageRows = list[list[str | float]]

# Columns by the values that are made of them, in the order of the arguments of what makes them. Pages read hundreds of
# builds: a place in a row is found faster than a column, and what nobody needs is not read.
COMMIT = (
    upstream_commit.c.package,
    upstream_commit.c.upstream_sha,
    upstream_commit.c.committed_at,
    upstream_commit.c.author,
    upstream_commit.c.subject,
    upstream_commit.c.packaging_sha,
    upstream_commit.c.extended,
    upstream_commit.c.trunk,
)
REASON = (build.c.priority, build.c.reason, build.c.reason_detail, build.c.reason_build_id, build.c.cascade)
_CAUSE = (
    attempt.c.cause_fault,
    attempt.c.cause_stage,
    attempt.c.cause_kind,
    attempt.c.cause_summary,
    attempt.c.cause_hint,
    attempt.c.cause_details,
)
_CLAIM = (attempt.c.token, attempt.c.host, attempt.c.pid, attempt.c.process_started, attempt.c.heartbeat_at)
_BUILD = (
    build.c.id,
    build.c.target,
    build.c.state,
    build.c.outcome,
    build.c.attempts,
    build.c.version,
    attempt.c.stages,
    build.c.queued_at,
    attempt.c.started_at,
    attempt.c.finished_at,
    attempt.c.log,
    entry.c.published_at.is_not(None),
    entry.c.publish_seconds,
    build.c.errors,
    build.c.not_before,
    build.c.ended,
    build.c.cancelled_by,
)
_ATTEMPT = (
    attempt.c.number,
    attempt.c.outcome,
    attempt.c.stages,
    attempt.c.queued_at,
    attempt.c.started_at,
    attempt.c.finished_at,
    attempt.c.log,
    attempt.c.buildroot_sha256,
)
_CAUSE_AT = len(COMMIT)
_CLAIM_AT = _CAUSE_AT + len(_CAUSE)
_BUILD_AT = _CLAIM_AT + len(_CLAIM)

_STATES = {state.value: state for state in State}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_STAGES = {stage.value: stage for stage in Stage}


def select_builds() -> Select[*tuple[object, ...]]:
    """Builds, each with its commit, its last attempt and what it brought."""
    last_attempt = (attempt.c.build_id == build.c.id) & (attempt.c.number == build.c.attempts)
    return select(*COMMIT, *_CAUSE, *_CLAIM, *_BUILD).select_from(
        build.join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .outerjoin(attempt, last_attempt)
        .outerjoin(entry, entry.c.build_id == build.c.id)
    )


def to_build(row: Row[*tuple[Any, ...]]) -> Build:
    """The value of a row of `select_builds`."""
    (
        number,
        target,
        state,
        outcome,
        attempts,
        version,
        stages,
        queued_at,
        started_at,
        finished_at,
        log,
        published,
        publish_seconds,
        errors,
        not_before,
        ended,
        cancelled_by,
    ) = row[_BUILD_AT:]
    return Build(
        id=number,
        commit=to_commit(*row[:_CAUSE_AT]),
        target=target,
        state=_STATES[state],
        outcome=None if outcome is None else _OUTCOMES[outcome],
        attempt=attempts,
        version=version,
        cause=_to_cause(*row[_CAUSE_AT:_CLAIM_AT]),
        stages=_to_stages(stages or (), publish_seconds),
        queued_at=queued_at,
        started_at=started_at,
        finished_at=finished_at,
        log=log,
        claim=_to_claim(*row[_CLAIM_AT:_BUILD_AT]) if state == State.RUNNING else None,
        published=published,
        errors=errors,
        not_before=not_before,
        ended=ended,
        cancelled_by=cancelled_by,
    )


def select_attempts() -> Select[*tuple[object, ...]]:
    """Attempts, each build's in their order."""
    return select(attempt.c.build_id, *_CAUSE, *_ATTEMPT).order_by(attempt.c.build_id, attempt.c.number)


def to_attempt(row: Row[*tuple[Any, ...]]) -> tuple[int, AttemptRecord]:
    """The number of a build, and the value of a row of `select_attempts`."""
    of, *columns = row
    number, outcome, stages, queued_at, started_at, finished_at, log, buildroot = columns[len(_CAUSE) :]
    return of, AttemptRecord(
        number=number,
        outcome=None if outcome is None else _OUTCOMES[outcome],
        cause=_to_cause(*columns[: len(_CAUSE)]),
        stages=_to_stages(stages, None),
        queued_at=queued_at,
        started_at=started_at,
        finished_at=finished_at,
        log=log,
        buildroot=buildroot,
    )


def to_reason(priority: int, kind: str, detail: str, led_by: int | None, cascade: int) -> tuple[Priority, Reason]:
    """Why the build of the columns of `REASON` is there, and how it goes before others."""
    return Priority(priority), Reason(kind=ReasonKind(kind), detail=detail, build=led_by, cascade=cascade)


def from_reason(priority: Priority, reason: Reason) -> dict[str, object]:
    """The columns of build that say why it is there."""
    return {
        "priority": int(priority),
        "reason": reason.kind,
        "reason_detail": reason.detail,
        "reason_build_id": reason.build,
        "cascade": reason.cascade,
    }


def to_commit(
    package: str,
    upstream_sha: str,
    committed_at: datetime,
    author: str,
    subject: str,
    packaging_sha: str,
    extended: str,
    trunk: bool,
) -> Commit:
    """The commit of the columns of `COMMIT`."""
    return Commit(
        package=package,
        upstream=CommitInfo(sha=upstream_sha, committed_at=committed_at, author=author, subject=subject),
        packaging_sha=packaging_sha,
        extended=extended,
        trunk=trunk,
    )


def _to_cause(
    fault: str | None, stage: str | None, kind: str, summary: str, hint: str, details: Sequence[str]
) -> Cause | None:
    if fault is None:
        return None
    return Cause(
        fault=Fault(fault),
        stage=None if stage is None else _STAGES[stage],
        kind=kind,
        summary=summary,
        hint=hint,
        details=tuple(details),
    )


def _to_stages(stages: Sequence[tuple[str, float]], publish_seconds: float | None) -> tuple[StageTime, ...]:
    times = [StageTime(stage=_STAGES[stage], seconds=seconds) for stage, seconds in stages]
    if publish_seconds is not None:
        times.append(StageTime(stage=Stage.PUBLISH, seconds=publish_seconds))
    return tuple(times)


def _to_claim(token: str, host: str, pid: int, process_started: int, heartbeat_at: datetime) -> Claim:
    return Claim(token=token, host=host, pid=pid, process_started=process_started, heartbeat_at=heartbeat_at)


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
