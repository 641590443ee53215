"""Votes, as JSON: docs/json.md."""

from __future__ import annotations

from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.promotion import Vote


def votes_as_json(commit: str, found: tuple[Vote, ...]) -> dict[str, Any]:
    """Votes in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "commit": commit, "votes": [_as_json(each) for each in found]}


def _as_json(vote: Vote) -> dict[str, Any]:
    return {
        "job": vote.job,
        "target": vote.target or None,
        "success": vote.success,
        "url": vote.url or None,
        "notes": vote.notes,
        "user": vote.user,
        "at": vote.at.isoformat(),
    }
