"""What becomes of builds and pointers, as the events that tell of it: the one place that says which it is.

Each is recorded in the transaction that makes it so: no event without its cause, and none is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from conveyor.model.build import Build, Cause, Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.promotion import Move, Step
from conveyor.pipeline.flakiness import JUDGED, flaky, flaky_words
from conveyor.ports import Events, Store

# What says how a package stood on a target.
GOOD = (EventKind.SUCCEEDED, EventKind.WORKS_AGAIN)
BAD = (EventKind.FAILED, EventKind.FAILED_AGAIN)
# How far back builds of a time without events are looked at.
LOOK_BACK = 50
PLAIN = {
    Outcome.ERRORED: EventKind.ERRORED,
    Outcome.CANCELLED: EventKind.CANCELLED,
    Outcome.SUPERSEDED: EventKind.SUPERSEDED,
}


class Happenings:
    """Tells what becomes of builds of the trunk; of others nothing is told.

    Args:
        events: what was told before.
        store: what happened before there were events.
    """

    def __init__(self, events: Events, store: Store) -> None:
        self._events = events
        self._store = store

    def started(self, build: Build) -> tuple[NewEvent, ...]:
        """A build was claimed."""
        return _of(build, EventKind.STARTED, "started", {})

    def ended(self, build: Build, outcome: Outcome, cause: Cause | None, version: str | None) -> tuple[NewEvent, ...]:
        """The running attempt of a build ends.

        There is one event for each attempt. A success after a failure is `works-again`, a failure after a failure
        `failed-again`: of the same package on the same target, whatever else came between. The first attempt of a build
        that had another outcome than one before it with the same input is told as `flaky`, too.
        """
        kind = self._kind(build, outcome)
        word = kind.value.replace("-", " ")
        told = f"{word} in {cause.stage}" if cause is not None and cause.stage is not None else word
        detail: dict[str, object] = {"version": version or build.version}
        if cause is not None:
            detail |= {"cause": cause.summary, "kind": cause.kind, "fault": cause.fault, "stage": cause.stage}
            told = f"{told}: {cause.summary}"
        return _of(build, kind, told, detail) + self._flaky(build, outcome, cause)

    def superseded(self, build: Build, why: str) -> tuple[NewEvent, ...]:
        """A build that waits will never be built."""
        return _of(build, EventKind.SUPERSEDED, f"superseded: {why}", {"cause": why})

    def _flaky(self, build: Build, outcome: Outcome, cause: Cause | None) -> tuple[NewEvent, ...]:
        if outcome not in JUDGED or build.attempt == 1:
            return ()
        attempts = self._store.attempts(build.id)
        before = [each for each in attempts if each.number != build.attempt]
        now = [replace(each, outcome=outcome, cause=cause) for each in attempts if each.number == build.attempt]
        pair = flaky([*before, *now])
        if pair is None or flaky(before) is not None:
            return ()
        numbers = [each.number for each in pair]
        return _of(build, EventKind.FLAKY, f"flaky: {flaky_words(*pair)}", {"attempts": numbers})

    def _kind(self, build: Build, outcome: Outcome) -> EventKind:
        if outcome in PLAIN:
            return PLAIN[outcome]
        failed_before = self._failed_before(build)
        if outcome is Outcome.SUCCEEDED:
            return EventKind.WORKS_AGAIN if failed_before else EventKind.SUCCEEDED
        return EventKind.FAILED_AGAIN if failed_before else EventKind.FAILED

    def _failed_before(self, build: Build) -> bool:
        package, target = build.commit.package, build.target
        last = self._events.newest(package=package, target=target, kinds=(*GOOD, *BAD), limit=1)
        if last:
            return last[0].kind in BAD
        judged = [
            (known.finished_at, known.outcome)
            for known in self._store.builds(package=package, target=target, limit=LOOK_BACK)
            if known.commit.trunk and known.state is State.FINISHED and known.finished_at is not None
            if known.id != build.id and known.outcome in {Outcome.SUCCEEDED, Outcome.FAILED}
        ]
        return bool(judged) and max(judged)[1] is Outcome.FAILED


def published(build: Build) -> tuple[NewEvent, ...]:
    """The snapshot of a build is there."""
    return _of(build, EventKind.PUBLISHED, "published", {"version": build.version})


def moved(move: Move) -> tuple[NewEvent, ...]:
    """Pointers were moved."""
    return tuple(_moved(move, step) for step in move.steps)


def _of(build: Build, kind: EventKind, told: str, detail: Mapping[str, object]) -> tuple[NewEvent, ...]:
    if not build.commit.trunk:
        return ()
    event = NewEvent(
        kind=kind,
        summary=f"{build.commit.package} {build.commit.short} for {build.target}: {told}",
        package=build.commit.package,
        target=build.target,
        build=build.id,
        detail={"attempt": build.attempt, "commit_id": build.commit.id, **detail},
    )
    return (event,)


def _moved(move: Move, step: Step) -> NewEvent:
    came = f"from {step.before}" if step.before else "for the first time"
    detail = {"pointer": step.pointer, "before": step.before, "after": step.after}
    return NewEvent(
        kind=EventKind.POINTER_MOVED,
        summary=f"{step.pointer} of {step.target} moved to {step.after}, {came}",
        target=step.target,
        detail={**detail, "kind": move.kind, "actor": move.actor},
    )
