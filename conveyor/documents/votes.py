"""Votes, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.promotion import Vote


def votes_as_json(commit: str, found: tuple[Vote, ...]) -> dict[str, Any]:
    """Votes in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "commit": commit, "votes": [vote_as_json(each) for each in found]}


def newest_votes_as_json(found: Sequence[Vote]) -> dict[str, Any]:
    """Votes on any commits in a documented form: docs/json.md."""
    votes = [{"commit": each.subject, **vote_as_json(each)} for each in found]
    return {"format_version": FORMAT_VERSION, "votes": votes}


def vote_as_json(vote: Vote) -> dict[str, Any]:
    """A vote in a documented form: docs/json.md."""
    return {
        "job": vote.job,
        "target": vote.target or None,
        "success": vote.success,
        "url": vote.url or None,
        "notes": vote.notes,
        "user": vote.user,
        "at": vote.at.isoformat(),
    }


def vote_from_json(document: Mapping[str, Any], commit: str) -> Vote:
    """What a document says of a vote on a commit."""
    return Vote(
        subject=commit,
        target=document["target"] or "",
        job=document["job"],
        success=document["success"],
        url=document["url"] or "",
        notes=document["notes"],
        user=document["user"],
        at=datetime.fromisoformat(document["at"]),
    )
