"""Statements on commits, builds and attempts. The caller brings the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Insert, Select, Update, insert, select, update
from sqlalchemy.exc import IntegrityError

from conveyor.errors import ClaimLost, UnknownName
from conveyor.model.build import Build, Cause, Claim, Outcome, StageTime, State
from conveyor.model.commit import Commit
from conveyor.store import rows
from conveyor.store.tables import SHA1_DIGITS, attempt, build, upstream_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended."""

    outcome: Outcome
    at: datetime
    cause: Cause | None
    stages: Sequence[StageTime]


def find_or_insert(connection: Connection, find: Select[int], new: Insert) -> int:
    """What `find` finds, after inserting it where it is missing; whoever else does the same gets the same."""
    found = connection.scalar(find)
    if found is not None:
        return found
    try:
        with connection.begin_nested():
            connection.execute(new)
    except IntegrityError:
        if connection.scalar(find) is None:  # not a race: what is inserted breaks another constraint
            raise
    return connection.execute(find).scalar_one()


def queue(connection: Connection, commit: Commit, target: str, at: datetime) -> int:
    """The id of the build, made when missing."""
    columns = upstream_commit.c
    find_commit = select(columns.id).where(
        columns.package == commit.package,
        columns.upstream_sha == commit.upstream.sha,
        columns.packaging_sha == commit.packaging_sha,
        columns.extended == commit.extended,
        columns.trunk == commit.trunk,
    )
    commit_id = find_or_insert(connection, find_commit, insert(upstream_commit).values(rows.from_commit(commit)))
    find_build = select(build.c.id).where(build.c.commit_id == commit_id, build.c.target == target)
    new_build = insert(build).values(
        commit_id=commit_id,
        package=commit.package,
        trunk=commit.trunk,
        target=target,
        state=State.QUEUED,
        attempts=0,
        queued_at=at,
    )
    return find_or_insert(connection, find_build, new_build)


def requeue(connection: Connection, build_id: int, at: datetime) -> None:
    """Put the build back into the queue if it finished without success."""
    connection.execute(
        update(build)
        .where(build.c.id == build_id, build.c.state == State.FINISHED, build.c.outcome != Outcome.SUCCEEDED)
        .values(state=State.QUEUED, outcome=None, queued_at=at)
    )


def claim(connection: Connection, build_id: int, claim: Claim) -> bool:
    """Take the build if it is queued: of many claimants, one changes its state and inserts the attempt."""
    taken = connection.execute(
        update(build)
        .where(build.c.id == build_id, build.c.state == State.QUEUED)
        .values(state=State.RUNNING, attempts=build.c.attempts + 1)
    )
    if taken.rowcount == 0:
        return False
    number, queued_at = connection.execute(
        select(build.c.attempts, build.c.queued_at).where(build.c.id == build_id)
    ).one()
    connection.execute(
        insert(attempt).values(
            build_id=build_id,
            number=number,
            queued_at=queued_at,
            started_at=claim.heartbeat_at,
            stages=[],
            **rows.from_claim(claim),
        )
    )
    return True


def change_live_attempt(connection: Connection, build_id: int, token: str | None, **values: object) -> bool:
    """Change the running attempt, if it is the token's; any for None. False when there is none."""
    statement: Update = update(attempt).where(attempt.c.build_id == build_id, attempt.c.finished_at.is_(None))
    if token is not None:
        statement = statement.where(attempt.c.token == token)
    return connection.execute(statement.values(**values)).rowcount == 1


def end_attempt(connection: Connection, build_id: int, token: str | None, ending: Ending) -> bool:
    """End the running attempt, if it is the token's; any for None. False when there is none."""
    return change_live_attempt(
        connection,
        build_id,
        token,
        finished_at=ending.at,
        outcome=ending.outcome,
        stages=rows.from_stages(ending.stages),
        **rows.from_cause(ending.cause),
    )


def end_build(connection: Connection, build_id: int, ending: Ending, version: str | None) -> None:
    """The build finished with its attempt; a version once known stays known."""
    values: dict[str, object] = {"state": State.FINISHED, "outcome": ending.outcome}
    if version is not None:
        values["version"] = version
    if ending.outcome in {Outcome.FAILED, Outcome.ERRORED}:
        values["failed_at"] = ending.at
    connection.execute(update(build).where(build.c.id == build_id).values(values))


def reopen(connection: Connection, build_id: int, at: datetime) -> None:
    """The build is queued again, as if its last attempt had not been."""
    connection.execute(update(build).where(build.c.id == build_id).values(state=State.QUEUED, queued_at=at))


def get(connection: Connection, build_id: int) -> Build:
    """One build.

    Raises:
        UnknownName: there is none.
    """
    row = connection.execute(rows.select_builds().where(build.c.id == build_id)).mappings().one_or_none()
    if row is None:
        raise UnknownName(f"there is no build {build_id}", hint="'conveyor status' lists the builds")
    return rows.to_build(row)


def newest(connection: Connection, package: str | None, target: str | None, limit: int) -> tuple[Build, ...]:
    """The builds of a package, a target, both or all; the one that was made last comes first."""
    statement = rows.select_builds().order_by(build.c.id.desc()).limit(limit)
    if package is not None:
        statement = statement.where(build.c.package == package)
    if target is not None:
        statement = statement.where(build.c.target == target)
    return _values(connection, statement)


def builds_of(prefix: str) -> Select[int]:
    """The trunk's builds of commits whose id begins so, as far as their upstream sha tells."""
    sha = upstream_commit.c.upstream_sha
    begins = prefix[:SHA1_DIGITS]
    # "g" sorts above every hex digit: so the index finds them.
    return (
        select(build.c.id)
        .join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .where(sha >= begins, sha < f"{begins}g", upstream_commit.c.trunk)
    )


def of_commit(connection: Connection, prefix: str) -> tuple[Build, ...]:
    """The trunk's builds of commits whose id begins so, on all targets, in the order in which they were made."""
    found = _values(connection, rows.select_builds().where(build.c.id.in_(builds_of(prefix))).order_by(build.c.id))
    return tuple(each for each in found if each.commit.id.startswith(prefix))


def running_ids() -> Select[int]:
    """The builds that are claimed."""
    return select(attempt.c.build_id).where(attempt.c.finished_at.is_(None))


def chosen(connection: Connection, build_ids: Select[int]) -> tuple[Build, ...]:
    """The builds of these ids, in the order of their last attempts."""
    return _values(connection, rows.select_builds().where(build.c.id.in_(build_ids)).order_by(attempt.c.id))


def _values(connection: Connection, statement: Select[*tuple[object, ...]]) -> tuple[Build, ...]:
    return tuple(rows.to_build(row) for row in connection.execute(statement).mappings())


def lost(build_id: int) -> ClaimLost:
    """The error for a token whose claim is not alive."""
    return ClaimLost(
        f"the claim of build {build_id} was lost",
        cause="its worker was not heard of, and the build was given back to the queue",
        hint="nothing was stored; the build's next attempt decides",
    )
