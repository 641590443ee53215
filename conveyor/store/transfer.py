"""All that a store holds as a file, and a store of such a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, islice
from typing import Any, BinaryIO

from sqlalchemy import JSON, BigInteger, Boolean, Column, Connection, Integer, Table, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from conveyor import __version__
from conveyor.errors import NotPossible, StoreUnusable
from conveyor.store import counters
from conveyor.store.database import Database
from conveyor.store.exported import ExportReader, ExportWriter, Line
from conveyor.store.schema import HEAD
from conveyor.store.tables import access_token, access_user, counter, idempotency_key, lease, metadata, web_session
from conveyor.store.types import HarmlessText, UtcDateTime, utc

# Who may act alone now is nothing that happened, and a file that is passed on must let nobody in.
LEFT_OUT = (lease, access_token, access_user, web_session, idempotency_key)
# Each table after those that it refers to.
TABLES = {table.name: table for table in metadata.sorted_tables if table not in LEFT_OUT}
_ROWS_AT_ONCE = 1000
_LARGEST = {Boolean: 1, Integer: 2**31 - 1, BigInteger: 2**63 - 1}


class SqlTransfer:
    """See the module. A transfer is one transaction, whatever others do with the store meanwhile.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and `load` DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def dump(self, out: BinaryIO, at: datetime) -> int:
        """Write everything, as it is at one moment; returns how many rows.

        Args:
            out: where to.
            at: now.

        Raises:
            NotPossible: there is nothing.
            StoreUnusable: a row was changed to what cannot be read.
            OSError: the file cannot be written.
        """
        writer = ExportWriter(out)
        with self._database.reading() as connection:
            if not _used(connection):
                raise NotPossible(
                    "there is nothing to export: the store is empty", hint="check 'database' and --data-dir"
                )
            writer.header(schema=HEAD, conveyor=__version__, exported_at=utc(at).isoformat())
            for table in TABLES.values():
                _dump_table(connection, table, writer)
        writer.end()
        return writer.rows

    def load(self, source: BinaryIO) -> int:
        """Take over everything from a file, or nothing; returns how many rows.

        Raises:
            ExportInvalid: it is none, of another version, or not as it was written.
            NotPossible: something is in the store already.
            OSError: the file cannot be read.
        """
        reader = ExportReader(source)
        reader.header(HEAD)
        with self._database.writing() as connection:
            _require_empty(connection)
            connection.execute(delete(counter))
            count = sum(_load_rows(connection, table, lines, reader) for table, lines in _of_tables(reader))
            _number_on(connection)
        return count


def _dump_table(connection: Connection, table: Table, writer: ExportWriter) -> None:
    statement = select(table).order_by(*table.primary_key).execution_options(yield_per=_ROWS_AT_ONCE)
    columns = list(table.columns)
    try:
        for row in connection.execute(statement):
            writer.row(table.name, {column.name: _to_json(value) for column, value in zip(columns, row, strict=True)})
    except (TypeError, ValueError) as error:
        raise StoreUnusable(
            f"the store cannot be exported: a row of its table {table.name} cannot be read",
            cause=str(error),
            hint="restore it from a backup: docs/store.md",
        ) from error


def _to_json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _used(connection: Connection) -> str:
    """A table that has rows; empty where nothing has happened yet."""
    for table in metadata.tables.values():
        # A new store has begun to count, and nothing else.
        something = select(table).where(counter.c.name != counters.QUEUE) if table is counter else select(table)
        if connection.execute(something.limit(1)).first() is not None:
            return table.name
    return ""


def _require_empty(connection: Connection) -> None:
    """See that nothing is in the store, and that nobody else puts anything there.

    Raises:
        NotPossible: something is.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"LOCK TABLE {', '.join(metadata.tables)} IN ACCESS EXCLUSIVE MODE"))
    table = _used(connection)
    if table:
        raise NotPossible(
            f"nothing can be imported into a store that is not empty: it has rows in {table}",
            hint="import into a new one: name another database, or an empty data directory",
        )


def _of_tables(reader: ExportReader) -> Iterator[tuple[Table, Iterable[Line]]]:
    """The rows of the file, of one table together."""
    for name, lines in groupby(reader.rows(), key=lambda line: line.table):
        if name not in TABLES:
            reader.refuse(f"there is no table {name!r}")
        yield TABLES[name], lines


def _load_rows(connection: Connection, table: Table, lines: Iterable[Line], reader: ExportReader) -> int:
    count, waiting = 0, iter(lines)
    while rows := [_from_line(table, line, reader) for line in islice(waiting, _ROWS_AT_ONCE)]:
        try:
            connection.execute(insert(table), rows)
        except IntegrityError as error:
            cause = str(error.orig).strip().partition("\n")[0]
            reader.refuse(f"it, or one of the {len(rows)} rows before it, breaks a rule of the store: {cause}")
        count += len(rows)
    return count


def _from_line(table: Table, line: Line, reader: ExportReader) -> Mapping[str, object]:
    if set(line.row) != set(table.columns.keys()):
        reader.refuse(f"it has other columns than the table {table.name}")
    row: dict[str, object] = {}
    for column in table.columns:
        try:
            row[column.name] = _from_json(column, line.row[column.name])
        except (TypeError, ValueError):
            reader.refuse(f"{column.name} of {table.name} cannot be {str(line.row[column.name])[:80]!r}")
    return row


def _from_json(column: Column[Any], value: object) -> object:
    """The column's value.

    Raises:
        ValueError: it is none.
    """
    kind = column.type
    if value is None and column.nullable:
        return None
    if isinstance(kind, JSON) and value is not None:
        return value
    if isinstance(kind, UtcDateTime) and isinstance(value, str):
        return utc(datetime.fromisoformat(value))
    expected = str if isinstance(kind, HarmlessText) else kind.python_type
    if type(value) is not expected:  # exactly: True is an int, too
        raise ValueError(f"{value!r} is of another type")
    if isinstance(value, int) and not -_LARGEST[type(kind)] <= value <= _LARGEST[type(kind)]:
        raise ValueError(f"{value} is too large")
    return value


def _number_on(connection: Connection) -> None:
    """Let new rows have numbers that no row has; PostgreSQL does not notice numbers that are given."""
    for table in TABLES.values() if connection.dialect.name != "sqlite" else ():
        column = table.autoincrement_column
        if column is not None:
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, func.max(column))).having(func.max(column).is_not(None)))
