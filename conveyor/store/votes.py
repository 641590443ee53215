"""The port `Votes` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, RowMapping, func, insert, not_, select

from conveyor.model.promotion import Vote, VotesWanted
from conveyor.store.database import Database
from conveyor.store.snapshots import is_published
from conveyor.store.tables import vote
from conveyor.store.types import harmless

_MD5_DIGITS = 32


class SqlVotes:
    """See `conveyor.ports.Votes`.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and `add` DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Vote) -> Vote:
        """See the port."""
        values = {
            "subject": new.subject,
            "target": new.target,
            "job": new.job,
            "success": new.success,
            "url": new.url,
            "notes": new.notes,
            "voter": new.user,
            "at": new.at,
        }
        with self._database.writing() as connection:
            return _to_vote(connection.execute(insert(vote).values(values).returning(vote)).mappings().one())

    def of(self, subject: str, *, target: str | None = None) -> tuple[Vote, ...]:
        """See the port. Oldest is the one that came first."""
        statement = select(vote).where(vote.c.subject == subject).order_by(vote.c.id)
        if target is not None:
            statement = statement.where(vote.c.target.in_([target, ""]))
        with self._database.reading() as connection:
            return tuple(_to_vote(row) for row in connection.execute(statement).mappings())

    def newest(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        """See the port. Of those of one moment the latest is the one that came last."""
        statement = select(vote).where(*_wanted(wanted)).order_by(vote.c.at.desc(), vote.c.id.desc())
        with self._database.reading() as connection:
            found = connection.execute(statement.offset(wanted.offset).limit(wanted.limit)).mappings()
            return tuple(_to_vote(row) for row in found)


def _wanted(wanted: VotesWanted) -> Iterator[ColumnElement[bool]]:
    columns = vote.c
    yield columns.target.in_([wanted.target, ""])
    if wanted.since is not None:
        yield columns.at > wanted.since
    if wanted.job is not None:
        yield columns.job == wanted.job
    if wanted.success is not None:
        succeeded = func.coalesce(columns.success, False)
        yield succeeded if wanted.success else not_(succeeded)
    if wanted.aggregates:
        yield func.length(columns.subject) == _MD5_DIGITS
    else:
        component = None if wanted.component is None else harmless(wanted.component)
        yield is_published(columns.subject, wanted.target, component=component, there=wanted.there)


def _to_vote(row: RowMapping) -> Vote:
    return Vote(
        subject=row[vote.c.subject],
        target=row[vote.c.target],
        job=row[vote.c.job],
        success=row[vote.c.success],
        url=row[vote.c.url],
        notes=row[vote.c.notes],
        user=row[vote.c.voter],
        at=row[vote.c.at],
    )
