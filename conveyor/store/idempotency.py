"""The port `IdempotencyKeys` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, and_, delete, select, update

from conveyor.model.access import Answered, KeyedRequest
from conveyor.store import upsert
from conveyor.store.database import Database
from conveyor.store.tables import idempotency_key as table


class SqlIdempotencyKeys:
    """See `conveyor.ports.IdempotencyKeys`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, request: KeyedRequest, at: datetime) -> Answered | None:
        """See the port."""
        row = {
            "actor": request.actor,
            "key": request.key,
            "digest": request.digest,
            "at": at,
            "status": None,
            "body": "",
        }
        with self._database.writing() as connection:
            while not upsert.add_if_missing(connection, table, row):
                found = connection.execute(select(table).where(_named(request))).mappings().one_or_none()
                if found is not None:  # released meanwhile
                    return _to_answered(found)
        return None

    def complete(self, request: KeyedRequest, status: int, body: str) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(update(table).where(_named(request)).values(status=status, body=body))

    def release(self, request: KeyedRequest) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(table).where(_named(request), table.c.status.is_(None)))

    def forget(self, before: datetime) -> int:
        """See the port."""
        with self._database.writing() as connection:
            return connection.execute(delete(table).where(table.c.at < before)).rowcount


def _named(request: KeyedRequest) -> ColumnElement[bool]:
    return and_(table.c.actor == request.actor, table.c.key == request.key)


def _to_answered(row: RowMapping) -> Answered:
    return Answered(
        digest=row[table.c.digest],
        at=row[table.c.at],
        status=row[table.c.status],
        body=row[table.c.body],
    )
