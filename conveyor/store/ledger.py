"""The port `Ledger` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import not_, select

from conveyor.errors import UnknownName
from conveyor.model.event import NewEvent
from conveyor.model.promotion import CONSISTENT, CURRENT, LedgerEntry, Move, MoveKind
from conveyor.store import moves
from conveyor.store.database import Database
from conveyor.store.events import append as append_events
from conveyor.store.snapshots import is_published
from conveyor.store.tables import ledger


class SqlLedger:
    """See `conveyor.ports.Ledger`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, those that write DiskFull when it has no room, and those
    that read entries LedgerBroken when one was changed to what cannot be read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, move: Move) -> int:
        """See the port."""
        if not move.steps:
            raise ValueError("a move has at least one step")
        with self._database.writing() as connection:
            return moves.begin(connection, move)

    def complete(self, number: int, at: datetime, *, events: Sequence[NewEvent] = ()) -> tuple[LedgerEntry, ...]:
        """See the port."""
        with self._database.writing() as connection:
            if moves.mark_done(connection, number, at):
                written = moves.append(connection, number, at)
                append_events(connection, events, at)
                return written
        written = self.of_move(number)
        if not written:
            raise ValueError(f"there is no move {number}")
        return written

    def abandon(self, number: int) -> None:
        """See the port."""
        with self._database.writing() as connection:
            moves.forget(connection, number)

    def pending(self) -> tuple[tuple[int, Move], ...]:
        """See the port."""
        with self._database.reading() as connection:
            return moves.pending(connection)

    def entries(
        self,
        *,
        target: str | None = None,
        pointer: str | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[LedgerEntry, ...]:
        """See the port."""
        statement = moves.select_entries().limit(limit)
        if target is not None:
            statement = statement.where(ledger.c.target == target)
        if pointer is not None:
            statement = statement.where(ledger.c.pointer == pointer)
        if until is not None:
            statement = statement.where(ledger.c.at <= until)
        with self._database.reading() as connection:
            return tuple(moves.newest(connection, statement))

    def promotions(
        self,
        target: str,
        *,
        pointer: str | None = None,
        commits: Collection[str] | None = None,
        component: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[LedgerEntry, ...]:
        """See the port."""
        columns = ledger.c
        follows_builds = columns.pointer.in_([CURRENT, CONSISTENT]) | columns.pointer.startswith(f"{CONSISTENT}-")
        statement = moves.select_entries().where(columns.target == target, columns.kind != MoveKind.PUBLISHED)
        statement = statement.where(not_(follows_builds)).offset(offset).limit(limit)
        if pointer is not None:
            statement = statement.where(columns.pointer == pointer)
        if commits is not None:
            statement = statement.where(columns.after.in_(commits))
        if component is not None:
            statement = statement.where(is_published(columns.after, target, component=component))
        with self._database.reading() as connection:
            return tuple(moves.newest(connection, statement))

    def entry(self, number: int) -> LedgerEntry:
        """See the port."""
        with self._database.reading() as connection:
            found = next(moves.newest(connection, moves.select_entries().where(ledger.c.number == number)), None)
        if found is None:
            raise UnknownName(f"the ledger has no entry {number}", hint="'conveyor ledger' lists the entries")
        return found

    def of_move(self, number: int) -> tuple[LedgerEntry, ...]:
        """See the port."""
        with self._database.reading() as connection:
            found = tuple(moves.newest(connection, moves.select_entries().where(ledger.c.move_id == number)))
        return found[::-1]

    def kept(self, target: str) -> frozenset[str]:
        """See the port."""
        statement = select(ledger.c.after).where(ledger.c.target == target, ledger.c.keep)
        with self._database.reading() as connection:
            return frozenset(connection.scalars(statement))

    def broken(self) -> LedgerEntry | None:
        """See the port."""
        with self._database.reading() as connection:
            return moves.first_broken(connection)
