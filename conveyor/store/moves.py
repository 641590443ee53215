"""Statements on moves of pointers and on the ledger. The caller brings the transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Text, delete, insert, select, type_coerce, update
from sqlalchemy.exc import IntegrityError

from conveyor.errors import LedgerBroken
from conveyor.model import chain
from conveyor.model.promotion import LedgerEntry, Move, MoveKind, Step
from conveyor.store.tables import ledger, pointer_move, pointer_step

_ROWS_AT_ONCE = 1000


def begin(connection: Connection, move: Move) -> int:
    """Insert a move that has not happened yet; returns its number."""
    values = {
        "kind": move.kind,
        "actor": move.actor,
        "note": move.note,
        "evidence": json.loads(chain.canonical(move.evidence)),
        "keep": move.keep,
        "began_at": move.at,
    }
    number: int = connection.execute(insert(pointer_move).values(values).returning(pointer_move.c.id)).scalar_one()
    steps = [
        {
            "move_id": number,
            "position": position,
            "target": step.target,
            "pointer": step.pointer,
            "before": step.before,
            "after": step.after,
        }
        for position, step in enumerate(move.steps)
    ]
    connection.execute(insert(pointer_step), steps)
    return number


def mark_done(connection: Connection, number: int, at: datetime) -> bool:
    """Of those who do this for one move, one gets True; False for a move that was never begun, too."""
    statement = update(pointer_move).where(pointer_move.c.id == number, pointer_move.c.done_at.is_(None))
    return connection.execute(statement.values(done_at=at)).rowcount == 1


def append(connection: Connection, number: int, at: datetime) -> tuple[LedgerEntry, ...]:
    """Add a move's entries to the ledger.

    Of two that append at once, the constraints refuse one; it then follows the other's entries.
    """
    move = _move(connection, connection.execute(_select_moves().where(pointer_move.c.id == number)).mappings().one())
    while True:
        last = next(newest(connection, select_entries().limit(1)), None)
        entries = chain.follow(last, number, move, at.astimezone(UTC))
        try:
            with connection.begin_nested():
                connection.execute(insert(ledger), [_from_entry(entry) for entry in entries])
        except IntegrityError:
            if next(newest(connection, select_entries().limit(1)), None) == last:  # not a race
                raise
        else:
            return entries


def forget(connection: Connection, number: int) -> None:
    """Delete a move that is not done.

    Raises:
        ValueError: it is done.
    """
    if connection.scalar(select(pointer_move.c.done_at).where(pointer_move.c.id == number)) is not None:
        raise ValueError(f"move {number} has happened: the ledger has it")
    connection.execute(delete(pointer_step).where(pointer_step.c.move_id == number))
    connection.execute(delete(pointer_move).where(pointer_move.c.id == number))


def pending(connection: Connection) -> tuple[tuple[int, Move], ...]:
    """Moves that are not done, oldest first."""
    statement = _select_moves().where(pointer_move.c.done_at.is_(None)).order_by(pointer_move.c.id)
    found = connection.execute(statement).mappings().all()
    return tuple((row[pointer_move.c.id], _move(connection, row)) for row in found)


def select_entries() -> Select[*tuple[Any, ...]]:
    """All entries. The moment comes as the database has it: SQLite would hold any text, and then still be read."""
    others = (column for column in ledger.c if column is not ledger.c.at)
    return select(*others, type_coerce(ledger.c.at, Text).label("at"))


def newest(connection: Connection, statement: Select[*tuple[Any, ...]]) -> Iterator[LedgerEntry]:
    """The entries that a statement selects, newest first.

    Raises:
        LedgerBroken: one cannot be read.
    """
    for row in connection.execute(statement.order_by(ledger.c.number.desc())).mappings():
        try:
            yield _to_entry(row)
        except (ValueError, TypeError) as error:
            raise LedgerBroken(
                f"entry {row['number']} of the ledger cannot be read",
                cause=str(error),
                hint="'conveyor ledger verify' names the first entry that was changed; restore the store's backup",
            ) from error


def first_broken(connection: Connection) -> LedgerEntry | None:
    """The first entry that was changed, or does not follow from the one before."""
    last: LedgerEntry | None = None
    statement = select_entries().order_by(ledger.c.number).execution_options(yield_per=_ROWS_AT_ONCE)
    with connection.execute(statement) as rows:
        for row in rows.mappings():
            try:
                entry = _to_entry(row)
                good = chain.follows(entry, last)
            except (ValueError, TypeError):
                return _unreadable(row)
            if not good:
                return entry
            last = entry
    return None


def _select_moves() -> Select[*tuple[Any, ...]]:
    return select(pointer_move)


def _move(connection: Connection, row: RowMapping) -> Move:
    columns = pointer_move.c
    statement = select(pointer_step).where(pointer_step.c.move_id == row[columns.id]).order_by(pointer_step.c.position)
    return Move(
        kind=MoveKind(row[columns.kind]),
        actor=row[columns.actor],
        note=row[columns.note],
        evidence=row[columns.evidence],
        keep=row[columns.keep],
        at=row[columns.began_at],
        steps=tuple(_to_step(step) for step in connection.execute(statement).mappings()),
    )


def _to_step(row: RowMapping) -> Step:
    return Step(target=row["target"], pointer=row["pointer"], before=row["before"], after=row["after"])


def _from_entry(entry: LedgerEntry) -> dict[str, object]:
    return {
        "number": entry.number,
        "move_id": entry.move,
        "kind": entry.kind,
        "actor": entry.actor,
        "note": entry.note,
        "evidence": chain.canonical(entry.evidence),
        "keep": entry.keep,
        "at": entry.at,
        "target": entry.step.target,
        "pointer": entry.step.pointer,
        "before": entry.step.before,
        "after": entry.step.after,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def _to_entry(row: RowMapping) -> LedgerEntry:
    """The value of a row.

    Raises:
        ValueError, TypeError: it was changed to what no entry can be.
    """
    return LedgerEntry(
        number=row["number"],
        move=row["move_id"],
        kind=MoveKind(row["kind"]),
        actor=row["actor"],
        note=row["note"],
        evidence=_evidence(row["evidence"]),
        keep=row["keep"],
        at=_moment(row["at"]),
        step=_to_step(row),
        previous=row["previous"],
        hash=row["hash"],
    )


def _evidence(text: str) -> dict[str, object]:
    """The evidence as it was hashed.

    Raises:
        ValueError, TypeError: it is not as canonical as it was written.
    """
    evidence: dict[str, object] = json.loads(text)
    if chain.canonical(evidence) != text:
        raise ValueError("its evidence was written otherwise")
    return evidence


def _moment(stored: str | datetime) -> datetime:
    """SQLite has text without a zone, which is UTC; PostgreSQL has moments."""
    moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _unreadable(row: RowMapping) -> LedgerEntry:
    """As much of a row as can be told, whatever is in it."""
    return LedgerEntry(
        number=row["number"],
        move=row["move_id"],
        kind=MoveKind.FOUND,
        actor=str(row["actor"]),
        note="this entry cannot be read",
        evidence={},
        keep=bool(row["keep"]),
        at=datetime.min.replace(tzinfo=UTC),
        step=Step(target=str(row["target"]), pointer=str(row["pointer"]), before=None, after=str(row["after"])),
        previous=str(row["previous"]),
        hash=str(row["hash"]),
    )
