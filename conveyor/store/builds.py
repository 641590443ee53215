"""Statements on commits, builds and attempts. The caller brings the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Insert, Select, Update, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from conveyor.errors import ClaimLost, UnknownName
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, StageTime, State
from conveyor.model.commit import Commit
from conveyor.model.event import NewEvent
from conveyor.model.queue import REQUESTED, Priority, Reason
from conveyor.store import counters, events, rows
from conveyor.store.tables import SHA1_DIGITS, attempt, build, upstream_commit

_BEFORE = "before"
# What a build forgets when it is asked for anew.
AFRESH = {"errors": 0, "not_before": None, "given_up": False, "ended": "", "cancelled_by": ""}


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


def queue(connection: Connection, commit: Commit, target: str, at: datetime, *, retry: bool) -> int:
    """The id of the build that a person asked for, made when missing."""
    number = counters.advance(connection, counters.QUEUE)
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
        changed=number,
        **rows.from_reason(Priority.REQUEST, REQUESTED),
    )
    build_id = find_or_insert(connection, find_build, new_build)
    if retry:
        _request(connection, build_id, at, number)
    return build_id


def _request(connection: Connection, build_id: int, at: datetime, number: int) -> None:
    """A person wants it now: one that finished without success waits again, one that waits goes before others."""
    asked = rows.from_reason(Priority.REQUEST, REQUESTED)
    this = update(build).where(build.c.id == build_id).values(changed=number, **AFRESH)
    waiting = this.where(build.c.state == State.QUEUED)
    connection.execute(waiting)
    connection.execute(waiting.where(build.c.priority > int(Priority.REQUEST)).values(asked))
    ended = this.where(build.c.state == State.FINISHED, build.c.outcome != Outcome.SUCCEEDED)
    connection.execute(ended.values(state=State.QUEUED, outcome=None, queued_at=at, **asked))


def claim(connection: Connection, build_id: int, claim: Claim) -> bool:
    """Take the build if it is queued: of many claimants, one changes its state and inserts the attempt."""
    # First, since many look again and again at one that another one works on.
    if connection.scalar(select(build.c.state).where(build.c.id == build_id)) != State.QUEUED:
        return False
    number = counters.advance(connection, counters.QUEUE)
    taken = connection.execute(
        update(build)
        .where(build.c.id == build_id, build.c.state == State.QUEUED)
        .values(state=State.RUNNING, attempts=build.c.attempts + 1, not_before=None, changed=number)
    )
    if taken.rowcount == 0:
        return False
    attempts, queued_at = connection.execute(
        select(build.c.attempts, build.c.queued_at).where(build.c.id == build_id)
    ).one()
    connection.execute(
        insert(attempt).values(
            build_id=build_id,
            number=attempts,
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


def finish(connection: Connection, build_id: int, token: str, ending: Ending, version: str | None) -> None:
    """End the token's attempt, and its build with it; a version once known stays known.

    Raises:
        ClaimLost: the claim with this token is not alive.
    """
    number = counters.advance(connection, counters.QUEUE)
    if not end_attempt(connection, build_id, token, ending):
        raise lost(build_id)
    values: dict[str, object] = {"state": State.FINISHED, "outcome": ending.outcome, "changed": number}
    if version is not None:
        values["version"] = version
    if ending.outcome in {Outcome.FAILED, Outcome.ERRORED}:
        values["failed_at"] = ending.at
    if ending.outcome is Outcome.SUCCEEDED:
        values["errors"] = 0
    if ending.outcome in {Outcome.SUCCEEDED, Outcome.FAILED}:
        values["cancelled_by"] = ""  # it came too late
    if ending.outcome is Outcome.ERRORED:
        # What somebody cancels is not tried again because something else ended it first.
        values |= {"errors": build.c.errors + 1, "given_up": build.c.cancelled_by != ""}
    connection.execute(update(build).where(build.c.id == build_id).values(values))


def release(
    connection: Connection, build_id: int, token: str | None, ending: Ending, told: Sequence[NewEvent] = ()
) -> bool:
    """End the token's attempt, or any for None; the build waits again, or is cancelled if somebody wants that.

    False when there is no such attempt.
    """
    number = counters.advance(connection, counters.QUEUE)
    if not end_attempt(connection, build_id, token, ending):
        return False
    errored = ending.outcome is Outcome.ERRORED
    this = update(build).where(build.c.id == build_id).values(errors=build.c.errors + int(errored), changed=number)
    waits = this.where(build.c.cancelled_by == "").values(state=State.QUEUED)
    if connection.execute(waits.values(queued_at=ending.at) if errored else waits).rowcount:
        events.append(connection, told, ending.at)
        return True
    ends = {"state": State.FINISHED, "outcome": Outcome.CANCELLED, "ended": "it was to be cancelled as its worker left"}
    connection.execute(this.values(ends))
    events.append(connection, [events.cancelled(get(connection, build_id))], ending.at)
    return True


def get(connection: Connection, build_id: int) -> Build:
    """One build.

    Raises:
        UnknownName: there is none.
    """
    row = connection.execute(_ONE, {"number": build_id}).one_or_none()
    if row is None:
        raise unknown(build_id)
    return rows.to_build(row)


def attempts(connection: Connection, build_id: int) -> tuple[AttemptRecord, ...]:
    """The attempts of a build, the first one first."""
    return tuple(rows.to_attempt(row)[1] for row in connection.execute(_ATTEMPTS, {"number": build_id}))


def reason(connection: Connection, build_id: int) -> tuple[Priority, Reason]:
    """Why a build is there, and how it goes before others.

    Raises:
        UnknownName: there is no such build.
    """
    row = connection.execute(_REASON, {"number": build_id}).one_or_none()
    if row is None:
        raise unknown(build_id)
    return rows.to_reason(*row)


def newest(
    connection: Connection,
    package: str | None,
    target: str | None,
    trunk: bool | None,
    limit: int,
    before: int | None = None,
) -> tuple[Build, ...]:
    """The builds of a package, a target, both or all, from before a number or all; the one made last comes first."""
    wanted = {"package": package, "target": target, "trunk": trunk, _BEFORE: before}
    given = {column: value for column, value in wanted.items() if value is not None}
    found = connection.execute(_newest(*given), {**given, "most": limit})
    return tuple(rows.to_build(row) for row in found.all())


def builds_of(prefix: str, *, trunk: bool | None = True) -> Select[int]:
    """Builds of commits whose id begins so, as far as their upstream sha tells; of the trunk, of others or both."""
    sha = upstream_commit.c.upstream_sha
    begins = prefix[:SHA1_DIGITS]
    # "g" sorts above every hex digit: so the index finds them.
    found = (
        select(build.c.id)
        .join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .where(sha >= begins, sha < f"{begins}g")
    )
    return found if trunk is None else found.where(upstream_commit.c.trunk == trunk)


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
    return tuple(rows.to_build(row) for row in connection.execute(statement).all())


@cache
def _newest(*columns: str) -> Select[*tuple[object, ...]]:
    """The newest builds whose columns have the values that are given by these names, `most` of them; see `newest`."""
    found = rows.select_builds().order_by(build.c.id.desc()).limit(bindparam("most"))
    equal = (build.c[column] == bindparam(column) for column in columns if column != _BEFORE)
    return found.where(*equal, *([build.c.id < bindparam(_BEFORE)] if _BEFORE in columns else []))


def unknown(build_id: int) -> UnknownName:
    """The error for a number that no build has."""
    return UnknownName(f"there is no build {build_id}", hint="'conveyor status' lists the builds")


def lost(build_id: int) -> ClaimLost:
    """The error for a token whose claim is not alive."""
    return ClaimLost(
        f"the claim of build {build_id} was lost",
        cause="its worker was not heard of, and the build was given back to the queue",
        hint="nothing was stored; the build's next attempt decides",
    )


# Made once: to put them together takes longer than to run them.
_ONE = rows.select_builds().where(build.c.id == bindparam("number"))
_ATTEMPTS = rows.select_attempts().where(attempt.c.build_id == bindparam("number"))
_REASON = select(*rows.REASON).where(build.c.id == bindparam("number"))
