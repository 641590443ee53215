"""How mirrors stand, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conveyor.documents.moments import iso, moment
from conveyor.model.mirror import MirrorState
from conveyor.pipeline.keeping.mirror import MirrorStanding


def standing_as_json(standing: MirrorStanding) -> Mapping[str, Any]:
    """How a mirror stands, in a documented form: docs/json.md."""
    state = standing.state
    return {
        "mirror": state.mirror,
        "target": state.target,
        "behind": standing.behind,
        "synced_at": iso(state.synced_at),
        "failed_at": iso(state.failed_at),
        "failures": state.failures,
        "cause": state.cause or None,
        "next_try": iso(standing.next_try),
    }


def standing_from_json(document: Mapping[str, Any]) -> MirrorStanding:
    """What a document says of how a mirror stands."""
    state = MirrorState(
        mirror=document["mirror"],
        target=document["target"],
        synced_at=moment(document["synced_at"]),
        failed_at=moment(document["failed_at"]),
        failures=document["failures"],
        cause=document["cause"] or "",
    )
    return MirrorStanding(state=state, behind=document["behind"], next_try=moment(document["next_try"]))
