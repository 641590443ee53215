"""A ledger that many processes write to at once, that is killed in between, and that somebody edits behind its back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text

from conveyor.errors import LedgerBroken
from conveyor.model.promotion import Move, MoveKind, Step
from conveyor.store import Books, SqlLedger, open_books
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import NOON, TARGET

ENTRIES = 5
# A forged entry that has a hash of its own, between the second and the third.
INSERTED = (
    "UPDATE ledger SET number = number + 100 WHERE number > 2",
    f"""
    INSERT INTO ledger SELECT 3, move_id, kind, actor, note, evidence, keep, at, target, pointer, before, after,
    '{64 * "b"}', '{64 * "a"}' FROM ledger WHERE number = 1
    """,
    "UPDATE ledger SET number = number - 99 WHERE number > 100",
)
SWAPPED = (
    "UPDATE ledger SET number = 100 WHERE number = 2",
    "UPDATE ledger SET number = 2 WHERE number = 3",
    "UPDATE ledger SET number = 3 WHERE number = 100",
)
RENUMBERED = ("DELETE FROM ledger WHERE number = 2", "UPDATE ledger SET number = number + 100 WHERE number > 2")
CLOSED_UP = (*RENUMBERED, "UPDATE ledger SET number = number - 101 WHERE number > 100")
# What is done to five entries, and which one is then found.
EDITS = {
    "kind": (("UPDATE ledger SET kind = 'rolled back' WHERE number = 2",), 2),
    "no kind": (("UPDATE ledger SET kind = 'stolen' WHERE number = 2",), 2),
    "actor": (("UPDATE ledger SET actor = 'eve' WHERE number = 1",), 1),
    "note": (("UPDATE ledger SET note = 'never mind' WHERE number = 3",), 3),
    "evidence": ((r"""UPDATE ledger SET evidence = '{"age"\:9}' WHERE number = 3""",), 3),
    "evidence written otherwise": (("""UPDATE ledger SET evidence = '{"age": 3}' WHERE number = 3""",), 3),
    "evidence that is no JSON": (("UPDATE ledger SET evidence = '{' WHERE number = 3",), 3),
    "keep": (("UPDATE ledger SET keep = NOT keep WHERE number = 5",), 5),
    "moment": (("UPDATE ledger SET at = '2020-01-01 00:00:00.000000' WHERE number = 4",), 4),
    "target": (("UPDATE ledger SET target = 'another' WHERE number = 2",), 2),
    "pointer": (("UPDATE ledger SET pointer = 'another' WHERE number = 2",), 2),
    "before": (("UPDATE ledger SET before = NULL WHERE number = 2",), 2),
    "after": (("UPDATE ledger SET after = 'x' WHERE number = 2",), 2),
    "move": (("UPDATE ledger SET move_id = 1 WHERE number = 2",), 2),
    "hash": ((f"UPDATE ledger SET hash = '{64 * 'a'}' WHERE number = 2",), 2),
    "previous": ((f"UPDATE ledger SET previous = '{64 * 'a'}' WHERE number = 2",), 2),
    "removed": (("DELETE FROM ledger WHERE number = 2",), 3),
    "removed and closed up": (CLOSED_UP, 2),
    "the first removed": (("DELETE FROM ledger WHERE number = 1",), 2),
    "inserted": (INSERTED, 3),
    "reordered": (SWAPPED, 2),
}


def written(ledger: SqlLedger, target: str = TARGET, count: int = ENTRIES) -> None:
    """So many moves of one pointer."""
    for number in range(count):
        step = Step(target=target, pointer="tested", before=str(number - 1) if number else None, after=str(number))
        move = Move(kind=MoveKind.PROMOTED, actor="ada", evidence={"age": 3}, at=NOON, steps=(step,))
        ledger.complete(ledger.begin(move), NOON)


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    opened = open_books(database_url)
    yield opened
    opened.store.close()


def edit(ledger: SqlLedger, *statements: str) -> None:
    """Change the database behind the ledger's back; what forbids it goes first."""
    database = ledger._database
    free = (
        ["DROP TRIGGER IF EXISTS ledger_UPDATE", "DROP TRIGGER IF EXISTS ledger_DELETE"]
        if database.is_sqlite
        else ["ALTER TABLE ledger DISABLE TRIGGER ledger_final"]
    )
    locked = [] if database.is_sqlite else ["ALTER TABLE ledger ENABLE TRIGGER ledger_final"]
    with database.writing() as connection:
        for statement in (*free, *statements, *locked):
            connection.execute(text(statement))


