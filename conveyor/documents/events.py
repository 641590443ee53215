"""What happened, as JSON: docs/json.md."""

from __future__ import annotations

from typing import Any

from conveyor.model.event import Event


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
