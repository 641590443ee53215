"""The port `MirrorStates` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, insert, literal, select, update

from conveyor.model.mirror import MirrorState
from conveyor.store.builds import find_or_insert
from conveyor.store.database import Database
from conveyor.store.tables import mirror_state

COLUMNS = mirror_state.c


class SqlMirrorStates:
    """See `conveyor.ports.MirrorStates`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, mirror: str, target: str) -> MirrorState:
        """See the port."""
        with self._database.reading() as connection:
            row = connection.execute(select(mirror_state).where(_is(mirror, target))).mappings().one_or_none()
        return MirrorState(**row) if row is not None else MirrorState(mirror=mirror, target=target)

    def succeeded(self, mirror: str, target: str, at: datetime) -> None:
        """See the port."""
        self._write(mirror, target, {"synced_at": at, "failed_at": None, "failures": 0, "cause": ""})

    def failed(self, mirror: str, target: str, at: datetime, cause: str) -> None:
        """See the port."""
        self._write(mirror, target, {"failed_at": at, "failures": COLUMNS.failures + 1, "cause": cause})

    def _write(self, mirror: str, target: str, values: dict[str, object]) -> None:
        known = select(literal(1)).where(_is(mirror, target))
        new = insert(mirror_state).values(mirror=mirror, target=target, failures=0, cause="")
        with self._database.writing() as connection:
            find_or_insert(connection, known, new)
            connection.execute(update(mirror_state).where(_is(mirror, target)).values(values))


def _is(mirror: str, target: str) -> ColumnElement[bool]:
    return and_(COLUMNS.mirror == mirror, COLUMNS.target == target)
