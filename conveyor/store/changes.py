"""Statements that bring what a poll found into the queue, in bulk. The caller brings the transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from conveyor.model.build import Outcome, State
from conveyor.model.commit import Commit
from conveyor.model.queue import Change, NewBuild
from conveyor.store import counters, events, rows, watch
from conveyor.store.tables import build, upstream_commit

# A statement cannot have any number of parameters.
_AT_ONCE = 5_000
# Package, upstream sha, packaging sha, extended hash, trunk.
_Identity = tuple[str, str, str, str, bool]
_Item = TypeVar("_Item")

_OF_NUMBER = update(build).where(build.c.id == bindparam("number"))
_END_WAITING = _OF_NUMBER.where(build.c.state == State.QUEUED).values(
    state=State.FINISHED, outcome=Outcome.SUPERSEDED, ended=bindparam("why"), not_before=None, changed=bindparam("now")
)
_CANCEL_RUNNING = _OF_NUMBER.where(build.c.state == State.RUNNING, build.c.cancelled_by == "").values(
    cancelled_by=bindparam("why"), changed=bindparam("now")
)


def apply(connection: Connection, change: Change, at: datetime) -> tuple[int, ...]:
    """Store all that a poll found; the numbers of the builds made, in order."""
    # First: who else makes builds does so, too, and nobody can between looking and inserting.
    number = counters.advance(connection, counters.QUEUE)
    made = _make_builds(connection, change.builds, at, number)
    _change_each(connection, _END_WAITING, {**change.superseded, **change.cancelled}, number)
    _change_each(connection, _CANCEL_RUNNING, change.cancelled, number)
    watch.set_heads(connection, change.heads)
    watch.set_tags(connection, change.tags)
    events.append(connection, change.events, at)
    return made


def _make_builds(connection: Connection, builds: Sequence[NewBuild], at: datetime, number: int) -> tuple[int, ...]:
    if not builds:
        return ()
    commits = _commit_ids(connection, {_identity(new.commit): new.commit for new in builds})
    known = _known_builds(connection, sorted(set(commits.values())))
    missing: dict[tuple[int, str], NewBuild] = {}
    for new in builds:
        key = commits[_identity(new.commit)], new.target
        if key not in known:
            missing.setdefault(key, new)
    if not missing:
        return ()
    connection.execute(insert(build), [_from_build(*key, new, at, number) for key, new in missing.items()])
    return tuple(connection.scalars(select(build.c.id).where(build.c.changed == number).order_by(build.c.id)))


def _from_build(commit_id: int, target: str, new: NewBuild, at: datetime, number: int) -> dict[str, object]:
    return {
        "commit_id": commit_id,
        "package": new.commit.package,
        "trunk": new.commit.trunk,
        "target": target,
        "state": State.FINISHED if new.superseded else State.QUEUED,
        "outcome": Outcome.SUPERSEDED if new.superseded else None,
        "attempts": 0,
        "queued_at": at,
        "ended": new.superseded,
        "changed": number,
        **rows.from_reason(new.priority, new.reason),
    }


def _commit_ids(connection: Connection, commits: Mapping[_Identity, Commit]) -> Mapping[_Identity, int]:
    """The numbers of the commits' rows, made where they are missing."""
    known = _known_commits(connection, commits)
    missing = [rows.from_commit(commit) for identity, commit in commits.items() if identity not in known]
    if not missing:
        return known
    connection.execute(insert(upstream_commit), missing)
    return _known_commits(connection, commits)


def _known_commits(connection: Connection, commits: Mapping[_Identity, Commit]) -> Mapping[_Identity, int]:
    shas: dict[str, set[str]] = defaultdict(set)
    for commit in commits.values():
        shas[commit.package].add(commit.upstream.sha)
    columns = upstream_commit.c
    identity = (columns.package, columns.upstream_sha, columns.packaging_sha, columns.extended, columns.trunk)
    found: dict[_Identity, int] = {}
    for package, of_package in shas.items():
        for some in _chunks(sorted(of_package)):
            statement = select(*identity, columns.id).where(columns.package == package, columns.upstream_sha.in_(some))
            for name, upstream_sha, packaging_sha, extended, trunk, commit_id in connection.execute(statement):
                found[name, upstream_sha, packaging_sha, extended, trunk] = commit_id
    return found


def _known_builds(connection: Connection, commits: Sequence[int]) -> set[tuple[int, str]]:
    """Of which commits there are builds for which targets."""
    found: set[tuple[int, str]] = set()
    for some in _chunks(commits):
        statement = select(build.c.commit_id, build.c.target).where(build.c.commit_id.in_(some))
        found.update((commit_id, target) for commit_id, target in connection.execute(statement))
    return found


def _change_each(connection: Connection, statement: Update, reasons: Mapping[int, str], number: int) -> None:
    values = [{"number": build_id, "why": why, "now": number} for build_id, why in sorted(reasons.items())]
    if values:
        connection.execute(statement, values)


def _identity(commit: Commit) -> _Identity:
    return (commit.package, commit.upstream.sha, commit.packaging_sha, commit.extended, commit.trunk)


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
