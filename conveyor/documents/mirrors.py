"""How mirrors stand, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from conveyor.pipeline.keeping.mirror import MirrorStanding


def standing_as_json(standing: MirrorStanding) -> Mapping[str, Any]:
    """How a mirror stands, in a documented form: docs/json.md."""
    state = standing.state
    return {
        "mirror": state.mirror,
        "target": state.target,
        "behind": standing.behind,
        "synced_at": _iso(state.synced_at),
        "failed_at": _iso(state.failed_at),
        "failures": state.failures,
        "cause": state.cause or None,
        "next_try": _iso(standing.next_try),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
