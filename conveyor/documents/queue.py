"""The queue, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.moments import moment
from conveyor.model.build import Build, Claim, Stage, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.queue import Pause, Priority, QueueItem, Scope, ScopeKind
from conveyor.model.waiting import Cycle
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.queueview import QueueState, RunningBuild, WaitingBuild
from conveyor.pipeline.holders import DaemonState


def queue_as_json(state: QueueState) -> dict[str, Any]:
    """The queue in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "at": state.at.isoformat(),
        "daemon": daemon_as_json(state.daemon),
        "pauses": [pause_as_json(pause) for pause in state.pauses],
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


def pause_as_json(pause: Pause) -> dict[str, Any]:
    """What is paused, in a documented form: docs/json.md."""
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
        "why": each.why or None,
    }


def _build_as_json(build: Build) -> dict[str, Any]:
    return {
        "build": build.id,
        "package": build.commit.package,
        "target": build.target,
        "commit_id": build.commit.id,
    }


def queue_from_json(document: Mapping[str, Any]) -> QueueState:
    """What a document says of the queue."""
    return QueueState(
        at=datetime.fromisoformat(document["at"]),
        daemon=daemon_from_json(document["daemon"]),
        pauses=tuple(pause_from_json(each) for each in document["pauses"]),
        cycles=tuple(
            Cycle(
                target=each["target"],
                packages=tuple(each["packages"]),
                way=tuple(each["way"]),
                bootstrap=tuple(each["bootstrap"]),
                unordered=tuple(each["unordered"]),
            )
            for each in document["cycles"]
        ),
        running=tuple(running_from_json(each) for each in document["running"]),
        waiting=tuple(_waiting_from_json(each) for each in document["waiting"]),
        count=document["count"],
    )


def daemon_from_json(document: Mapping[str, Any]) -> DaemonState:
    """What a document says of the daemon."""
    if document["host"] is None:
        return DaemonState(lease=None, runs=document["runs"])
    lease = Lease(
        name=DAEMON,
        token="",
        host=document["host"],
        pid=document["pid"],
        process_started=0,
        since=datetime.fromisoformat(document["since"]),
        heartbeat_at=datetime.fromisoformat(document["heartbeat_at"]),
    )
    return DaemonState(lease=lease, runs=document["runs"])


def pause_from_json(document: Mapping[str, Any]) -> Pause:
    """What a document says of a pause."""
    return Pause(
        scope=Scope(kind=ScopeKind(document["scope"]), name=document["name"] or ""),
        actor=document["actor"],
        note=document["note"],
        at=datetime.fromisoformat(document["at"]),
    )


def running_from_json(document: Mapping[str, Any]) -> RunningBuild:
    """What a document says of a build that runs."""
    started_at = moment(document["started_at"])
    claim = None
    if document["host"] is not None:
        claim = Claim(
            token="",
            host=document["host"],
            pid=document["pid"],
            process_started=0,
            heartbeat_at=started_at or datetime.fromtimestamp(0, UTC),
        )
    work = Work(
        stage=Stage(document["stage"]) if document["stage"] else None,
        since=moment(document["stage_since"]),
        gone=document["gone"],
    )
    build = replace(
        _unfinished(document, State.RUNNING, started_at),
        attempt=document["attempt"],
        started_at=started_at,
        claim=claim,
        cancelled_by=document["cancelled_by"] or "",
    )
    return RunningBuild(build=build, work=work)


def _waiting_from_json(document: Mapping[str, Any]) -> WaitingBuild:
    queued_at = datetime.fromisoformat(document["queued_at"])
    build = replace(_unfinished(document, State.QUEUED, queued_at), errors=document["errors"])
    item = QueueItem(
        build=build.id,
        package=build.commit.package,
        target=build.target,
        state=State.QUEUED,
        priority=Priority[document["priority"].upper()],
        queued_at=queued_at,
        not_before=moment(document["not_before"]),
    )
    return WaitingBuild(build=build, item=item, place=document["place"], why=document["why"] or "")


def _unfinished(document: Mapping[str, Any], state: State, at: datetime | None) -> Build:
    """A build as far as the queue tells of it."""
    sha, packaging, *extended = document["commit_id"].split("_", 2)
    since = at or datetime.fromtimestamp(0, UTC)
    return Build(
        id=document["build"],
        commit=Commit(
            package=document["package"],
            upstream=CommitInfo(sha=sha, committed_at=since, author="", subject=""),
            packaging_sha=packaging,
            extended=extended[0] if extended else "",
        ),
        target=document["target"],
        state=state,
        outcome=None,
        attempt=0,
        version=None,
        cause=None,
        stages=(),
        queued_at=since,
        started_at=None,
        finished_at=None,
        log=None,
        claim=None,
        published=False,
    )
