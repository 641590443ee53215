"""The port `Outbox` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import RowMapping, Select, and_, bindparam, delete, func, or_, select, update

from conveyor.model.notice import Channel, NewNotice, Notice
from conveyor.store import counters, upsert
from conveyor.store.database import Database
from conveyor.store.tables import notice

_WAITING = and_(notice.c.sent_at.is_(None), notice.c.given_up_at.is_(None))


class SqlOutbox:
    """See `conveyor.ports.Outbox`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def told(self) -> int:
        """See the port."""
        with self._database.reading() as connection:
            return counters.value(connection, counters.OUTBOX)

    def post(self, notices: Sequence[NewNotice], up_to: int, at: datetime) -> None:
        """See the port. With the same number notices are added, but nobody is told twice of one event."""
        rows = [
            {**asdict(new), "created_at": at, "due_at": new.due_at or at, "tries": 0, "cause": ""} for new in notices
        ]
        with self._database.writing() as connection:
            if counters.raise_to(connection, counters.OUTBOX, up_to):
                upsert.add_missing(connection, notice, rows)

    def due(self, at: datetime, *, limit: int = 50) -> tuple[Notice, ...]:
        """See the port. Oldest is the one that has been due for longest."""
        return self._notices(_waiting().where(notice.c.due_at <= at).limit(limit))

    def sent(self, ids: Collection[int], at: datetime) -> None:
        """See the port. One that was given up stays so."""
        done = update(notice).where(notice.c.id == bindparam("number"), _WAITING).values(sent_at=bindparam("then"))
        if ids:
            with self._database.writing() as connection:
                connection.execute(done, [{"number": number, "then": at} for number in sorted(ids)])

    def failed(self, notice_id: int, cause: str, at: datetime, again_at: datetime | None) -> None:
        """See the port. One that was sent or given up stays so."""
        end = {"given_up_at": at} if again_at is None else {"due_at": again_at}
        this = update(notice).where(notice.c.id == notice_id, _WAITING)
        with self._database.writing() as connection:
            connection.execute(this.values(tries=notice.c.tries + 1, cause=cause, **end))

    def last_sent(self, recipient: str, package: str) -> datetime | None:
        """See the port. One that was given up does not count."""
        statement = select(
            func.max(func.coalesce(notice.c.sent_at, notice.c.due_at, type_=notice.c.due_at.type))
        ).where(notice.c.recipient == recipient, notice.c.package == package, notice.c.given_up_at.is_(None))
        with self._database.reading() as connection:
            return connection.scalar(statement)

    def next_due(self, recipient: str, package: str) -> datetime | None:
        """See the port."""
        of_both = and_(notice.c.recipient == recipient, notice.c.package == package, _WAITING)
        statement = select(notice.c.due_at).where(of_both).order_by(notice.c.due_at).limit(1)
        with self._database.reading() as connection:
            return connection.scalar(statement)

    def waiting(self) -> tuple[Notice, ...]:
        """See the port."""
        return self._notices(_waiting())

    def sizes(self) -> Mapping[Channel, int]:
        """See the port."""
        statement = select(notice.c.channel, func.count()).where(_WAITING).group_by(notice.c.channel)
        with self._database.reading() as connection:
            return {Channel(channel): count for channel, count in connection.execute(statement)}

    def given_up(self, *, limit: int = 50) -> tuple[Notice, ...]:
        """See the port."""
        latest_first = (notice.c.given_up_at.desc(), notice.c.id.desc())
        statement = select(notice).where(notice.c.given_up_at.is_not(None)).order_by(*latest_first).limit(limit)
        return self._notices(statement)

    def forget_waits(self, latest: datetime) -> None:
        """See the port. Nothing is written where none waits longer."""
        late = and_(_WAITING, notice.c.due_at > latest)
        with self._database.reading() as connection:
            if connection.execute(select(notice.c.id).where(late).limit(1)).first() is None:
                return
        with self._database.writing() as connection:
            connection.execute(update(notice).where(late).values(due_at=latest))

    def forget(self, before: datetime) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(notice).where(or_(notice.c.sent_at < before, notice.c.given_up_at < before)))

    def _notices(self, statement: Select[*tuple[object, ...]]) -> tuple[Notice, ...]:
        with self._database.reading() as connection:
            return tuple(_to_notice(row) for row in connection.execute(statement).mappings())


def _waiting() -> Select[*tuple[object, ...]]:
    return select(notice).where(_WAITING).order_by(notice.c.due_at, notice.c.id)


def _to_notice(row: RowMapping) -> Notice:
    return Notice(**{**row, "channel": Channel(row["channel"])})