@pytest.fixture(params=["sqlite_url", "emptied_postgresql_url"])
def editable(request: pytest.FixtureRequest) -> Iterator[Books]:
    opened = open_books(request.getfixturevalue(request.param))
    yield opened
    opened.store.close()


class TestEdits:
    @pytest.mark.parametrize("edited", EDITS)
    def test_it_is_found(self, editable: Books, edited: str) -> None:
        statements, number = EDITS[edited]
        written(editable.ledger)
        assert editable.ledger.broken() is None
        edit(editable.ledger, *statements)

        broken = editable.ledger.broken()
        assert broken is not None
        assert broken.number == number

    def test_what_is_no_moment_and_no_text_is_found(self, tmp_path: Path) -> None:
        """Only SQLite holds anything in any column."""
        books = open_books(f"sqlite:///{tmp_path}/store.sqlite")
        written(books.ledger)
        edit(books.ledger, "UPDATE ledger SET actor = x'00ff' WHERE number = 4")
        assert _found(books.ledger) == (4, "this entry cannot be read")
        edit(books.ledger, "UPDATE ledger SET at = 'yesterday' WHERE number = 3")
        assert _found(books.ledger) == (3, "this entry cannot be read")
        with pytest.raises(LedgerBroken, match="entry 3 of the ledger cannot be read"):
            books.ledger.entries()
        books.store.close()

    def test_that_the_end_is_gone_is_seen_by_a_head_that_was_noted_only(self, editable: Books) -> None:
        written(editable.ledger)
        edit(editable.ledger, f"DELETE FROM ledger WHERE number = {ENTRIES}")

        assert editable.ledger.broken() is None
        assert editable.ledger.entries(limit=1)[0].number == ENTRIES - 1


def _found(ledger: SqlLedger) -> tuple[int, str]:
    broken = ledger.broken()
    assert broken is not None
    return broken.number, broken.note


def test_processes_that_write_at_once_make_one_chain(books: Books, database_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        written(mine.ledger, f"target-{worker}", 20)

    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(6)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 6
    entries = books.ledger.entries()
    assert [entry.number for entry in entries] == list(range(120, 0, -1))
    assert books.ledger.broken() is None
    for worker in range(6):
        own = books.ledger.entries(target=f"target-{worker}")
        assert [entry.step.after for entry in own] == [str(number) for number in range(19, -1, -1)]


def test_of_processes_that_complete_one_move_all_get_its_entries_and_it_has_them_once(
    books: Books, database_url: str, tmp_path: Path
) -> None:
    steps = tuple(Step(target=target, pointer="tested", before=None, after="a") for target in ("one", "two"))
    number = books.ledger.begin(Move(kind=MoveKind.PROMOTED, actor="ada", at=NOON, steps=steps))
    go = tmp_path / "go"

    def work() -> None:
        mine = open_books(database_url)
        wait_for(go)
        assert [entry.step for entry in mine.ledger.complete(number, NOON)] == list(steps)

    pids = [spawn(work) for _ in range(6)]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 6
    assert [entry.number for entry in books.ledger.entries()] == [2, 1]
    assert books.ledger.broken() is None


def test_kill_9_before_any_statement_leaves_a_move_pending_or_done(books: Books, database_url: str) -> None:
    statements, exit_code = 0, -signal.SIGKILL
    while exit_code == -signal.SIGKILL:

        def work(survived: int = statements) -> None:
            mine = open_books(database_url)
            _kill_after(mine.ledger, survived)
            written(mine.ledger, f"target-{survived}", 1)

        exit_code = ended(spawn(work))
        target, done = f"target-{statements}", books.ledger.entries(target=f"target-{statements}")
        begun = [number for number, move in books.ledger.pending() if move.steps[0].target == target]
        assert len(begun) + len(done) <= 1
        for number in begun:
            books.ledger.complete(number, NOON)
        assert books.ledger.broken() is None
        statements += 1

    assert exit_code == 0
    assert statements > 8
    assert len(done) == 1


def _kill_after(ledger: SqlLedger, statements: int) -> None:
    """Kill this process before the statement that follows so many; COMMIT counts."""
    left = [None] * statements

    def count(*_arguments: object) -> None:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    event.listen(ledger._database._engine, "before_cursor_execute", count)
    event.listen(ledger._database._engine, "commit", count)
