"""Entries of the ledger, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.promotion import LedgerEntry


def entries_as_json(found: Sequence[LedgerEntry]) -> dict[str, Any]:
    """Entries in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "entries": [_as_json(entry) for entry in found]}


def _as_json(entry: LedgerEntry) -> dict[str, Any]:
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
