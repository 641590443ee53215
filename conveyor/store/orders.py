"""The port `OrderBook` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, insert, select, update

from conveyor.errors import Fault, UnknownName
from conveyor.model.build import Cause, Stage
from conveyor.model.order import NewOrder, Order
from conveyor.store.database import Database
from conveyor.store.tables import build_order as table
from conveyor.store.types import harmless_json, harmless_object

_WAITING = select(table).where(table.c.settled_at.is_(None)).order_by(table.c.number)
_WAITING_OF_ONE = _WAITING.where(table.c.package == bindparam("of"))


class SqlOrderBook:
    """See `conveyor.ports.OrderBook`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewOrder) -> Order:
        """See the port."""
        values = {
            "package": new.package,
            "revision": new.revision,
            "targets": harmless_json(new.targets),
            "actor": new.actor,
            "at": new.at,
            "builds": [],
        }
        with self._database.writing() as connection:
            return _to_order(connection.execute(insert(table).values(values).returning(table)).mappings().one())

    def order(self, number: int) -> Order:
        """See the port."""
        with self._database.reading() as connection:
            found = connection.execute(select(table).where(table.c.number == number)).mappings().one_or_none()
        if found is None:
            raise UnknownName(f"there is no order {number}", hint="what became of an order is forgotten after a month")
        return _to_order(found)

    def waiting(self, package: str | None = None) -> tuple[Order, ...]:
        """See the port. Oldest is the one that was written down first."""
        statement, wanted = (_WAITING, {}) if package is None else (_WAITING_OF_ONE, {"of": package})
        with self._database.reading() as connection:
            return tuple(_to_order(row) for row in connection.execute(statement, wanted).mappings())

    def settle(self, number: int, at: datetime, *, builds: Sequence[int] = (), cause: Cause | None = None) -> None:
        """See the port."""
        one = update(table).where(table.c.number == number, table.c.settled_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(one.values(settled_at=at, builds=[*builds], cause=_from_cause(cause)))

    def forget(self, before: datetime) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.settled_at < before))


def _to_order(row: RowMapping) -> Order:
    columns = table.c
    return Order(
        number=row[columns.number],
        wanted=NewOrder(
            package=row[columns.package],
            revision=row[columns.revision],
            targets=tuple(row[columns.targets]),
            actor=row[columns.actor],
            at=row[columns.at],
        ),
        builds=tuple(row[columns.builds]),
        cause=_to_cause(row[columns.cause]),
        settled_at=row[columns.settled_at],
    )


def _from_cause(cause: Cause | None) -> Mapping[str, object] | None:
    if cause is None:
        return None
    return harmless_object(
        {
            "fault": cause.fault,
            "stage": cause.stage,
            "kind": cause.kind,
            "summary": cause.summary,
            "hint": cause.hint,
            "details": cause.details,
        }
    )


def _to_cause(stored: Mapping[str, Any] | None) -> Cause | None:
    if stored is None:
        return None
    return Cause(
        fault=Fault(stored["fault"]),
        stage=None if stored["stage"] is None else Stage(stored["stage"]),
        kind=stored["kind"],
        summary=stored["summary"],
        hint=stored["hint"],
        details=tuple(stored["details"]),
    )
