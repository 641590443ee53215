"""Entries of the ledger, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.promotion import LedgerEntry, MoveKind, Step


def entries_as_json(found: Sequence[LedgerEntry]) -> dict[str, Any]:
    """Entries in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "entries": [entry_as_json(entry) for entry in found]}


def entry_as_json(entry: LedgerEntry) -> dict[str, Any]:
    """An entry in a documented form: docs/json.md."""
    return {
        "number": entry.number,
        "move": entry.move,
        "kind": entry.kind,
        "actor": entry.actor,
        "note": entry.note,
        "evidence": entry.evidence,
        "keep": entry.keep,
        "at": entry.at.isoformat(timespec="microseconds"),
        "target": entry.step.target,
        "pointer": entry.step.pointer,
        "before": entry.step.before,
        "after": entry.step.after,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def entry_from_json(document: Mapping[str, Any]) -> LedgerEntry:
    """What a document says of an entry."""
    return LedgerEntry(
        number=document["number"],
        move=document["move"],
        kind=MoveKind(document["kind"]),
        actor=document["actor"],
        note=document["note"],
        evidence=document["evidence"],
        keep=document["keep"],
        at=datetime.fromisoformat(document["at"]),
        step=Step(
            target=document["target"],
            pointer=document["pointer"],
            before=document["before"],
            after=document["after"],
        ),
        previous=document["previous"],
        hash=document["hash"],
    )
