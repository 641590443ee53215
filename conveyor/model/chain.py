"""The chain of the ledger: how entries are hashed, and how a changed one is found. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from conveyor.model.promotion import LedgerEntry, Move, Step

# What the first entry has for the hash of the one before.
START = 64 * "0"


def canonical(value: Mapping[str, object]) -> str:
    """JSON with one form for one value: keys sorted, no blanks, ASCII only.

    Raises:
        ValueError, TypeError: JSON cannot hold it.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(entry: LedgerEntry) -> str:
    """What the entry's hash must be: hex sha256 of all its other fields as canonical JSON (docs/store.md)."""
    content = {
        "number": entry.number,
        "move": entry.move,
        "kind": entry.kind.value,
        "actor": entry.actor,
        "note": entry.note,
        "evidence": entry.evidence,
        "keep": entry.keep,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "target": entry.step.target,
        "pointer": entry.step.pointer,
        "before": entry.step.before,
        "after": entry.step.after,
        "previous": entry.previous,
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def follow(last: LedgerEntry | None, number: int, move: Move, at: datetime) -> tuple[LedgerEntry, ...]:
    """The entries of a move that happened.

    Args:
        last: the last entry so far.
        number: the move's.
        move: what happened.
        at: when it was done.
    """
    entries: list[LedgerEntry] = []
    for step in move.steps:
        last = _next(last, number, move, step, at)
        entries.append(last)
    return tuple(entries)


def _next(last: LedgerEntry | None, number: int, move: Move, step: Step, at: datetime) -> LedgerEntry:
    unhashed = LedgerEntry(
        number=last.number + 1 if last else 1,
        move=number,
        kind=move.kind,
        actor=move.actor,
        note=move.note,
        evidence=move.evidence,
        keep=move.keep,
        at=at,
        step=step,
        previous=last.hash if last else START,
        hash="",
    )
    return replace(unhashed, hash=digest(unhashed))


def follows(entry: LedgerEntry, last: LedgerEntry | None) -> bool:
    """Whether an entry is what it was when it was written, after this one; None before the first."""
    number, previous = (last.number + 1, last.hash) if last else (1, START)
    return (entry.number, entry.previous, entry.hash) == (number, previous, digest(entry))


def first_broken(entries: Iterable[LedgerEntry]) -> LedgerEntry | None:
    """The first of all entries that does not follow from the one before; None where all do."""
    last: LedgerEntry | None = None
    for entry in entries:
        if not follows(entry, last):
            return entry
        last = entry
    return None
