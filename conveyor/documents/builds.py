"""Builds, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from conveyor.documents.moments import moment
from conveyor.errors import ConveyorError, Fault
from conveyor.model.build import Build, Cause, Outcome, Stage, StageTime, State
from conveyor.model.commit import Commit, CommitInfo


def build_as_json(build: Build) -> dict[str, Any]:
    """One build in a documented form: docs/json.md."""
    return {
        "id": build.id,
        "package": build.commit.package,
        "target": build.target,
        "commit_id": build.commit.id,
        "upstream_sha": build.commit.upstream.sha,
        "packaging_sha": build.commit.packaging_sha,
        "version": build.version,
        "state": build.state,
        "outcome": build.outcome,
        "attempt": build.attempt,
        "published": build.published,
        "queued_at": build.queued_at.isoformat(),
        "started_at": build.started_at.isoformat() if build.started_at else None,
        "finished_at": build.finished_at.isoformat() if build.finished_at else None,
        "stages": [{"stage": stage.stage, "seconds": round(stage.seconds, 3)} for stage in build.stages],
        "cause": cause_as_json(build.cause) if build.cause else None,
    }


def error_as_json(error: ConveyorError | None) -> dict[str, Any] | None:
    """An error in a documented form, or None: docs/json.md."""
    if error is None:
        return None
    return {"fault": error.fault, "kind": type(error).__name__, "summary": error.summary, "hint": error.hint}


def cause_as_json(cause: Cause) -> dict[str, Any]:
    """Why a build did not succeed, in a documented form: docs/json.md."""
    return {
        "fault": cause.fault,
        "stage": cause.stage,
        "kind": cause.kind,
        "summary": cause.summary,
        "hint": cause.hint,
        "details": list(cause.details),
    }


def build_from_json(document: Mapping[str, Any], *, trunk: bool = True) -> Build:
    """What a document says of a build. What it does not tell is empty, such as the commit's author.

    Args:
        document: as `build_as_json` makes it.
        trunk: whether it is of the trunk.
    """
    sha = document["upstream_sha"]
    extended = document["commit_id"].split("_", 2)[2:]
    queued_at = datetime.fromisoformat(document["queued_at"])
    return Build(
        id=document["id"],
        commit=Commit(
            package=document["package"],
            upstream=CommitInfo(sha=sha, committed_at=queued_at, author="", subject=""),
            packaging_sha=document["packaging_sha"],
            extended=extended[0] if extended else "",
            trunk=trunk,
        ),
        target=document["target"],
        state=State(document["state"]),
        outcome=Outcome(document["outcome"]) if document["outcome"] else None,
        attempt=document["attempt"],
        version=document["version"],
        cause=cause_from_json(document["cause"]) if document["cause"] else None,
        stages=tuple(StageTime(stage=Stage(each["stage"]), seconds=each["seconds"]) for each in document["stages"]),
        queued_at=queued_at,
        started_at=moment(document["started_at"]),
        finished_at=moment(document["finished_at"]),
        log=None,
        claim=None,
        published=document["published"],
    )


def cause_from_json(document: Mapping[str, Any]) -> Cause:
    """What a document says of why a build did not succeed."""
    return Cause(
        fault=Fault(document["fault"]),
        stage=Stage(document["stage"]) if document["stage"] else None,
        kind=document["kind"],
        summary=document["summary"],
        hint=document["hint"],
        details=tuple(document["details"]),
    )
