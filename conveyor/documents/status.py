"""How everything stands, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, build_from_json
from conveyor.documents.mirrors import standing_as_json, standing_from_json
from conveyor.documents.pointers import pointers_as_json, standings_as_json, standings_from_json
from conveyor.documents.queue import daemon_as_json, daemon_from_json, running_as_json, running_from_json
from conveyor.pipeline.desk import Status
from conveyor.pipeline.explaining.queueview import Glance


def status_as_json(status: Status) -> dict[str, Any]:
    """How everything stands, in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "builds": [build_as_json(build) for build in status.builds],
        "flaky": sorted(status.flaky),
        "working_copies": [build_as_json(build) for build in status.copies],
        "daemon": daemon_as_json(status.queue.daemon),
        "running": [running_as_json(each) for each in status.queue.running],
        "waiting": status.queue.waiting,
        "pointers": pointers_as_json(status.standings),
        "standings": standings_as_json(status.standings),
        "mirrors": [standing_as_json(standing) for standing in status.mirrors],
        "signed_by": status.signed_by,
        "unsigned": status.unsigned or None,
    }


def status_from_json(document: Mapping[str, Any], at: datetime) -> Status:
    """What a document says.

    Args:
        document: as `status_as_json` makes it.
        at: when it was made.
    """
    return Status(
        builds=tuple(build_from_json(each) for each in document["builds"]),
        flaky=frozenset(document["flaky"]),
        copies=tuple(build_from_json(each, trunk=False) for each in document["working_copies"]),
        queue=Glance(
            at=at,
            daemon=daemon_from_json(document["daemon"]),
            running=tuple(running_from_json(each) for each in document["running"]),
            waiting=document["waiting"],
        ),
        standings=standings_from_json(document["standings"]),
        mirrors=tuple(standing_from_json(each) for each in document["mirrors"]),
        signed_by=document["signed_by"],
        unsigned=document["unsigned"] or "",
    )
