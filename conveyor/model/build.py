"""A build: one commit for one target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conveyor.errors import Fault
from conveyor.model.commit import Commit


class State(StrEnum):
    """Where a build stands. What became of it is its outcome."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    """What became of a finished build."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the package's fault: final until something changes
    ERRORED = "errored"  # ours or the network's: retried
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer commit is published: says nothing about the package


class Stage(StrEnum):
    """The stages of a build, in order."""

    RENDER = "render"
    BASE = "base"  # what every build of the target starts from: takes long when it is made anew, else nothing
    SOURCE = "source"
    BUILDROOT = "buildroot"
    BUILD = "build"
    CHECK = "check"
    INSTALL = "install"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long a stage took, in seconds of wall time."""

    stage: Stage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a build did not succeed.

    Attributes:
        fault: whose fault it was.
        stage: where it happened; None when outside of any stage.
        kind: the error's name, such as "BuildDependencyMissing".
        summary: one line for people.
        hint: what to do; may be empty.
        details: the lines of the log that matter.
    """

    fault: Fault
    stage: Stage | None
    kind: str
    summary: str
    hint: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who works on a build.

    Attributes:
        token: unique for each claim.
        host: the machine's name.
        pid: the process on it.
        process_started: when that process started, in clock ticks since boot, so that a reused pid is not mistaken
            for it.
        heartbeat_at: when it was last heard of.
    """

    token: str
    host: str
    pid: int
    process_started: int
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One commit for one target, as the store knows it.

    Attributes:
        id: its number in the store.
        commit: what is built.
        target: the target's name.
        state: queued, running or finished.
        outcome: of the last attempt, once finished.
        attempt: number of the last attempt, from 1; 0 before the first.
        version: EVR string, once known.
        cause: why it did not succeed.
        stages: the stages of the last attempt that have ended.
        queued_at, started_at, finished_at: of the last attempt, with zone.
        log: the last attempt's log, relative to the data directory.
        claim: who works on it now.
        published: whether its snapshot is published.
        errors: how many attempts errored since somebody or something asked for it.
        not_before: a queued one waits for this moment, with zone; None for none.
        ended: why it ended without an attempt, or outside of one; empty for others.
        cancelled_by: who wants it cancelled, or did; empty for nobody.
    """

    id: int
    commit: Commit
    target: str
    state: State
    outcome: Outcome | None
    attempt: int
    version: str | None
    cause: Cause | None
    stages: tuple[StageTime, ...]
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    log: str | None
    claim: Claim | None
    published: bool
    errors: int = 0
    not_before: datetime | None = None
    ended: str = ""
    cancelled_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One try at a build, as the store knows it.

    Attributes:
        number: from 1, within its build.
        outcome: what became of it; None while it runs.
        cause: why it did not succeed.
        stages: the stages that have ended.
        queued_at: since when the build had waited for it, with zone.
        started_at: with zone.
        finished_at: with zone; None while it runs.
        log: relative to the data directory; None where there is none.
        buildroot: sha256 of what was installed in its root; None where that is not known.
    """

    number: int
    outcome: Outcome | None
    cause: Cause | None
    stages: tuple[StageTime, ...]
    queued_at: datetime
    started_at: datetime
    finished_at: datetime | None
    log: str | None
    buildroot: str | None
