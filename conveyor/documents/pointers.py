"""Where pointers stand, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conveyor.documents.moments import moment
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


def standings_from_json(documents: Sequence[Mapping[str, Any]]) -> tuple[Standing, ...]:
    """What documents say of where pointers stand."""
    return tuple(
        Standing(
            target=each["target"],
            pointer=each["pointer"],
            commit=each["commit_id"],
            published_at=moment(each["published_at"]),
            held_back=tuple(each["held_back"]),
        )
        for each in documents
    )
