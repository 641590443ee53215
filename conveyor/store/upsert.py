"""Rows that are made, or changed where they are there already. The caller brings the transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Row = Mapping[str, object]


def put(connection: Connection, table: Table, rows: Sequence[Row], kept: Collection[str] = ()) -> None:
    """Make rows, or change those with the same primary key. All rows name the same columns.

    Args:
        connection: with a transaction.
        table: where.
        rows: the rows.
        kept: columns that stay as they are in rows that are there already.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    new = _insert(connection, table)
    changed = {name: new.excluded[name] for name in rows[0] if name not in {*keys, *kept}}
    connection.execute(new.on_conflict_do_update(index_elements=keys, set_=changed), [dict(row) for row in rows])


def add_missing(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Make those of the rows that break no constraint of uniqueness."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), [dict(row) for row in rows])


def add_if_missing(connection: Connection, table: Table, row: Row) -> bool:
    """Make a row; False where there is one with the same primary key."""
    keys = list(table.primary_key)
    new = _insert(connection, table).on_conflict_do_nothing(index_elements=keys)
    return connection.execute(new.values(dict(row)).returning(*keys)).first() is not None


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    # Here, because it imports the drivers too, which most sites do not need.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)
