"""The port `Events` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, insert, select

from conveyor.model.build import Build
from conveyor.model.event import Event, EventKind, NewEvent
from conveyor.store import counters
from conveyor.store.database import Database
from conveyor.store.tables import event
from conveyor.store.types import harmless, harmless_object, utc


class SqlEvents:
    """See `conveyor.ports.Events`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and `record` DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, events: Sequence[NewEvent], at: datetime) -> tuple[Event, ...]:
        """See the port."""
        with self._database.writing() as connection:
            return append(connection, events, at)

    def after(self, number: int, *, limit: int = 500) -> tuple[Event, ...]:
        """See the port."""
        with self._database.reading() as connection:
            found = connection.execute(_AFTER, {"last": number, "most": limit}).mappings()
            return tuple(_to_event(row) for row in found)

    def newest(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        build: int | None = None,
        kinds: Collection[EventKind] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[Event, ...]:
        """See the port."""
        wanted = {
            "package": package,
            "target": target,
            "build_id": build,
            "kinds": sorted(kinds) or None,
            "before": before,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        with self._database.reading() as connection:
            found = connection.execute(_newest(*given), {**given, "most": limit}).mappings()
            return tuple(_to_event(row) for row in found)


@cache
def _newest(*given: str) -> Select[*tuple[Any, ...]]:
    """The newest events, `most` of them; `given` are the names of the values that narrow them down."""
    conditions = {
        "kinds": event.c.kind.in_(bindparam("kinds", expanding=True)),
        "before": event.c.number < bindparam("before"),
        **{name: event.c[name] == bindparam(name) for name in ("package", "target", "build_id")},
    }
    statement = select(event).order_by(event.c.number.desc()).limit(bindparam("most"))
    return statement.where(*(conditions[name] for name in given))


_AFTER = select(event).where(event.c.number > bindparam("last")).order_by(event.c.number).limit(bindparam("most"))


def append(connection: Connection, events: Sequence[NewEvent], at: datetime) -> tuple[Event, ...]:
    """Add events, in order, with the next numbers."""
    if not events:
        return ()
    first = counters.advance(connection, counters.EVENTS, len(events)) - len(events) + 1
    values = [_from_event(first + index, new, at) for index, new in enumerate(events)]
    connection.execute(insert(event), values)
    return tuple(_recorded(first + index, new, at) for index, new in enumerate(events))


def name(of: Build) -> str:
    """A build, in words."""
    return f"build {of.id} of {of.commit.package} for {of.target}"


def about(of: Build, kind: EventKind, summary: str, detail: Mapping[str, object]) -> NewEvent:
    """An event about a build."""
    return NewEvent(kind=kind, summary=summary, package=of.commit.package, target=of.target, build=of.id, detail=detail)


def cancelled(of: Build) -> NewEvent:
    """The event for a build that was cancelled."""
    actor = of.cancelled_by
    return about(of, EventKind.CANCELLED, f"{actor} cancelled {name(of)}", {"actor": actor})


def _from_event(number: int, new: NewEvent, at: datetime) -> dict[str, object]:
    return {
        "number": number,
        "at": at,
        "kind": new.kind,
        "summary": new.summary,
        "package": new.package,
        "target": new.target,
        "build_id": new.build,
        "detail": harmless_object(new.detail),
    }


def _recorded(number: int, new: NewEvent, at: datetime) -> Event:
    """The event as it will be read."""
    return Event(
        number=number,
        at=utc(at),
        kind=new.kind,
        summary=harmless(new.summary),
        package=harmless(new.package),
        target=harmless(new.target),
        build=new.build,
        detail=harmless_object(new.detail),
    )


def _to_event(row: RowMapping) -> Event:
    return Event(
        number=row[event.c.number],
        at=row[event.c.at],
        kind=EventKind(row[event.c.kind]),
        summary=row[event.c.summary],
        package=row[event.c.package],
        target=row[event.c.target],
        build=row[event.c.build_id],
        detail=row[event.c.detail],
    )
