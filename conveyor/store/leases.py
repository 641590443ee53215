"""The port `Leases` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from conveyor.model.lease import Lease
from conveyor.store import upsert
from conveyor.store.database import Database
from conveyor.store.tables import lease as table

_HELD = select(table).where(table.c.name == bindparam("of"))


class SqlLeases:
    """See `conveyor.ports.Leases`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, lease: Lease, *, lost_after: float) -> Lease:
        """See the port. A holder that was heard of in the future is alive."""
        row = asdict(lease)
        lost = table.c.heartbeat_at < lease.heartbeat_at - timedelta(seconds=lost_after)
        taken_over = update(table).where(table.c.name == lease.name, lost | (table.c.token == lease.token))
        with self._database.writing() as connection:
            while not upsert.add_if_missing(connection, table, row):
                connection.execute(taken_over.values(row))
                held = _held(connection, lease.name)
                if held is not None:  # given back meanwhile
                    return held
            return _held(connection, lease.name) or lease

    def renew(self, name: str, token: str, at: datetime) -> bool:
        """See the port."""
        mine = update(table).where(table.c.name == name, table.c.token == token)
        with self._database.writing() as connection:
            return connection.execute(mine.values(heartbeat_at=at)).rowcount == 1

    def release(self, name: str, token: str) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.name == name, table.c.token == token))

    def holder(self, name: str) -> Lease | None:
        """See the port."""
        with self._database.reading() as connection:
            return _held(connection, name)


def _held(connection: Connection, name: str) -> Lease | None:
    row = connection.execute(_HELD, {"of": name}).mappings().one_or_none()
    return None if row is None else Lease(**row)
