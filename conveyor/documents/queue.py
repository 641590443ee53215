"""The queue, as JSON: docs/json.md."""

from __future__ import annotations

from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.model.build import Build
from conveyor.model.queue import Pause
from conveyor.model.waiting import Cycle
from conveyor.pipeline.explaining.queueview import QueueState, RunningBuild, WaitingBuild
from conveyor.pipeline.explaining.waits import few_words
from conveyor.pipeline.holders import DaemonState


def queue_as_json(state: QueueState) -> dict[str, Any]:
    """The queue in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "at": state.at.isoformat(),
        "daemon": daemon_as_json(state.daemon),
        "pauses": [_pause_as_json(pause) for pause in state.pauses],
        "cycles": [_cycle_as_json(cycle) for cycle in state.cycles],
        "running": [running_as_json(each) for each in state.running],
        "waiting": [_waiting_as_json(each) for each in state.waiting],
        "count": state.count,
    }


def daemon_as_json(daemon: DaemonState) -> dict[str, Any]:
    """Whether a daemon runs, in a documented form: docs/json.md."""
    lease = daemon.lease
    return {
        "runs": daemon.runs,
        "host": lease.host if lease else None,
        "pid": lease.pid if lease else None,
        "since": lease.since.isoformat() if lease else None,
        "heartbeat_at": lease.heartbeat_at.isoformat() if lease else None,
    }


def _pause_as_json(pause: Pause) -> dict[str, Any]:
    return {
        "scope": pause.scope.kind,
        "name": pause.scope.name or None,
        "actor": pause.actor,
        "note": pause.note,
        "at": pause.at.isoformat(),
    }


def _cycle_as_json(cycle: Cycle) -> dict[str, Any]:
    return {
        "target": cycle.target,
        "packages": list(cycle.packages),
        "way": list(cycle.way),
        "bootstrap": list(cycle.bootstrap),
        "unordered": list(cycle.unordered),
    }


def running_as_json(each: RunningBuild) -> dict[str, Any]:
    """A build that runs, in a documented form: docs/json.md."""
    build, work = each.build, each.work
    return {
        **_build_as_json(build),
        "attempt": build.attempt,
        "started_at": build.started_at.isoformat() if build.started_at else None,
        "stage": work.stage,
        "stage_since": work.since.isoformat() if work.since else None,
        "host": build.claim.host if build.claim else None,
        "pid": build.claim.pid if build.claim else None,
        "gone": work.gone,
        "cancelled_by": build.cancelled_by or None,
    }


def _waiting_as_json(each: WaitingBuild) -> dict[str, Any]:
    item = each.item
    return {
        **_build_as_json(each.build),
        "place": each.place,
        "priority": item.priority.name.lower(),
        "queued_at": item.queued_at.isoformat(),
        "not_before": item.not_before.isoformat() if item.not_before else None,
        "errors": each.build.errors,
        "why": few_words(each.held) or None,
    }


def _build_as_json(build: Build) -> dict[str, Any]:
    return {
        "build": build.id,
        "package": build.commit.package,
        "target": build.target,
        "commit_id": build.commit.id,
    }
