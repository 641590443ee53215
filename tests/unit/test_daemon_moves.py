"""Moves of pointers that mirrors are not to wait for."""

from __future__ import annotations

import pytest

from conveyor.daemon import moves
from conveyor.daemon.moves import Moves
from conveyor.model.promotion import Move, MoveKind, Step
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store_samples import NOON, TARGET


def move(ledger: MemoryLedger, *pointers: str) -> None:
    for pointer in pointers:
        step = Step(target=TARGET, pointer=pointer, before=None, after="a")
        made = Move(kind=MoveKind.PROMOTED, actor="ada", evidence={}, at=NOON, steps=(step,))
        ledger.complete(ledger.begin(made), NOON)


def test_what_was_moved_by_hand_is_told_once() -> None:
    ledger = MemoryLedger()
    move(ledger, "tested")
    looking = Moves(ledger)
    assert not looking.look()

    move(ledger, "current", "tested", "current")
    assert [looking.look(), looking.look()] == [True, False]


def test_what_follows_builds_is_not_told() -> None:
    ledger = MemoryLedger()
    looking = Moves(ledger)
    move(ledger, "current", "consistent", "consistent-compute")

    assert not looking.look()


def test_of_many_moves_one_is_taken_for_such_a_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "LOOKED_AT", 2)
    ledger = MemoryLedger()
    looking = Moves(ledger)
    move(ledger, "current", "current", "current")

    assert [looking.look(), looking.look()] == [True, False]
