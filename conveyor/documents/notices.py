"""What is still to be told, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.moments import moment
from conveyor.model.notice import Channel, Notice


def notices_as_json(waiting: Sequence[Notice], given_up: Sequence[Notice]) -> dict[str, Any]:
    """What waits and what was given up, in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "waiting": [_as_json(notice) for notice in waiting],
        "given_up": [_as_json(notice) for notice in given_up],
    }


def notices_from_json(document: Mapping[str, Any]) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
    """What a document says waits, and was given up. What was to be told it does not say."""
    waiting, given_up = (tuple(map(_from_json, document[name])) for name in ("waiting", "given_up"))
    return waiting, given_up


def _from_json(document: Mapping[str, Any]) -> Notice:
    return Notice(
        id=document["id"],
        channel=Channel(document["channel"]),
        recipient=document["recipient"],
        event=document["event"],
        package=document["package"] or "",
        subject=document["subject"],
        body="",
        created_at=datetime.fromisoformat(document["created_at"]),
        due_at=datetime.fromisoformat(document["due_at"]),
        tries=document["tries"],
        sent_at=None,
        given_up_at=moment(document["given_up_at"]),
        cause=document["cause"] or "",
    )


def _as_json(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "channel": notice.channel,
        "recipient": notice.recipient,
        "event": notice.event,
        "package": notice.package or None,
        "subject": notice.subject,
        "created_at": notice.created_at.isoformat(),
        "due_at": notice.due_at.isoformat(),
        "tries": notice.tries,
        "given_up_at": notice.given_up_at.isoformat() if notice.given_up_at else None,
        "cause": notice.cause or None,
    }
