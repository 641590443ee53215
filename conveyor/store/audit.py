"""The port `AuditLog` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from sqlalchemy import RowMapping, insert, select

from conveyor.model.access import AuditEntry, AuditQuery, Deed, Means, Result
from conveyor.store import counters
from conveyor.store.database import Database
from conveyor.store.tables import audit
from conveyor.store.types import harmless_object


class SqlAuditLog:
    """See `conveyor.ports.AuditLog`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and `record` DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, deed: Deed) -> AuditEntry:
        """See the port."""
        with self._database.writing() as connection:
            values = {
                "number": counters.advance(connection, counters.AUDIT),
                "at": deed.at,
                "actor": deed.actor,
                "means": deed.means,
                "address": deed.address,
                "action": deed.action,
                "subject": deed.subject,
                "result": deed.result,
                "detail": harmless_object(deed.detail),
            }
            return _to_entry(connection.execute(insert(audit).values(values).returning(audit)).mappings().one())

    def newest(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """See the port."""
        statement = select(audit).order_by(audit.c.number.desc()).limit(query.limit)
        exact = ((audit.c.actor, query.actor), (audit.c.subject, query.subject), (audit.c.result, query.result))
        for column, wanted in exact:
            if wanted is not None:
                statement = statement.where(column == wanted)
        if query.action is not None:
            statement = statement.where(audit.c.action.icontains(query.action, autoescape=True))
        if query.since is not None:
            statement = statement.where(audit.c.at >= query.since)
        if query.before is not None:
            statement = statement.where(audit.c.number < query.before)
        with self._database.reading() as connection:
            return tuple(_to_entry(row) for row in connection.execute(statement).mappings())


def _to_entry(row: RowMapping) -> AuditEntry:
    deed = Deed(
        at=row[audit.c.at],
        actor=row[audit.c.actor],
        means=Means(row[audit.c.means]),
        address=row[audit.c.address],
        action=row[audit.c.action],
        subject=row[audit.c.subject],
        result=Result(row[audit.c.result]),
        detail=row[audit.c.detail],
    )
    return AuditEntry(number=row[audit.c.number], deed=deed)
