"""Where pointers stand, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conveyor.pipeline.pointing.standings import Standing


def pointers_as_json(standings: Sequence[Standing]) -> dict[str, dict[str, str | None]]:
    """Ids of commits by target and pointer: docs/json.md."""
    pointers: dict[str, dict[str, str | None]] = {}
    for each in standings:
        pointers.setdefault(each.target, {})[each.pointer] = each.commit
    return pointers


def standings_as_json(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Where pointers stand, in a documented form: docs/json.md."""
    return [
        {
            "target": each.target,
            "pointer": each.pointer,
            "commit_id": each.commit,
            "published_at": each.published_at.isoformat() if each.published_at else None,
            "held_back": list(each.held_back),
        }
        for each in standings
    ]
