"""Builds, as JSON: docs/json.md."""

from __future__ import annotations

from typing import Any

from conveyor.errors import ConveyorError
from conveyor.model.build import Build, Cause


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
