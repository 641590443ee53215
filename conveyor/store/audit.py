"""The port `AuditLog` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, insert, select

from conveyor.model.access import AuditEntry, Deed, Means, Result
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

    def newest(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        result: Result | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[AuditEntry, ...]:
        """See the port."""
        statement = select(audit).order_by(audit.c.number.desc()).limit(limit)
        for column, wanted in ((audit.c.actor, actor), (audit.c.subject, subject), (audit.c.result, result)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if action is not None:
            statement = statement.where(audit.c.action.icontains(action, autoescape=True))
        if since is not None:
            statement = statement.where(audit.c.at >= since)
        if before is not None:
            statement = statement.where(audit.c.number < before)
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
