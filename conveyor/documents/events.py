"""What happened, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.event import Event, EventKind


def event_as_json(event: Event) -> dict[str, Any]:
    """An event in a documented form: docs/json.md."""
    return {
        "number": event.number,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "summary": event.summary,
        "package": event.package or None,
        "target": event.target or None,
        "build": event.build,
        "detail": dict(event.detail),
    }


def event_from_json(document: Mapping[str, Any]) -> Event:
    """What a document says of an event."""
    return Event(
        number=document["number"],
        at=datetime.fromisoformat(document["at"]),
        kind=EventKind(document["kind"]),
        summary=document["summary"],
        package=document["package"] or "",
        target=document["target"] or "",
        build=document["build"],
        detail=document["detail"],
    )


def events_as_json(found: Sequence[Event]) -> dict[str, Any]:
    """Events in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "events": [event_as_json(event) for event in found]}
