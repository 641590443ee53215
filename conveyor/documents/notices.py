"""What is still to be told, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.notice import Notice


def notices_as_json(waiting: Sequence[Notice], given_up: Sequence[Notice]) -> dict[str, Any]:
    """What waits and what was given up, in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "waiting": [_as_json(notice) for notice in waiting],
        "given_up": [_as_json(notice) for notice in given_up],
    }


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
