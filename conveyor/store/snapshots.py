"""Statements on published snapshots. The caller brings the transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, exists, func, insert, literal, select

from conveyor.model.commit import PACKAGING_SHA_DIGITS, commit_id
from conveyor.model.published import PublishedSnapshot
from conveyor.store.builds import builds_of, find_or_insert
from conveyor.store.tables import SHA1_DIGITS, build, collected_snapshot, entry, upstream_commit

FEW = 500
# As conveyor.model.commit.commit_id makes it.
COMMIT_ID = (
    upstream_commit.c.upstream_sha
    + "_"
    + func.substr(upstream_commit.c.packaging_sha, 1, PACKAGING_SHA_DIGITS)
    + case((upstream_commit.c.extended != "", literal("_") + upstream_commit.c.extended), else_="")
)


def published(
    connection: Connection,
    target: str,
    *,
    until: datetime | None,
    package: str | None,
    commit: str | None,
    limit: int | None,
) -> tuple[PublishedSnapshot, ...]:
    """Snapshots of a target, the one published last first."""
    wanted = {"until": until, "package": package, "most": limit}
    given = {name: value for name, value in wanted.items() if value is not None}
    statement = _published(*given)
    if commit is not None:
        # As numbers, where they are few: a subquery would lose to the index that has the order, and read all of it.
        few = connection.scalars(builds_of(commit).limit(FEW)).all()
        found = entry.c.build_id.in_(few if len(few) < FEW else builds_of(commit))
        statement = statement.where(found, func.substr(COMMIT_ID, 1, len(commit)) == commit)
    return tuple(
        PublishedSnapshot(
            build=number,
            target=of,
            commit=commit_id(*named),
            package=name,
            version=version,
            published_at=published_at,
            collected_at=collected_at,
        )
        for number, of, name, version, published_at, collected_at, *named in connection.execute(
            statement, {"target": target, **given}
        ).all()
    )


@cache
def _published(*given: str) -> Select[*tuple[Any, ...]]:
    """Published snapshots, the one published last first; `given` are the names of the values that narrow them down."""
    statement = (
        select(
            entry.c.build_id,
            entry.c.target,
            entry.c.package,
            entry.c.version,
            entry.c.published_at,
            collected_snapshot.c.collected_at,
            upstream_commit.c.upstream_sha,
            upstream_commit.c.packaging_sha,
            upstream_commit.c.extended,
        )
        .select_from(entry)
        .join(build, build.c.id == entry.c.build_id)
        .join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .outerjoin(collected_snapshot, collected_snapshot.c.build_id == entry.c.build_id)
        .where(entry.c.target == bindparam("target"), entry.c.published_at.is_not(None))
        .order_by(entry.c.published_at.desc(), entry.c.build_id.desc())
    )
    if "until" in given:
        statement = statement.where(entry.c.published_at <= bindparam("until"))
    if "package" in given:
        statement = statement.where(entry.c.package == bindparam("package"))
    return statement.limit(bindparam("most")) if "most" in given else statement


def is_published(
    commit: ColumnElement[str], target: str, *, component: str | None = None, there: bool = False
) -> ColumnElement[bool]:
    """That the id in a column is that of a commit that was published for a target.

    Args:
        commit: the column.
        target: the target's name.
        component: that its package is of this component, too.
        there: that retention has not removed its snapshot, too.
    """
    found = (
        select(entry.c.build_id)
        .where(upstream_commit.c.upstream_sha == func.substr(commit, 1, SHA1_DIGITS), commit == COMMIT_ID)
        # Not by the target's index, which SQLite would take, and look at all of the target's builds.
        .where(build.c.commit_id == upstream_commit.c.id, build.c.target + "" == target)
        .where(entry.c.build_id == build.c.id, entry.c.published_at.is_not(None))
        .limit(1)
    )
    if component is not None:
        found = found.where(entry.c.component == component)
    if there:
        gone = exists(collected_snapshot.c.build_id).where(collected_snapshot.c.build_id == entry.c.build_id)
        found = found.where(~gone.correlate(entry))
    # No EXISTS: PostgreSQL would join all of the target's builds first.
    return found.correlate(commit.table).scalar_subquery().is_not(None)


def mark_collected(connection: Connection, builds: Collection[int], at: datetime) -> None:
    """Remember that snapshots were removed; what was remembered first stays.

    Raises:
        ValueError: a build has no published snapshot.
    """
    for number in sorted(builds):
        has_snapshot = select(literal(1)).where(entry.c.build_id == number, entry.c.published_at.is_not(None))
        if connection.scalar(has_snapshot) is None:
            raise ValueError(f"build {number} has no published snapshot")
        known = select(literal(1)).where(collected_snapshot.c.build_id == number)
        find_or_insert(connection, known, insert(collected_snapshot).values(build_id=number, collected_at=at))
