"""The door to the database: connections, transactions, and what goes wrong with them in Conveyor's words."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from conveyor.errors import ConveyorError, DiskFull, StoreUnusable

_WAL_RETRY_SECONDS = 0.01
# The last two bytes of SQLite's codes tell variants apart: https://www.sqlite.org/rescode.html
_SQLITE_PRIMARY_CODE = 0xFF
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_DISK_FULL = "53100"
_POSTGRESQL_LOCKED = "55P03"
# A server whose machine is gone says nothing, and would be waited for for hours. Seconds, but for the last:
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_NOTICE_SILENCE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


class Database:
    """One database and its pool of connections.

    Args:
        url: an SQLAlchemy URL: `sqlite:////var/lib/conveyor/store.sqlite` or `postgresql://user@host/name`.
        patience: seconds to wait for another process's lock.
        foreign_keys: whether SQLite checks references; only a migration, which rebuilds tables, goes without.

    Raises:
        StoreUnusable: the URL is none, or names a database that is not supported.
    """

    def __init__(self, url: str, *, patience: float, foreign_keys: bool = True) -> None:
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        make = _sqlite_engine if self.is_sqlite else _postgresql_engine
        try:
            self._engine = make(self.url, patience)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise StoreUnusable(
                f"a {self.url.drivername} store needs a driver that is not installed",
                cause=str(error),
                hint="install psycopg beside Conveyor" if not self.is_sqlite else "use sqlite:///<path of a file>",
            ) from error
        if self.is_sqlite and foreign_keys:
            event.listen(self._engine, "connect", _check_references)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout, and waits for no writer.

        Raises:
            StoreUnusable, DiskFull: see `writing`.
        """
        with self._translated(), self._engine.connect() as connection:
            if not self.is_sqlite:  # every transaction of SQLite sees one state
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                self._begin(connection, "BEGIN")
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable once the block has ended, and never was if it raises.

        Raises:
            StoreUnusable: the database cannot be reached, read or written, or stays locked.
            DiskFull: there is no room for what it must write.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            # Writers queue up at the start: one that began as a reader would fail instead of waiting.
            self._begin(connection, "BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _begin(self, connection: Connection, statement: str) -> None:
        """Begin where we say. As a listener to SQLAlchemy's own beginning it would make each transaction dearer."""
        if self.is_sqlite:
            connection.exec_driver_sql(statement)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver raises into Conveyor's errors; a broken constraint is a defect and stays."""
        try:
            yield
        except (IntegrityError, ProgrammingError, NotSupportedError):
            raise
        except DBAPIError as error:
            raise self._translation(error.orig or error) from error
        except sqlite3.Error as error:  # raised while connecting, which SQLAlchemy does not wrap
            raise self._translation(error) from error

    def _translation(self, error: BaseException) -> ConveyorError:
        name = self.url.database if self.is_sqlite else self.url.render_as_string(hide_password=True)
        cause = str(error).strip().partition("\n")[0]
        if _says(error, sqlite3.SQLITE_FULL, _POSTGRESQL_DISK_FULL):
            return DiskFull(
                f"the store {name} has no room", cause=cause, hint="make room on its disk; nothing stored is lost"
            )
        if _says(error, sqlite3.SQLITE_BUSY, _POSTGRESQL_LOCKED):
            return StoreUnusable(
                f"the store {name} is locked by another process",
                cause=cause,
                hint="end the process that holds it, or try again once it is done",
            )
        if _says(error, sqlite3.SQLITE_CORRUPT, "XX001") or _says(error, sqlite3.SQLITE_NOTADB, "XX002"):
            return StoreUnusable(
                f"the store {name} is damaged or no store", cause=cause, hint="restore it from a backup: docs/store.md"
            )
        return StoreUnusable(
            f"the store {name} cannot be used",
            cause=cause,
            hint="check that it exists, that its server runs, and that this user may read and write it",
        )


def _parsed(url: str) -> URL:
    """The URL, its password hidden from every message."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise StoreUnusable(
            "the store's URL is none", hint="such as sqlite:////var/lib/conveyor/store.sqlite"
        ) from error
    # A memory database is lost with its process, and another one for each thread.
    is_file = (parsed.database or ":").partition(":")[0] not in {"", "file"}
    if backend not in {"sqlite", "postgresql"} or not is_file:
        raise StoreUnusable(
            f"the store cannot be {parsed.render_as_string(hide_password=True)}",
            hint="use sqlite:///<path of a file> or postgresql://<user>@<host>/<database>",
        )
    return parsed


def _says(error: BaseException, sqlite_code: int, sqlstate: str) -> bool:
    """Whether the driver's error carries the code."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & _SQLITE_PRIMARY_CODE == sqlite_code)
    return getattr(error, "sqlstate", None) == sqlstate


def _sqlite_engine(url: URL, patience: float) -> Engine:
    _make_folder(Path(url.database or "").parent)
    engine = create_engine(url, connect_args={"timeout": patience})
    event.listen(engine, "connect", partial(_prepare_sqlite, patience))
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = DiskFull if error.errno == errno.ENOSPC else StoreUnusable
        raise kind(
            f"the store's folder {folder} cannot be made", cause=error.strerror or "", hint="check it and its owner"
        ) from error


def _prepare_sqlite(patience: float, connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Readers beside one writer (WAL), and no commit is acknowledged before it is on the disk (FULL)."""
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    connection.execute("PRAGMA synchronous = FULL")
    _use_wal(connection, patience)


def _use_wal(connection: DBAPIConnection, patience: float) -> None:
    """Use the write-ahead log. SQLite does not itself wait for another process that does so at the same moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _says(error, sqlite3.SQLITE_BUSY, "") or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_SECONDS)
        else:
            return


def _check_references(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _postgresql_engine(url: URL, patience: float) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={round(patience * 1000)}"
    connect_args = {"options": options, "connect_timeout": max(2, round(patience)), **_NOTICE_SILENCE}
    # A connection that was lost while nobody used it is replaced, and nobody hears of it.
    engine = create_engine(url, pool_pre_ping=True, connect_args=connect_args)
    event.listen(engine, "handle_error", _replace_what_does_not_answer)
    return engine


def _replace_what_does_not_answer(context: ExceptionContext) -> None:
    """Replace a connection whatever looking at it says: what tidies up after a loss may complain of something else."""
    if context.is_pre_ping:
        context.is_disconnect = True
