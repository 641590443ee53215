"""The port `Votes` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from sqlalchemy import RowMapping, insert, select

from conveyor.model.promotion import Vote
from conveyor.store.database import Database
from conveyor.store.tables import vote


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
