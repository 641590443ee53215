"""What was done on the queue and on pointers, as JSON: docs/web.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, build_from_json
from conveyor.documents.queue import daemon_as_json, pause_as_json, pause_from_json
from conveyor.model.build import Build, Claim
from conveyor.model.queue import Pause
from conveyor.pipeline.controls import Cancelled, Ending, Rebuilt
from conveyor.pipeline.holders import DaemonState


def builds_as_json(builds: Sequence[Build], daemon: DaemonState) -> dict[str, Any]:
    """Builds that are as they are now because somebody asked for it, and whether a daemon is there to go on."""
    return {
        "format_version": FORMAT_VERSION,
        "builds": [build_as_json(build) for build in builds],
        "daemon": daemon_as_json(daemon),
    }


def rebuilds_as_json(done: Sequence[Rebuilt]) -> dict[str, Any]:
    """The document that `conveyor rebuild --json` prints: docs/json.md."""
    rebuilds = [{"build": build_as_json(each.rebuild), "of": each.good.id, "is_new": each.is_new} for each in done]
    return {"format_version": FORMAT_VERSION, "rebuilds": rebuilds}


def rebuilds_from_json(document: Mapping[str, Any]) -> tuple[Rebuilt, ...]:
    """What a document says of rebuilds. Of the good builds it tells the numbers."""
    return tuple(_rebuilt(each) for each in document["rebuilds"])


def cancelled_as_json(cancelled: Cancelled) -> dict[str, Any]:
    """A build that is cancelled, or about to be."""
    build = cancelled.build
    return {
        "format_version": FORMAT_VERSION,
        "build": build_as_json(build),
        "ending": cancelled.ending.name.lower().replace("_", "-"),
        "again": cancelled.again,
        "cancelled_by": build.cancelled_by or None,
        "host": build.claim.host if build.claim else None,
    }


def cancelled_from_json(document: Mapping[str, Any]) -> Cancelled:
    """What a document says of a build that is cancelled."""
    build = build_from_json(document["build"])
    host = document["host"]
    claim = None
    if host is not None:
        claim = Claim(token="", host=host, pid=0, process_started=0, heartbeat_at=datetime.fromtimestamp(0, UTC))
    return Cancelled(
        build=replace(build, cancelled_by=document["cancelled_by"] or "", claim=claim),
        ending=Ending[document["ending"].replace("-", "_").upper()],
        again=document["again"],
    )


def paused_as_json(pause: Pause, *, is_new: bool) -> dict[str, Any]:
    """What holds a part of the queue now."""
    return {"format_version": FORMAT_VERSION, "pause": pause_as_json(pause), "is_new": is_new}


def resumed_as_json(left: Sequence[Pause], *, resumed: bool) -> dict[str, Any]:
    """Whether something was paused, and what is paused still."""
    return {"format_version": FORMAT_VERSION, "resumed": resumed, "pauses": [pause_as_json(each) for each in left]}


def pauses_from_json(documents: Sequence[Mapping[str, Any]]) -> tuple[Pause, ...]:
    """What documents say of what is paused."""
    return tuple(pause_from_json(each) for each in documents)


def _rebuilt(document: Mapping[str, Any]) -> Rebuilt:
    build = build_from_json(document["build"])
    return Rebuilt(good=replace(build, id=document["of"]), rebuild=build, is_new=document["is_new"])
