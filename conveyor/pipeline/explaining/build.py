"""Why a build is as it is. Pure: what is known of it in, the answer out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from conveyor.errors import Fault
from conveyor.model.build import AttemptRecord, Build, Cause, Outcome, Stage, State
from conveyor.model.event import Event
from conveyor.model.queue import Priority, Reason
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining.words import (
    NO_DAEMON,
    START_DAEMON,
    because_of,
    goes,
    is_rebuild,
    listed,
    moment,
    moved_tag,
    times,
)
from conveyor.pipeline.flakiness import flaky, flaky_words
from conveyor.pipeline.pointing.evidence import told_seconds

# Outcomes that are the package's own doing: with the same input, they should be the same.
_ATTEMPTS = 10
_WHOSE = {
    Fault.PACKAGE: "the package's fault",
    Fault.USER: "a mistake in the command or the configuration",
    Fault.OURS: "Conveyor's or this machine's fault",
    Fault.NETWORK: "the network's fault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a build that waits has not been started, as the scheduler sees it.

    Attributes:
        summary: why, in a few words.
        lines: what it waits for, one by one.
        hint: what to do; empty where waiting is all there is.
    """

    summary: str
    lines: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a running build does.

    Attributes:
        stage: the stage that runs; None between two, or where this machine does not know.
        since: when that began, with zone; None likewise.
        gone: whether its process has ended, as far as this machine can tell.
    """

    stage: Stage | None = None
    since: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What is known of a build.

    Attributes:
        build: the build.
        priority, reason: how it goes before others, and why it is there.
        attempts: its attempts, the first one first; none where there was no second one.
        now: the time.
        daemon: whether a daemon runs.
        wait: of one that waits, why.
        work: of one that runs, what it does.
        retried: of one that errored, whether it is tried again by itself.
        retries: how often a build that errored is tried again by itself.
        newer: the newest build of its package on its target, where that is a later one of the trunk.
        led_by: the builds that led to it, nearest first, and why they were there.
        moved_tags: of one whose version went backwards, tags of its upstream that moved or went lately.
    """

    build: Build
    priority: Priority
    reason: Reason
    attempts: tuple[AttemptRecord, ...]
    now: datetime
    daemon: bool
    wait: Wait | None = None
    work: Work = Work()
    retried: bool = False
    retries: int = 0
    newer: Build | None = None
    led_by: tuple[tuple[Build, Reason], ...] = ()
    moved_tags: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The part of an answer that depends on how the build stands."""

    state: str
    summary: str
    lines: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    hint: str = ""


def explain_build(facts: BuildFacts) -> Why:
    """The answer."""
    answer = _answer(facts)
    return Why(
        subject=Subject.BUILD,
        name=str(facts.build.id),
        about=about(facts.build),
        state=answer.state,
        summary=answer.summary,
        lines=(*answer.lines, *_background(facts)),
        log=answer.log,
        hint=answer.hint,
        because=_chain(facts.led_by),
    )


def about(build: Build) -> str:
    """What a build is of."""
    copy = "" if build.commit.trunk else ", not part of the trunk"
    return f"{build.commit.package} {build.commit.short} for {build.target}{copy}"


def standing(build: Build) -> str:
    """How a build stands, in a word."""
    if build.state is State.RUNNING and build.cancelled_by:
        return "being cancelled"
    return build.outcome or build.state


def whose(fault: Fault) -> str:
    """Whose fault something is."""
    return _WHOSE[fault]


def _answer(facts: BuildFacts) -> _Answer:
    match facts.build.state:
        case State.QUEUED:
            return _queued(facts)
        case State.RUNNING:
            return _running(facts)
        case State.FINISHED:
            return _finished(facts)
        case _:
            assert_never(facts.build.state)


def _finished(facts: BuildFacts) -> _Answer:
    outcome = facts.build.outcome
    match outcome:
        case Outcome.SUCCEEDED:
            return _succeeded(facts)
        case Outcome.FAILED:
            return _failed(facts)
        case Outcome.ERRORED:
            return _errored(facts)
        case Outcome.CANCELLED:
            return _cancelled(facts)
        case Outcome.SUPERSEDED:
            return _superseded(facts)
        case None:
            raise AssertionError("a finished build has an outcome")
        case _:
            assert_never(outcome)


def _queued(facts: BuildFacts) -> _Answer:
    build, wait = facts.build, facts.wait
    told = wait.summary if wait else _unscheduled(build)
    lines = [*(wait.lines if wait else ())]
    if build.errors and build.cause is not None:
        lines.append(f"it errored {times(build.errors)}, the last time because: {_told(build)}")
    if build.not_before is not None and build.not_before > facts.now:
        lines.append(f"it is not started before {moment(build.not_before, facts.now)}")
    hint = wait.hint if wait else ""
    if not facts.daemon and build.commit.trunk:
        return _Answer(state="queued", summary=NO_DAEMON, lines=(told, *lines), hint=START_DAEMON)
    return _Answer(state="queued", summary=told, lines=tuple(lines), hint=hint)


def _unscheduled(build: Build) -> str:
    """Of a build that the scheduler does not know (yet)."""
    return "it waits for its turn" if build.commit.trunk else "the 'conveyor build' that asked for it builds it"


def _running(facts: BuildFacts) -> _Answer:
    build, work = facts.build, facts.work
    state = standing(build)
    claim = build.claim
    if work.gone:
        process = f" {claim.pid} on {claim.host}" if claim else ""
        summary = f"its process{process} is gone; it goes back into the queue"
        hint = "" if facts.daemon else "the next 'conveyor build' or 'conveyor daemon' takes care of it"
        return _Answer(state=state, summary=summary, hint=hint)
    where = f" on {claim.host}, process {claim.pid}" if claim else ""
    since = f", started at {moment(build.started_at, facts.now)}" if build.started_at else ""
    lines = (f"attempt {build.attempt} runs{where}{since}",)
    if build.cancelled_by:
        return _Answer(state=state, summary=f"it is about to end: cancelled ({build.cancelled_by})", lines=lines)
    return _Answer(state=state, summary=stage_words(work, facts.now), lines=lines, hint=_log(build))


def stage_words(work: Work, now: datetime) -> str:
    """What a running build does, and for how long."""
    if work.gone:
        return "its process is gone"
    if work.stage is None or work.since is None:
        return "it is being built"
    return f"it is in {work.stage}, for {told_seconds(max(0, int((now - work.since).total_seconds())))}"


def _succeeded(facts: BuildFacts) -> _Answer:
    build = facts.build
    version = f"built as {build.version}" if build.version else "built"
    if not build.commit.trunk:
        summary = f"{version}; a working copy, or built with --no-publish, so it is never published"
        return _Answer(state="succeeded", summary=summary)
    if build.published:
        return _Answer(state="succeeded", summary=f"{version} and published", lines=_later(facts))
    hint = (
        "'conveyor daemon' publishes it" if facts.daemon else "the next 'conveyor build' or 'conveyor daemon' does it"
    )
    return _Answer(state="succeeded", summary=f"{version}, but not published yet", hint=hint)


def _failed(facts: BuildFacts) -> _Answer:
    build = facts.build
    tags = [moved_tag(event, facts.now) for event in facts.moved_tags]
    lines = (_fault(build.cause), *tags, f"that is final until something changes: {_changes(facts)}", *_later(facts))
    hint = (build.cause.hint if build.cause else "") or _log(build)
    return _Answer(state="failed", summary=_told(build), lines=lines, log=_details(build), hint=hint)


def _changes(facts: BuildFacts) -> str:
    again = f"'conveyor retry {facts.build.id}'"
    return f"a new commit, other packaging, or {again}" if facts.build.commit.trunk else f"the working copy, or {again}"


def _errored(facts: BuildFacts) -> _Answer:
    build = facts.build
    hint = build.cause.hint if build.cause else ""
    often = f"it errored {times(build.errors)}" if build.errors else "it errored"
    if not facts.retried:
        tried = f"{often}, and is not tried again by itself"
        hint = hint or f"once that is mended: conveyor retry {build.id}"
    elif facts.daemon:
        tried = f"{often}, and is tried again, {times(facts.retries)} at most; the daemon is about to say when"
    else:
        tried = f"{often}; a daemon would try it again, but none is running"
        hint = hint or f"{START_DAEMON}, or try it now: conveyor retry {build.id}"
    lines = (_fault(build.cause), tried, *_later(facts))
    return _Answer(state="errored", summary=_told(build), lines=lines, log=_details(build), hint=hint)


def _cancelled(facts: BuildFacts) -> _Answer:
    build = facts.build
    # Who wants it cancelled may be a reason: a newer commit.
    cause = build.cause.summary if build.cause else ""
    who = build.ended or cause or f"cancelled ({build.cancelled_by or 'by who ran it'})"
    when = f", at {moment(build.finished_at, facts.now)}" if build.finished_at and not build.ended else ""
    return _Answer(state="cancelled", summary=f"{who}{when}", lines=_later(facts), hint=f"conveyor retry {build.id}")


def _superseded(facts: BuildFacts) -> _Answer:
    build = facts.build
    told = build.ended or (build.cause.summary if build.cause else "") or "a newer commit makes it needless"
    return _Answer(
        state="superseded",
        summary=told,
        lines=("that says nothing against the package", *_later(facts)),
        hint=f"if it is wanted all the same: conveyor retry {build.id}",
    )


def _background(facts: BuildFacts) -> Iterator[str]:
    """Why it is there, and what else is to be known of it."""
    rebuilt = "it was rebuilt" if is_rebuild(facts.reason) else "it is there"
    yield f"{rebuilt} because: {because_of(facts.reason)}"
    if facts.reason.cascade > 1:
        yield f"{facts.reason.cascade} builds led to one another before it"
    if facts.build.state is State.QUEUED:
        yield f"it has waited since {moment(facts.build.queued_at, facts.now)}, and goes {goes(facts.priority)}"
    if len(facts.attempts) > 1:
        tries = [f"{each.number} {each.outcome or 'running'}" for each in facts.attempts]
        yield f"attempts: {listed(tries, most=_ATTEMPTS)}"
    differing = flaky(facts.attempts)
    if differing is not None:
        yield f"flaky: {flaky_words(*differing)}"


def _chain(led_by: Sequence[tuple[Build, Reason]]) -> tuple[Why, ...]:
    """The builds that led to one another, the nearest outermost."""
    if not led_by:
        return ()
    (build, reason), *others = led_by
    why = Why(
        subject=Subject.BUILD,
        name=str(build.id),
        about=about(build),
        state=standing(build),
        summary=because_of(reason),
        because=_chain(others),
    )
    return (why,)


def _later(facts: BuildFacts) -> tuple[str, ...]:
    """What became of the package on the target since."""
    newer = facts.newer
    if newer is None:
        return ()
    return (f"there is a newer build, {newer.id} of {newer.commit.short}: {standing(newer)}",)


def _told(build: Build) -> str:
    cause = build.cause
    if cause is None:
        return "nobody wrote down why"
    return f"in {cause.stage}: {cause.summary}" if cause.stage else cause.summary


def _fault(cause: Cause | None) -> str:
    return f"it is {whose(cause.fault)}" if cause else "it is not known whose fault it is"


def _details(build: Build) -> tuple[str, ...]:
    return build.cause.details if build.cause else ()


def _log(build: Build) -> str:
    return f"conveyor log {build.id}" if build.log else ""
